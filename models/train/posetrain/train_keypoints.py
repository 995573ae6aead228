"""Trains the keypoint network on labelled photos and drawn figures."""
from pathlib import Path

import cv2
import numpy as np
import torch

from .loop import DEVICE, fit, pixels, platt, steps_done, tensor
from .photos import MIRROR25, Photos, affine, figures, into_crop, outline, recolour, warp
from .start import begin
from .vision import KeypointNet, cross_entropy, near

STRIDE = 4
GROWTH = 1.25  # a crop is so much larger than a person's box
SHARP = 1.1  # cells: the spread of the bell around a joint that is known
GUESS = 0.2  # joints whose places the teachers' looks spread over less than this part of the box are guessed at: hidden ones, mostly
GUESS_WEIGHT = 0.4
ELSEWHERE = 0.5  # of those who are cut out, so many are put before other backgrounds
TORSO_ONLY = 11  # COCO's first eleven joints are of the head and the arms


class Crops:
    """`held` draws from the photos that are kept from training, without drawn figures."""

    def __init__(self, recipe, seed, held=False):
        self.rng = np.random.default_rng(seed)
        self.photos = Photos(recipe["labels"], recipe["photos"], held, recipe.get("masks"))
        if not held:
            self.figures = figures(recipe, seed)
        self.share = 0 if held else recipe["figures"]
        weights = np.array([recipe["weights"].get(self.photos.sets[i], 1.0) for i, _ in self.photos.labelled])
        self.upto = np.cumsum(weights) / weights.sum()

    def photo(self):
        i, k = self.photos.labelled[min(np.searchsorted(self.upto, self.rng.random()), len(self.upto) - 1)]
        box, _, marks = self.photos.people[i][k]
        return self.photos.images[i], box, marks, self.photos.square[i], self.photos.masks.get((i, k))

    def figure(self):
        canvas = self.photos.background(288, self.rng)
        if self.rng.random() < 0.5:
            canvas = cv2.GaussianBlur(canvas, (0, 0), 2)
        marks = self.figures.draw(canvas, np.array([144., 144.]), self.rng.uniform(150, 240))
        seen = marks[marks[:, 2] > 0, :2]  # a detector's box is around what can be seen: not around legs behind a desk
        return canvas, np.r_[seen.min(0) - 8, seen.max(0) + 8], marks, False, None

    def one(self, size):
        rng = self.rng
        image, box, marks, square, mask = self.figure() if rng.random() < self.share else self.photo()
        known = marks[:, 2] > 0
        weight = np.where(known, 1, np.where(marks[:, 3] < GUESS, GUESS_WEIGHT, 0))
        width, height = box[2] - box[0], box[3] - box[1]
        apart = np.where(known, 0, marks[:, 3]) * max(width, height)
        centre = np.array([box[0] + width / 2, box[1] + height / 2])
        if rng.random() < 0.25 and known[:TORSO_ONLY].sum() > 4:  # a desk in front, or a webcam near by
            above = marks[:TORSO_ONLY][known[:TORSO_ONLY]]
            low, high = above[:, :2].min(0), above[:, :2].max(0)
            centre, width, height = (low + high) / 2, *(high - low)
        side = max(width, height, 8) * GROWTH * np.exp(rng.normal(0, 0.16))
        centre = centre + rng.normal(0, 0.06, 2) * side
        angle = rng.uniform(-np.pi, np.pi) if rng.random() < 0.25 else rng.normal(0, 0.35)
        aspect = np.exp(rng.uniform(-0.4, 0.4)) if square else np.exp(rng.normal(0, 0.06))
        mirror = rng.random() < 0.5
        matrix = affine(centre, side, size, angle, aspect, mirror)
        fill = (114, 114, 114) if rng.random() < 0.7 else None
        crop, points = warp(image, matrix, size, fill), into_crop(matrix, marks[:, :2])
        if mask is not None and rng.random() < ELSEWHERE:
            share = outline(mask, box, matrix, size)
            crop = (recolour(crop, rng) * share + self.photos.background(size, rng) * (1 - share)).astype(np.uint8)
            # Joints that were cut away with the wall are hidden now.
            x, y = np.round(points).astype(int).clip(0, size - 1).T
            weight = np.where(share[y, x, 0] > 0.5, weight, np.minimum(weight, GUESS_WEIGHT))
        crop = recolour(crop, rng)
        apart = np.hypot(SHARP, apart * size / side / STRIDE)
        if mirror:
            points, weight, apart = points[MIRROR25], weight[MIRROR25], apart[MIRROR25]
        # What is put before somebody hides joints whose places are known all the same: the network learns where they must be.
        if rng.random() < 0.25:
            self.crowd(crop)
        if rng.random() < 0.3:
            w, h = (rng.uniform(0.1, 0.35, 2) * size).astype(int)
            x, y = rng.integers(0, size - w), rng.integers(0, size - h)
            crop[y:y + h, x:x + w] = rng.integers(0, 255, 3) if rng.random() < 0.5 else crop[::-1, ::-1][y:y + h, x:x + w]
        inside = ((points > -0.5) & (points < size - 0.5)).all(-1)
        return crop, points, inside & (weight > 0), weight, apart

    def crowd(self, crop):
        """Puts a piece of somebody else beside, over or before the person in the crop, who stays in the middle of it."""
        rng, size = self.rng, len(crop)
        image, box, _, _, mask = self.photo()
        side = max(box[2] - box[0], box[3] - box[1]) * rng.uniform(0.9, 1.6)
        middle, mirror = (box[:2] + box[2:4]) / 2, rng.random() < 0.5
        if mask is not None:
            # They stand a good way to one side.
            turn = rng.uniform(-np.pi, np.pi)
            shift = side * rng.uniform(0.3, 0.55) * np.array([np.cos(turn), 0.5 * np.sin(turn)])
            matrix = affine(middle + shift, side, size, rng.normal(0, 0.2), mirror=mirror)
            share = outline(mask, box, matrix, size)
            crop[:] = recolour(warp(image, matrix, size, None), rng) * share + crop * (1 - share)
            return
        other = recolour(warp(image, affine(middle, side, size, mirror=mirror), size, None), rng)
        wide, high = (size * rng.uniform(0.25, 0.55)), (size * rng.uniform(0.4, 1.0))
        turn = rng.uniform(-np.pi, np.pi)
        x, y = size / 2 + size * rng.uniform(0.3, 0.5) * np.array([np.cos(turn), np.sin(turn)])
        x0, x1 = (int(v) for v in np.clip((x - wide / 2, x + wide / 2), 0, size))
        y0, y1 = (int(v) for v in np.clip((y - high / 2, y + high / 2), 0, size))
        from_x, from_y = (size - x1 + x0) // 2, (size - y1 + y0) // 2
        crop[y0:y1, x0:x1] = other[from_y:from_y + y1 - y0, from_x:from_x + x1 - x0]

    def drawn(self, count, size):
        return map(np.stack, zip(*(self.one(size) for _ in range(count))))

    def batch(self, count, size):
        crops, points, shown, weight, spread = self.drawn(count, size)
        return crops, bells(points, shown, size, spread), weight.astype(np.float32)


def bells(points, shown, size, spread):
    """`(n, joints, cells, cells)`: a bell of sum 1 around each joint that is shown; `spread` `(n, joints)` in cells."""
    cells = np.arange(size // STRIDE)
    at = (points + 0.5) / STRIDE - 0.5  # crop pixels -> cells, centres of pixels and of cells being whole numbers

    def bell(v):
        height = np.exp(-0.5 * ((cells[None, None] - v[..., None]) / spread[..., None]) ** 2)
        return (height / height.sum(-1, keepdims=True).clip(1e-6)).astype(np.float32)
    return bell(at[..., 1])[..., None] * (bell(at[..., 0]) * shown[..., None].astype(np.float32))[..., None, :]


class HeldOut:
    """People in photos kept from training, cut out as they are when the network is used."""

    def __init__(self, recipe):
        photos = Photos(recipe["labels"], recipe["photos"], held=True)
        self.people = [(photos.images[i], *photos.people[i][k]) for i, k in photos.labelled]

    def crops(self, size):
        """Of each person the crop, where their joints are in it, and their marks."""
        for image, box, _, marks in self.people:
            side = GROWTH * max(box[2] - box[0], box[3] - box[1])
            matrix = affine((box[:2] + box[2:4]) / 2, side, size)
            yield warp(image, matrix, size, (114, 114, 114)), into_crop(matrix, marks[:, :2]), marks

    def apart(self, net, size):
        """For each labelled joint: how far off it was found, in parts of the box's longer side."""
        net.eval()
        crops, wanted, marks = map(np.stack, zip(*self.crops(size)))
        found = np.concatenate([found_in(net, crops[first:first + 32])[0] for first in range(0, len(crops), 32)])
        net.train()
        return (np.linalg.norm(found - wanted, axis=-1) / size * GROWTH)[marks[..., 2] > 0]

    def report(self, net, size):
        apart = self.apart(net, size)
        return f", held-out photos within 0.1: {(apart < 0.1).mean():.3f}, within 0.05: {(apart < 0.05).mean():.3f}"


def peaks(maps, size):
    """Where maps `(..., cells, cells)` are highest, in the pixels of their crop of `size` pixels `(..., 2)`, and how high they are."""
    cells, flat = maps.shape[-1], maps.reshape(*maps.shape[:-2], -1)
    best = flat.argmax(-1)
    return (np.stack([best % cells, best // cells], -1) + 0.5) * (size / cells) - 0.5, flat.max(-1)


def found_in(net, crops):
    """Where each joint is likeliest in crops `(n, S, S, 3)`, in their pixels `(n, 25, 2)`, and the logit of its chance `(n, 25)`."""
    with torch.no_grad():
        chance = near(net(pixels(crops))).clamp(1e-6, 1 - 1e-6).cpu().numpy()
    at, height = peaks(chance, crops.shape[1])
    return at, np.log(height / (1 - height))


def calibrate(net, recipe, batches=60):
    """Gives the net the slope and shift of the logit that make it the chance of being within a tenth of the box (Platt scaling).

    It is asked about photos kept from training, under the same distortions, and about joints that the teachers only guess at:
    what users show it is harder than well-framed photos.
    """
    crops, size = Crops(recipe, 7, held=True), recipe["size"]
    net.eval()
    logits, rights = [], []
    for _ in range(batches):
        images, points, shown, _, _ = crops.drawn(32, size)
        at, logit = found_in(net, images)
        logits.append(logit[shown]), rights.append((np.linalg.norm(at - points, axis=-1) < 0.1 * size / GROWTH)[shown])
    logit, right = torch.from_numpy(np.concatenate(logits)), torch.from_numpy(np.concatenate(rights).astype(np.float32))
    net.calibration = platt(logit, right)
    right = (HeldOut(recipe).apart(net, size) < 0.1).mean()
    net.metrics = [f"joints within a tenth of the box, on photos kept from training, as labelled by the teachers: {right:.3f}"]


def train(recipe, work):
    torch.manual_seed(0)
    cv2.setNumThreads(1)
    checkpoint = Path(work) / "keypoints.pt"
    crops = Crops(recipe, 100 + steps_done(checkpoint))

    def loss_of(net, drawn, step):
        images, target, weight = drawn
        loss = cross_entropy(net(pixels(images)), tensor(target), tensor(weight))
        return loss, {"loss": loss.item()}

    held, net = HeldOut(recipe), KeypointNet().to(DEVICE)
    step = begin(net, recipe, checkpoint, lambda: pixels(crops.batch(64, recipe["size"])[0]))
    net = fit(net, recipe, checkpoint, lambda size: crops.batch(recipe["batch"], size), loss_of, held.report,
              every=500, step=step)
    calibrate(net, recipe)
    return net
