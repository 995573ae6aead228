"""Trains the keypoint network on labelled photos and drawn figures."""
from pathlib import Path

import cv2
import numpy as np
import torch

from .loop import fit, pixels, platt
from .photos import MIRROR25, Figures, Photos, affine, into_crop, recolour, warp
from .vision import KeypointNet, cross_entropy, near

STRIDE = 4
TORSO_ONLY = 11  # COCO's first eleven joints are of the head and the arms


class Crops:
    def __init__(self, recipe, seed):
        self.rng = np.random.default_rng(seed)
        self.photos = Photos(recipe["labels"], recipe["photos"])
        self.figures = Figures(recipe["mocap"], seed)
        self.share = recipe["figures"]
        weights = np.array([recipe["weights"].get(self.photos.sets[i], 1.0) for i, _ in self.photos.labelled])
        self.upto = np.cumsum(weights) / weights.sum()

    def photo(self):
        i, k = self.photos.labelled[min(np.searchsorted(self.upto, self.rng.random()), len(self.upto) - 1)]
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
        angle = rng.uniform(-np.pi, np.pi) if rng.random() < 0.2 else rng.normal(0, 0.35)
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
        return crops, bells(points, shown, size), known.astype(np.float32)


def bells(points, shown, size, spread=1.1):
    """`(n, joints, cells, cells)`: a bell of sum 1 around each joint that is shown; `spread` in cells."""
    cells = np.arange(size // STRIDE)
    at = (points + 0.5) / STRIDE - 0.5  # crop pixels -> cells, centres of pixels and of cells being whole numbers
    bell = lambda v: np.exp(-0.5 * ((cells[None, None] - v[..., None]) / spread) ** 2)
    target = bell(at[..., 1])[..., None] * bell(at[..., 0])[..., None, :]
    target /= target.sum((2, 3), keepdims=True).clip(1e-6)
    return (target * shown[..., None, None]).astype(np.float32)


class HeldOut:
    """People in photos kept from training, cut out as they are when the network is used."""

    def __init__(self, recipe):
        photos = Photos(recipe["labels"], recipe["photos"], held=True)
        self.people = [(photos.images[i], *photos.people[i][k]) for i, k in photos.labelled]

    def look(self, net, size):
        """For each labelled joint: how far off it was found, in parts of the box's longer side, and the logit of its chance."""
        net.eval()
        apart, logit = [], []
        for first in range(0, len(self.people), 32):
            crops, wanted = [], []
            for image, box, _, marks in self.people[first:first + 32]:
                side = 1.25 * max(box[2] - box[0], box[3] - box[1])
                matrix = affine((box[:2] + box[2:4]) / 2, side, size)
                crops.append(warp(image, matrix, size, (114, 114, 114)))
                wanted.append(np.c_[(into_crop(matrix, marks[:, :2]) + 0.5) / size * 1.25, marks[:, 2]])
            with torch.no_grad():
                chance = near(net(pixels(np.stack(crops)))).clamp(1e-6, 1 - 1e-6)
            cells, best = size // STRIDE, chance.flatten(2).argmax(-1).numpy()
            found = (np.stack([best % cells, best // cells], -1) + 0.5) / cells * 1.25
            wanted = np.stack(wanted)
            labelled = wanted[..., 2] > 0
            apart.append(np.linalg.norm(found - wanted[..., :2], axis=-1)[labelled])
            logit.append(torch.logit(chance.flatten(2).amax(-1)).numpy()[labelled])
        net.train()
        return np.concatenate(apart), np.concatenate(logit)

    def report(self, net, size):
        apart, _ = self.look(net, size)
        return f", held-out photos within 0.1: {(apart < 0.1).mean():.3f}, within 0.05: {(apart < 0.05).mean():.3f}"


def calibrate(net, recipe):
    """Gives the net the slope and shift of the logit that make it the chance of being within a tenth of the box (Platt scaling), of
    joints that the teachers agree on: of those that are hidden it knows nothing."""
    apart, logit = HeldOut(recipe).look(net, recipe["size"])
    logit, right = torch.from_numpy(logit), torch.from_numpy((apart < 0.1).astype(np.float32))
    net.calibration = platt(logit, right)
    net.metrics = [f"joints within a tenth of the box, on photos kept from training, as labelled by the teachers: {right.mean():.3f}"]


def train(recipe, work):
    torch.manual_seed(0)
    cv2.setNumThreads(1)
    crops = Crops(recipe, 100)

    def loss_of(net, drawn):
        images, target, known = drawn
        loss = cross_entropy(net(pixels(images)), torch.from_numpy(target), torch.from_numpy(known))
        return loss, {"loss": loss.item()}

    held = HeldOut(recipe)
    net = fit(KeypointNet(), recipe, Path(work) / "keypoints.pt", lambda size: crops.batch(recipe["batch"], size), loss_of,
              held.report, every=500)
    calibrate(net, recipe)
    return net
