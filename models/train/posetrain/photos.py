"""Photos with their labels, rendered people, and the distortions that training shows them under."""
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from . import masks
from .joints import BODY25, mirror_of

MIRROR25 = np.array(mirror_of(BODY25))
LARGEST_SIDE = 512
# One photo of so many, by their places in the label file: `posetrain.label` puts the same photos into the same order.
HELD_OUT = 20


class Photos:
    """Photos of a label file, in memory, shrunk to `LARGEST_SIDE`: those that are trained on, or the few that are `held` out."""

    def __init__(self, labels, folder, held=False, cut_out=None):
        self.images, self.people, self.square, self.sets = [], [], [], []
        # By photo and person, in numbers of these lists.
        self.masks, outlines = {}, masks.load(cut_out) if cut_out else {}
        entries = json.loads(Path(labels).read_text())["images"]
        entries = [entry for number, entry in enumerate(entries) if (number % HELD_OUT == 0) == held]
        with ThreadPoolExecutor() as pool:
            opened = list(pool.map(lambda entry: self.open(Path(folder) / entry["file"]), entries))
        for entry, (image, ratio) in zip(entries, opened):
            if image is None:
                continue
            people = []
            for k, person in enumerate(entry["people"]):
                if (outlined := outlines.get((entry["file"], k))) is not None:
                    mask, box = outlined
                    if np.abs(box - person["box"]).max() > 0.5:
                        raise ValueError(f"{cut_out} was made of other labels than {labels}: run `posetrain.masks` again")
                    self.masks[len(self.images), k] = mask
                marks = np.array(person.get("keypoints", np.zeros((0, 4))), np.float32)
                if marks.shape[1] != 4:
                    raise ValueError(f"{labels} was written by an older `posetrain.label`: label the photos again")
                marks[:, :2] *= ratio
                people.append((np.array(person["box"], np.float32) * ratio, person["score"], marks))
            self.images.append(image)
            self.people.append(people)
            self.sets.append(entry["file"].split("/")[0])
            # This set was stretched to squares, by factors unknown.
            self.square.append(entry["file"].startswith("openimages"))
        self.labelled = [(i, k) for i, people in enumerate(self.people) for k, p in enumerate(people) if len(p[2])]
        self.empty = [i for i, people in enumerate(self.people) if not people]

    @staticmethod
    def open(path):
        """A photo `(h, w, 3)`, RGB, and how much it was shrunk; `None` if it cannot be read."""
        image = cv2.imread(str(path))
        if image is None:
            return None, 1.0
        ratio = min(1.0, LARGEST_SIDE / max(image.shape[:2]))
        if ratio < 1:
            image = cv2.resize(image, None, fx=ratio, fy=ratio, interpolation=cv2.INTER_AREA)
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB), ratio

    def place(self, rng):
        """A square without people, or nearly: a photo, its middle, its side."""
        for _ in range(6):
            i = rng.integers(len(self.images))
            high, wide = self.images[i].shape[:2]
            side = min(high, wide) * rng.uniform(0.35, 1.0)
            low = rng.uniform(0, [wide - side + 1, high - side + 1])
            boxes = np.array([box for box, _, _ in self.people[i]]).reshape(-1, 4)
            overlap = np.clip(np.minimum(boxes[:, 2:], low + side) - np.maximum(boxes[:, :2], low), 0, None).prod(-1)
            if overlap.sum() < 0.1 * side ** 2:
                break
        else:
            if self.empty:
                i = self.empty[rng.integers(len(self.empty))]
            high, wide = self.images[i].shape[:2]
            side, low = min(high, wide), np.zeros(2)
        return i, low + side / 2, side

    def background(self, size, rng):
        """The same as a picture `(size, size, 3)`."""
        i, centre, side = self.place(rng)
        return warp(self.images[i], affine(centre, side, size, rng.normal(0, 0.1), mirror=rng.random() < 0.5), size, None)


def recolour(image, rng, by=1.0):
    """Light, contrast, colour, blur and noise of cheap webcams; uint8 in and out. `by` how much they differ; none is grey for less than 1."""
    if by == 1 and rng.random() < 0.1:
        image = np.repeat(image.mean(-1, keepdims=True), 3, -1).astype(np.uint8)
    gain = np.exp(by * rng.normal(0, 0.25)) * np.exp(by * rng.normal(0, 0.08, 3))
    levels = (np.arange(256) - 118) * np.exp(by * rng.normal(0, 0.2)) + 118 + by * rng.normal(0, 18)
    out = cv2.LUT(image, np.clip(levels[:, None] * gain, 0, 255).astype(np.uint8)[None])
    if rng.random() < 0.2:
        out = cv2.GaussianBlur(out, (0, 0), rng.uniform(0.5, 1.6))
    if rng.random() < 0.2:  # few pixels
        few = max(int(len(out) * rng.uniform(0.3, 0.8)), 8)
        out = cv2.resize(cv2.resize(out, (few, few), interpolation=cv2.INTER_AREA), out.shape[1::-1])
    if rng.random() < 0.2:
        noise = rng.standard_normal(out.shape, np.float32) * np.float32(rng.uniform(2, 14))
        out = np.clip(out + noise, 0, 255).astype(np.uint8)
    return out


def affine(centre, side, size, angle=0.0, aspect=1.0, mirror=False):
    """photo_from_crop `(2, 3)`: a crop of `size` pixels shows a rotated rectangle `side` wide around `centre`."""
    scale = side / size
    c, s = np.cos(angle) * scale, np.sin(angle) * scale
    linear = np.array([[c, -s], [s, c]]) @ np.diag([(-1.0 if mirror else 1.0) * np.sqrt(aspect), 1 / np.sqrt(aspect)])
    return np.c_[linear, np.asarray(centre) - linear @ np.full(2, (size - 1) / 2)]


def warp(image, photo_from_crop, size, fill):
    border = cv2.BORDER_REFLECT_101 if fill is None else cv2.BORDER_CONSTANT
    return cv2.warpAffine(image, photo_from_crop, (size, size), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                          borderMode=border, borderValue=fill or (0, 0, 0))


def outline(mask, box, photo_from_crop, size):
    """How much of each pixel of a crop belongs to whoever a mask cuts out, `(size, size, 1)` from 0 to 1."""
    photo_from_mask = np.r_[masks.window(box), [[0, 0, 1]]]
    mask_from_crop = np.linalg.inv(photo_from_mask) @ np.r_[photo_from_crop, [[0, 0, 1]]]
    return masks.softened(warp(mask, mask_from_crop[:2], size, (0,)).astype(np.float32) / 255)[..., None]


def into_crop(photo_from_crop, points):
    inverse = np.linalg.inv(np.r_[photo_from_crop, [[0, 0, 1]]])
    return points @ inverse[:2, :2].T + inverse[:2, 2]


def rendered_in(folder):
    """People of `render_people` in a folder, as far as they are rendered, as `people.json` tells of them."""
    told = json.loads((folder / "people.json").read_text())
    people = [person for person in told["people"] if (folder / person["file"]).exists()]
    if told["joint_names"] != BODY25 or not people:
        raise ValueError(f"{folder} shows nobody, or not the joints of a keypoint network: render people again")
    return people


class Rendered:
    """People of `render_people`, put before photographs: exact labels, any pose, hidden joints known."""

    HIDDEN = 0.03  # how sure the place of a joint is that something hides, in parts of the person's height

    def __init__(self, folders):
        if isinstance(folders, str):
            raise ValueError(f"recipes list folders of rendered people: [\"{folders}\"], not \"{folders}\"")
        self.joints, self.files = [], []
        for folder in map(Path, folders):
            people = rendered_in(folder)
            self.joints += [np.array(person["joints"], np.float32) for person in people]
            self.files += [np.fromfile(folder / person["file"], np.uint8) for person in people]

    def cut_out(self, which):
        """A person's picture without what is around them, `(h, w, 4)`, RGB and how much is covered, their keypoints `(25, 4)` in it as
        labels have them, and its corner in the picture. Colours are multiplied with what they cover: they are not mixed with those of pixels that show nothing."""
        picture, joints = cv2.imdecode(self.files[which], cv2.IMREAD_UNCHANGED), self.joints[which]
        x, y, wide, high = cv2.boundingRect(picture[..., 3])
        picture = picture[y:y + high, x:x + wide]
        colours = picture[..., 2::-1] * (picture[..., 3:] / 255)
        seen = joints[:, 2]
        marks = np.c_[joints[:, :2] - [x, y], seen, np.where(seen > 0, 0, self.HIDDEN)]
        return np.concatenate([np.round(colours).astype(np.uint8), picture[..., 3:]], -1), marks, (x, y)


class Sided:
    """People of `render_people --views`, each from several sides: those that are trained on, or one of `HELD_OUT` that are not."""

    def __init__(self, folder, held=False):
        self.folder, views = Path(folder), {}
        for picture in rendered_in(self.folder):
            if (picture["person"] % HELD_OUT == 0) == held:
                views.setdefault(picture["person"], []).append((picture["file"], np.array(picture["joints"], np.float32)))
        self.views = [of for of in views.values() if len(of) > 1]
        if not self.views:
            raise ValueError(f"{folder} shows nobody from two sides: render them with `--views`")

    def open(self, person, number):
        """A picture `(S, S, 4)`, BGR and how much is covered, and joints."""
        file, joints = self.views[person][number]
        return cv2.imread(str(self.folder / file), cv2.IMREAD_UNCHANGED), joints
