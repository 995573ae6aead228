"""Trains the keypoint network on labelled photos and drawn figures."""
from pathlib import Path

import cv2
import numpy as np
import torch

from .loop import fit, pixels
from .photos import MIRROR25, Figures, Photos, affine, into_crop, recolour, warp
from .vision import KeypointNet, focal

STRIDE = 4
TORSO_ONLY = 11  # COCO's first eleven joints are of the head and the arms


class Crops:
    def __init__(self, recipe, seed):
        self.rng = np.random.default_rng(seed)
        self.photos = Photos(recipe["labels"], recipe["photos"])
        self.figures = Figures(recipe["mocap"], seed)
        self.share = recipe["figures"]

    def photo(self):
        i, k = self.photos.labelled[self.rng.integers(len(self.photos.labelled))]
        box, _, marks = self.photos.people[i][k]
        return self.photos.images[i], box, marks, self.photos.square[i]

    def figure(self):
        image = self.photos.images[self.rng.integers(len(self.photos.images))]
        canvas = cv2.resize(image, (288, 288))
        if self.rng.random() < 0.5:
            canvas = cv2.GaussianBlur(canvas, (0, 0), 2)
        marks = self.figures.draw(canvas, np.array([144., 144.]), self.rng.uniform(150, 240))
        low, high = marks[:, :2].min(0), marks[:, :2].max(0)
        return canvas, np.r_[low - 8, high + 8], marks, False

    def one(self, size):
        rng = self.rng
        image, box, marks, square = self.figure() if rng.random() < self.share else self.photo()
        known = marks[:, 2] > 0
        width, height = box[2] - box[0], box[3] - box[1]
        centre = np.array([box[0] + width / 2, box[1] + height / 2])
        if rng.random() < 0.25 and known[:TORSO_ONLY].sum() > 4:  # a desk in front, or a webcam near by
            above = marks[:TORSO_ONLY][known[:TORSO_ONLY]]
            low, high = above[:, :2].min(0), above[:, :2].max(0)
            centre, width, height = (low + high) / 2, *(high - low)
        side = max(width, height, 8) * 1.25 * np.exp(rng.normal(0, 0.16))
        centre = centre + rng.normal(0, 0.06, 2) * side
        angle = rng.uniform(-np.pi, np.pi) if rng.random() < 0.12 else rng.normal(0, 0.3)
        aspect = np.exp(rng.uniform(-0.4, 0.4)) if square else np.exp(rng.normal(0, 0.06))
        mirror = rng.random() < 0.5
        matrix = affine(centre, side, size, angle, aspect, mirror)
        fill = (114, 114, 114) if rng.random() < 0.7 else None
        crop = recolour(warp(image, matrix, size, fill), rng)
        points = into_crop(matrix, marks[:, :2])
        if mirror:
            points, known = points[MIRROR25], known[MIRROR25]
        if rng.random() < 0.3:  # something in the way
            w, h = (rng.uniform(0.1, 0.35, 2) * size).astype(int)
            x, y = rng.integers(0, size - w), rng.integers(0, size - h)
            crop[y:y + h, x:x + w] = rng.integers(0, 255, 3) if rng.random() < 0.5 else crop[::-1, ::-1][y:y + h, x:x + w]
        inside = ((points > -0.5) & (points < size - 0.5)).all(-1) & (image.shape[0] > 0)
        return crop, points, known & inside, known

    def batch(self, count, size):
        crops, points, shown, known = map(np.stack, zip(*(self.one(size) for _ in range(count))))
        cells = np.arange(size // STRIDE)
        at = (points + 0.5) / STRIDE - 0.5  # crop pixels -> cells, centres of pixels and of cells being whole numbers
        # The cell nearest to the joint counts as positive; neighbours fall off around the true position.
        near = np.round(at)
        bell = lambda v: np.exp(-0.5 * ((cells[None, None] - v[..., None]) / 1.35) ** 2)
        x, y = bell(at[..., 0]), bell(at[..., 1])
        target = y[:, :, :, None] * x[:, :, None, :]
        hit = (cells[None, None, :, None] == near[..., 1, None, None]) & (cells[None, None, None] == near[..., 0, None, None])
        target = np.where(hit, 1.0, np.minimum(target, 0.98)) * shown[..., None, None]
        return crops, target.astype(np.float32), known.astype(np.float32)


def score(net, crops, size, count=256):
    """Share of joints of unseen draws that are found within a tenth of the crop."""
    net.eval()
    right = total = 0.0
    with torch.no_grad():
        for _ in range(count // 32):
            images, target, known = crops.batch(32, size)
            heat = net(pixels(images)).numpy()
            flat = heat.reshape(*heat.shape[:2], -1).argmax(-1)
            want = target.reshape(*target.shape[:2], -1).argmax(-1)
            cells = size // STRIDE
            apart = np.hypot(flat % cells - want % cells, flat // cells - want // cells) / cells
            shown = (target.max((2, 3)) > 0.9) & (known > 0)
            right, total = right + ((apart < 0.08) & shown).sum(), total + shown.sum()
    return right / total


def train(recipe, work):
    torch.manual_seed(0)
    cv2.setNumThreads(1)
    crops = Crops(recipe, 100)

    def loss_of(net, drawn):
        images, target, known = drawn
        loss = focal(net(pixels(images)), torch.from_numpy(target), torch.from_numpy(known)[..., None, None])
        return loss, {"loss": loss.item()}

    return fit(KeypointNet(), recipe, Path(work) / "keypoints.pt", lambda size: crops.batch(recipe["batch"], size), loss_of,
               lambda kept, size: f", drawn anew {score(kept, crops, size):.3f}")
