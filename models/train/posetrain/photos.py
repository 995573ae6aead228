"""Photos with their labels, drawn figures, and the distortions that training shows them under."""
import json
from pathlib import Path

import cv2
import numpy as np

from . import masks, mocap
from .joints import BODY25, mirror_of
from .views import Views

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
        for number, entry in enumerate(json.loads(Path(labels).read_text())["images"]):
            if (number % HELD_OUT == 0) != held:
                continue
            image = cv2.imread(str(Path(folder) / entry["file"]))
            if image is None:
                continue
            ratio = min(1.0, LARGEST_SIDE / max(image.shape[:2]))
            if ratio < 1:
                image = cv2.resize(image, None, fx=ratio, fy=ratio, interpolation=cv2.INTER_AREA)
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
            self.images.append(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
            self.people.append(people)
            self.sets.append(entry["file"].split("/")[0])
            # This set was stretched to squares, by factors unknown.
            self.square.append(entry["file"].startswith("openimages"))
        self.labelled = [(i, k) for i, people in enumerate(self.people) for k, p in enumerate(people) if len(p[2])]
        self.empty = [i for i, people in enumerate(self.people) if not people]

    def background(self, size, rng):
        """A place without people, or nearly."""
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
        return warp(self.images[i], affine(low + side / 2, side, size, rng.normal(0, 0.1), mirror=rng.random() < 0.5), size, None)


def recolour(image, rng):
    """Light, contrast, colour, blur and noise of cheap webcams; uint8 in and out."""
    if rng.random() < 0.1:
        image = np.repeat(image.mean(-1, keepdims=True), 3, -1).astype(np.uint8)
    gain = np.exp(rng.normal(0, 0.25)) * np.exp(rng.normal(0, 0.08, 3))
    levels = (np.arange(256) - 118) * np.exp(rng.normal(0, 0.2)) + 118 + rng.normal(0, 18)
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
    share = warp(mask, mask_from_crop[:2], size, (0,)).astype(np.float32) / 255
    # Where networks are of two minds there is mostly wall; a hard edge would show.
    return np.clip((share - 0.35) / 0.3, 0, 1)[..., None]


def into_crop(photo_from_crop, points):
    inverse = np.linalg.inv(np.r_[photo_from_crop, [[0, 0, 1]]])
    return points @ inverse[:2, :2].T + inverse[:2, 2]


def lay(canvas, light, share, corner):
    """Lays a square picture over another, as far as it is inside: `light` is what it adds, `(w, w, 3)`, `share` how much it covers."""
    low, high = np.maximum(corner, 0), np.minimum(corner + len(light), canvas.shape[1::-1])
    if (low < high).all():
        into, part = (np.s_[a[1]:b[1], a[0]:b[0]] for a, b in ((low, high), (low - corner, high - corner)))
        canvas[into] = light[part] + canvas[into] * (1 - share[part])


def figures(recipe, seed):
    """Who is put into photographs: people that the recipe names as rendered, or drawn ones."""
    return Rendered(recipe["rendered"], seed) if "rendered" in recipe else Figures(recipe["mocap"], seed)


class Rendered:
    """People of `render_people`, put before photographs: exact labels, any pose, hidden joints known."""

    HIDDEN = 0.03  # how sure the place of a joint is that something hides, in parts of the person's height

    def __init__(self, folder, seed=0):
        folder, self.rng = Path(folder), np.random.default_rng(seed)
        told = json.loads((folder / "people.json").read_text())
        people = [person for person in told["people"] if (folder / person["file"]).exists()]  # as far as they are rendered
        if told["joint_names"] != BODY25 or not people:
            raise ValueError(f"{folder} shows nobody, or not the joints of a keypoint network: render people again")
        self.joints = [np.array(person["joints"], np.float32) for person in people]
        self.files = [np.fromfile(folder / person["file"], np.uint8) for person in people]

    def draw(self, canvas, centre, height):
        """Paints a person about `height` pixels tall; returns `(25, 4)` keypoints as labels have them."""
        rng, which = self.rng, self.rng.integers(len(self.files))
        picture, joints = cv2.imdecode(self.files[which], cv2.IMREAD_UNCHANGED).astype(np.float32), self.joints[which]
        rows, columns = np.nonzero(picture[..., 3])
        low, high = np.array([columns.min(), rows.min()]), np.array([columns.max(), rows.max()])
        window = int(np.ceil(1.05 * height))
        crop = affine((low + high) / 2, max(high - low) * window / height, window)
        # Multiplied with what they cover, colours are not mixed with those of pixels that show nothing.
        picture[..., :3] *= picture[..., 3:] / 255
        over = warp(picture, crop, window, (0, 0, 0, 0))
        corner = np.round(centre - (window - 1) / 2).astype(int)
        lay(canvas, over[..., 2::-1], over[..., 3:] / 255, corner)
        seen = joints[:, 2]
        return np.c_[into_crop(crop, joints[:, :2]) + corner, seen, np.where(seen > 0, 0, self.HIDDEN)]


class Figures:
    """Jointed dolls of capsules in mocap poses, drawn over photographs: exact labels, any pose, odd looks."""

    def __init__(self, folder, seed=0):
        clips = [c for c in mocap.load(folder, "train", bodies=1, seed=seed) if c.known.all()]
        self.views, self.rng = Views(clips, 1, seed=seed), np.random.default_rng(seed)
        self.index = {n: i for i, n in enumerate(mocap.LIFT23)}

    def draw(self, canvas, centre, height):
        """Paints a person about `height` pixels tall; returns `(25, 4)` keypoints as labels have them."""
        rng, at = self.rng, self.index
        views = self.views
        clip = rng.choice(len(views.length), p=views.weight)
        world = views.joints[views.first[clip] + rng.integers(views.length[clip])][None, None]
        if rng.random() < 0.5:
            world = world[:, :, np.array([at[n] for n in self.mirrored()])] * np.array([-1, 1, 1], np.float32)
        camera = views.look(world, *views.stand(world))[0, 0]
        depth = np.maximum(camera[:, 2], 0.3)
        flat = camera[:, :2] / depth[:, None]
        span = max(flat.max(0) - flat.min(0))
        scale = height / span
        middle = (flat.max(0) + flat.min(0)) / 2
        points = (flat - middle) * scale + centre
        metre = scale / depth
        p = lambda name: (points[at[name]], metre[at[name]], depth[at[name]])

        skin, shirt, trousers, shoes = self.colours()
        parts = []
        for side in ("left_", "right_"):
            sleeve = shirt if rng.random() < 0.5 else skin
            leg = trousers if rng.random() < 0.8 else skin
            parts += [(side + "shoulder", side + "elbow", .060, .045, shirt), (side + "elbow", side + "wrist", .046, .032, sleeve),
                      (side + "wrist", side + "index", .032, .022, skin), (side + "wrist", side + "pinky", .030, .020, skin),
                      (side + "hip", side + "knee", .088, .058, trousers), (side + "knee", side + "ankle", .058, .040, leg),
                      (side + "heel", side + "foot_index", .042, .036, shoes), (side + "ankle", side + "heel", .040, .042, shoes)]
        bulk = np.exp(rng.normal(0.1, 0.15))
        shapes = []
        for a, b, ra, rb, colour in parts:
            (pa, ma, da), (pb, mb, db) = p(a), p(b)
            shapes.append(((da + db) / 2, [(pa, ra * ma * bulk), (pb, rb * mb * bulk)], colour))
        torso = [(p("left_shoulder"), .075), (p("right_shoulder"), .075), (p("left_hip"), .095), (p("right_hip"), .095)]
        shapes.append((np.mean([q[2] for q, _ in torso]) + 0.02, [(q[0], r * q[1] * bulk) for q, r in torso], shirt))
        hips = [(p("left_hip"), .10), (p("right_hip"), .10)]
        shapes.append((np.mean([q[2] for q, _ in hips]) + 0.01, [(q[0], r * q[1] * bulk) for q, r in hips], trousers))
        ears = [p("left_ear"), p("right_ear")]
        skull, unit = (ears[0][0] + ears[1][0]) / 2, ears[0][1]
        chest = (p("left_shoulder")[0] + p("right_shoulder")[0]) / 2
        up = skull - chest
        up = up / (np.linalg.norm(up) + 1e-6)
        far = (ears[0][2] + ears[1][2]) / 2
        shapes.append((far + 0.01, [(chest, .055 * unit), (skull, .055 * unit)], skin))
        head = [(skull + up * .045 * unit, .095 * unit), (skull - up * .05 * unit, .070 * unit)]
        shapes.append((far, head, skin))
        nose, _, nose_far = p("nose")
        ahead = nose_far < far
        for depth_of, balls, colour in sorted(shapes, key=lambda s: -s[0]):
            self.hull(canvas, balls, colour)
            if balls is head and ahead:
                toward = nose - skull
                for across in (-1, 1):  # eyes and a nose, so that front and back differ
                    eye = skull + toward * .8 + up * .03 * unit + across * np.array([-up[1], up[0]]) * .032 * unit
                    cv2.circle(canvas, tuple(np.round(eye).astype(int).tolist()), max(1, round(.012 * unit)), (25, 20, 20), -1, cv2.LINE_AA)
                self.hull(canvas, [(skull + toward * .8, .016 * unit), (nose, .012 * unit)], np.clip(skin * 0.85, 0, 255))
            if balls is head and not ahead and rng.random() < 0.7:
                self.hull(canvas, [(skull + up * .05 * unit, .10 * unit)], np.array(rng.integers(10, 90, 3), float))
        out = np.zeros((25, 4), np.float32)
        out[:, 3] = 1
        for j, name in enumerate(BODY25):
            if name in at:
                out[j] = (*points[at[name]], 1, 0)
        for side, ear in (("left", 1), ("right", 2)):  # eyes lie between nose and ear, above
            out[BODY25.index(side + "_eye")] = (*(nose * .62 + points[ear] * .38 + up * .035 * unit), 1, 0)
        return out

    def mirrored(self):
        swap = {"left": "right", "right": "left"}
        return [f"{swap[n.split('_')[0]]}_{n.split('_', 1)[1]}" if "_" in n else n for n in mocap.LIFT23]

    def colours(self):
        rng = self.rng
        if rng.random() < 0.35:  # an artist's doll, all of one make
            base = np.array(rng.uniform(60, 235)) + rng.normal(0, 14, 3)
            return [np.clip(base * rng.uniform(0.75, 1.2), 0, 255) for _ in range(4)]
        skin = np.array([(236, 200, 175), (205, 155, 120), (150, 100, 70), (90, 60, 45)][rng.integers(4)], float)
        return [skin * rng.uniform(0.8, 1.05), *(np.array(rng.integers(10, 245, 3), float) for _ in range(3))]

    def hull(self, canvas, balls, colour):
        """A convex hull of circles, shaded as if round."""
        turn = np.linspace(0, 2 * np.pi, 14, endpoint=False)
        ring = np.stack([np.cos(turn), np.sin(turn)], -1)
        for shrink, light in ((1.0, .72), (.78, .88), (.5, 1.0), (.22, 1.08)):
            points = np.concatenate([centre - np.array([.15, .2]) * radius * (1 - shrink) + ring * radius * shrink
                                     for centre, radius in balls])
            outline = cv2.convexHull((points * 16).astype(np.int32))
            cv2.fillConvexPoly(canvas, outline, np.clip(colour * light, 0, 255).tolist(), cv2.LINE_AA, 4)
