"""Trains the person detector on boxes in photos, around people who are put into them, and around rendered people."""
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.nn import functional

from .loop import DEVICE, fit, pixels, platt, tensor
from .masks import WINDOW
from .photos import Photos, Rendered, affine, into_crop, lay, outline, recolour, warp
from .start import begin
from .vision import PersonNet, focal

STRIDE = 8
GUESTS = 0.4  # the chance that people of other photographs are put into one,
TILED = 0.3  # and that four pictures, each half as large, make one: of small people there are few
COVERED = 0.5  # whoever a guest hides by more than this is no longer asked for


class Scenes:
    """`held` draws from the photos that are kept from training, without rendered people."""

    def __init__(self, recipe, seed, held=False):
        self.photos = Photos(recipe["labels"], recipe["photos"], held, recipe.get("masks"))
        self.share = 0 if held else recipe["figures"]
        self.figures = Rendered(recipe["rendered"]) if self.share else None
        self.cut_out, self.distorted, self.seed = list(self.photos.masks), not held, seed
        self.reseed()

    def reseed(self, *numbers):
        self.rng = np.random.default_rng([self.seed, *numbers])

    def one(self, size):
        """A picture, and its boxes `(n, 5)` with how sure they are."""
        if not self.distorted or size % 2 or self.rng.random() >= TILED:
            return self.single(size)
        picture, boxes, half = np.empty((size, size, 3), np.uint8), [], size // 2
        for x, y in ((0, 0), (half, 0), (0, half), (half, half)):
            picture[y:y + half, x:x + half], found = self.single(half)
            boxes.append(found + [x, y, x, y, 0])
        return picture, np.concatenate(boxes)

    def invite(self, image, people):
        """Puts somebody who was cut out of another photograph into one."""
        rng = self.rng
        i, k = self.cut_out[rng.integers(len(self.cut_out))]
        box, size = self.photos.people[i][k][0], np.array(image.shape[1::-1])
        long = max(box[2] - box[0], box[3] - box[1])
        height = np.exp(rng.uniform(np.log(0.07), np.log(0.7))) * max(size)
        window = int(np.ceil(WINDOW * height))
        matrix = affine((box[:2] + box[2:4]) / 2, window * long / height, window, rng.normal(0, 0.1), mirror=rng.random() < 0.5)
        share = outline(self.photos.masks[i, k], box, matrix, window)
        guest = recolour(warp(self.photos.images[i], matrix, window, None), rng)
        corner = np.round(rng.uniform(0, size) - window / 2).astype(int)
        lay(image, guest * share, share, corner)
        half = (box[2:4] - box[:2]) / 2 * height / long
        middle = corner + (window - 1) / 2
        own = np.clip(np.r_[middle - half, middle + half], 0, np.r_[size, size])
        shown = (own[2:] - own[:2]).prod() / (4 * half.prod())
        for n, (other, sure, marks) in enumerate(people):
            shared = np.clip(np.minimum(own[2:], other[2:]) - np.maximum(own[:2], other[:2]), 0, None).prod()
            if shared > COVERED * (other[2:] - other[:2]).prod():
                people[n] = other, min(sure, 0.2), marks
        people.append((own, 1.0 if shown > 0.4 else 0.2, None))

    def single(self, size):
        rng = self.rng
        i = rng.integers(len(self.photos.images))
        if rng.random() < self.share and self.photos.empty:
            i = self.photos.empty[rng.integers(len(self.photos.empty))]
            image, people = self.photos.images[i].copy(), []
            height, width = image.shape[:2]
            for _ in range(rng.integers(1, 3)):
                centre = np.array([rng.uniform(.2, .8) * width, rng.uniform(.3, .7) * height])
                marks = self.figures.draw(image, centre, rng.uniform(.25, .95) * height, rng)
                marks = marks[marks[:, 2] > 0, :2]  # a detector's box is around what can be seen: not around legs behind a desk
                pad = 0.06 * max(marks.max(0) - marks.min(0))
                people.append((np.r_[marks.min(0) - pad, marks.max(0) + pad], 1.0, None))
        else:
            image, people = self.photos.images[i], self.photos.people[i]
            if self.distorted and self.cut_out and rng.random() < GUESTS:
                image, people = image.copy(), list(people)
                for _ in range(rng.integers(1, 4)):
                    self.invite(image, people)
        height, width = image.shape[:2]
        aspect = np.exp(rng.uniform(-0.4, 0.4)) if self.photos.square[i] else np.exp(rng.normal(0, 0.08))
        side = max(width, height) * np.exp(rng.uniform(-0.5, 0.35))
        centre = np.array([width, height]) / 2 + rng.normal(0, 0.12, 2) * side
        if people and rng.random() < 0.5:  # look near somebody
            box = people[rng.integers(len(people))][0]
            centre = centre * 0.4 + 0.6 * (box[:2] + box[2:]) / 2
        turn = rng.random()  # level cameras, tilted ones, pictures on their side
        angle = rng.normal(0, 0.1) if turn < 0.55 else rng.normal(0, 0.45) if turn < 0.92 else rng.integers(1, 4) * np.pi / 2
        matrix = affine(centre, side, size, angle, aspect, rng.random() < 0.5)
        picture = recolour(warp(image, matrix, size, (114, 114, 114)), rng)
        boxes = []
        for box, score, _ in people:
            x0, y0, x1, y1 = box
            # The ellipse in the box turns with the picture; its bounds stay tighter than those of the turned corners.
            middle = into_crop(matrix, np.array([[(x0 + x1) / 2, (y0 + y1) / 2]]))[0]
            inverse = np.linalg.inv(matrix[:, :2])
            half = np.sqrt((inverse * [[(x1 - x0) / 2, (y1 - y0) / 2]]) ** 2 @ np.ones(2)) if abs(np.sin(2 * angle)) > .3 \
                else np.abs(inverse) @ [(x1 - x0) / 2, (y1 - y0) / 2] / (abs(np.cos(angle)) + abs(np.sin(angle)))
            low, high = np.maximum(middle - half, 0), np.minimum(middle + half, size)
            if (high - low > 3).all() and (high - low).prod() > 0.25 * (4 * half.prod()):
                boxes.append((*low, *high, score))
        return picture, np.array(boxes).reshape(-1, 5)

    def batch(self, count, size):
        pictures, lists = zip(*(self.one(size) for _ in range(count)))
        cells = size // STRIDE
        target = np.zeros((count, cells, cells), np.float32)
        weight = np.ones((count, cells, cells), np.float32)
        box = np.zeros((count, 4, cells, cells), np.float32)
        inside = np.zeros((count, cells, cells), np.float32)
        grid = np.arange(cells)
        for n, boxes in enumerate(lists):
            for x0, y0, x1, y1, score in sorted(boxes.tolist(), key=lambda b: -(b[2] - b[0]) * (b[3] - b[1])):
                cx, cy, w, h = (x0 + x1) / 2 / STRIDE, (y0 + y1) / 2 / STRIDE, (x1 - x0) / STRIDE, (y1 - y0) / STRIDE
                i, j = min(int(cx), cells - 1), min(int(cy), cells - 1)
                bell = np.exp(-0.5 * (((grid[None] + .5 - cx) / (w * .12 + .6)) ** 2 + ((grid[:, None] + .5 - cy) / (h * .12 + .6)) ** 2))
                if score < 0.35 or min(w, h) < 1.2:
                    weight[n][bell > 0.1] = 0  # too unsure or too small to say either way
                    continue
                target[n] = np.maximum(target[n], np.minimum(bell, 0.98))
                target[n, j, i] = 1
                near = bell > 0.55
                near[j, i] = True
                inside[n][near] = 1
                box[n][:, near] = np.array([x0, y0, x1, y1], np.float32)[:, None] / STRIDE
        return np.stack(pictures), target, weight, box, inside


def boxes_of(output):
    """`(n, 4, c, c)` corners in cells."""
    cells = output.shape[-1]
    grid = torch.arange(cells, dtype=torch.float32, device=output.device)
    x, y = output[:, 0] + grid, output[:, 1] + grid[:, None]
    w, h = torch.exp(output[:, 2].clamp(-3, 5)) / 2, torch.exp(output[:, 3].clamp(-3, 5)) / 2
    return torch.stack([x - w, y - h, x + w, y + h], 1)


def giou(a, b):
    area = lambda q: (q[:, 2] - q[:, 0]).clamp(min=0) * (q[:, 3] - q[:, 1]).clamp(min=0)
    inner = torch.cat([torch.maximum(a[:, :2], b[:, :2]), torch.minimum(a[:, 2:], b[:, 2:])], 1)
    outer = torch.cat([torch.minimum(a[:, :2], b[:, :2]), torch.maximum(a[:, 2:], b[:, 2:])], 1)
    shared = area(inner)
    union = area(a) + area(b) - shared + 1e-6
    hull = area(outer) + 1e-6
    return shared / union - (hull - union) / hull


def calibrate(net, recipe, pictures=480):
    """Gives the net the slope and shift of the score's logit that make it the chance of a person (Platt scaling), and a line
    for its card, from photos not trained on.

    A box is right where it overlaps a labelled one by half; boxes around people too unsure to say either way do not count.
    """
    net.eval()
    scenes, size = Scenes(recipe, 7, held=True), recipe["size"]
    logits, right = [], []
    with torch.no_grad():
        for _ in range(pictures // 24):
            drawn, lists = zip(*(scenes.one(size) for _ in range(24)))
            output = net(pixels(np.stack(drawn))).cpu()
            score, boxes = output[:, 4], boxes_of(output[:, :4]) * STRIDE
            peaks = (functional.max_pool2d(score, 3, 1, 1) == score) & (score > -4)
            for n, y, x in peaks.nonzero().tolist():
                box, truth = boxes[n, :, y, x], torch.from_numpy(lists[n].astype(np.float32))
                best = giou(box.expand(len(truth), 4), truth[:, :4]) if len(truth) else torch.zeros(0)
                if len(best) and best.max() > 0.45 and truth[best.argmax(), 4] < 0.35:
                    continue
                logits.append(score[n, y, x].item()), right.append(float(len(best) > 0 and best.max() > 0.45))
    logit, right = torch.tensor(logits), torch.tensor(right)
    net.calibration = slope, shift = platt(logit, right)
    chance = torch.sigmoid(slope * logit + shift)
    bins = [(chance >= low) & (chance < low + 0.2) for low in (0, .2, .4, .6, .8)]
    table = ", ".join(f"{chance[b].mean():.2f} is {right[b].mean():.2f} ({int(b.sum())})" for b in bins if b.any())
    net.metrics = [f"scores told and shares of right boxes, on photos kept from training: {table}"]
    print(f"calibrated by {slope:.3f}, {shift:.3f}; {net.metrics[0]}", flush=True)


def train(recipe, work):
    torch.manual_seed(0)
    cv2.setNumThreads(1)
    checkpoint = Path(work) / "person.pt"
    scenes = Scenes(recipe, 100)

    def loss_of(net, drawn, step):
        pictures, target, weight, box, inside = drawn
        output, inside = net(pixels(pictures)).float(), tensor(inside)
        overlap = giou(boxes_of(output[:, :4]), tensor(box))
        located = ((1 - overlap) * inside).sum() / inside.sum().clamp(min=1)
        found = focal(output[:, 4], tensor(target), tensor(weight))
        return found + 2 * located, {"found": found, "located": located}

    net = PersonNet().to(DEVICE)
    step = begin(net, recipe, checkpoint, lambda: pixels(scenes.batch(64, recipe["size"])[0]))
    net = fit(net, recipe, checkpoint, [scenes], lambda size: scenes.batch(recipe["batch"], size), loss_of, step=step,
              workers=recipe["workers"])
    calibrate(net, recipe)
    return net
