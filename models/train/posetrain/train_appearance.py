"""Trains the network that knows people again from another side: on people whom Bevy renders from several, and on people cut out of
photographs, each distorted twice.

Two crops of one person, taken at one time, should be told as alike, and unlike those of everybody else in the batch (the normalised
temperature-scaled cross-entropy of Chen et al. 2020, equation 1).
"""
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.nn import functional

from .loop import fit, pixels, platt
from .masks import WINDOW
from .photos import Photos, Sided, affine, outline, recolour, warp
from .vision import AppearanceNet

WIDE, HIGH = 64, 128
CUT = 224  # pixels of a picture around somebody in a photograph
TEMPERATURE = 0.1
RENDERED = 0.5  # share of rendered people
UPPER = 0.25  # the chance that a crop ends above the legs


class Looks:
    """Pairs of crops of one person each; `held` ones are of people who are not trained on."""

    def __init__(self, recipe, seed, held=False):
        self.seed = seed
        self.reseed()
        self.photos = Photos(recipe["labels"], recipe["photos"], held, recipe["masks"])
        self.sides = Sided(recipe["sides"], held)
        self.cut_out = list(self.photos.masks)

    def reseed(self, *numbers):
        self.rng = np.random.default_rng([self.seed, *numbers])

    def rendered(self, person):
        """Two pictures of a rendered person from different sides, each before another place, and the boxes of their joints."""
        for number in self.rng.choice(len(self.sides.views[person]), 2, replace=False):
            picture, joints = self.sides.open(person, number)
            share = picture[..., 3:] / 255
            image = picture[..., 2::-1] * share + self.photos.background(len(picture), self.rng) * (1 - share)
            yield image.astype(np.uint8), np.r_[joints[:, :2].min(0), joints[:, :2].max(0)] + np.array([-6, -10, 6, 6])

    def cut(self, key):
        """Somebody in a photograph twice, the second time before another place."""
        i, k = key
        box = self.photos.people[i][k][0]
        side = WINDOW * max(box[2] - box[0], box[3] - box[1])
        for elsewhere in self.rng.permutation(2):
            matrix = affine((box[:2] + box[2:4]) / 2, side, CUT, mirror=self.rng.random() < 0.5)
            image = warp(self.photos.images[i], matrix, CUT, None)
            if elsewhere:
                share = outline(self.photos.masks[i, k], box, matrix, CUT)
                image = (image * share + self.photos.background(CUT, self.rng) * (1 - share)).astype(np.uint8)
            half, middle = (box[2:4] - box[:2]) / side * CUT / 2, (CUT - 1) / 2
            yield image, np.r_[middle - half, middle + half]

    def crop(self, image, box):
        """A box as detectors give it, stretched to the crop, in the light of some camera."""
        rng, size = self.rng, box[2:] - box[:2]
        box = box + rng.normal(0, 0.05, 4) * np.r_[size, size]
        if rng.random() < UPPER:
            box[3] = box[1] + (box[3] - box[1]) * rng.uniform(0.4, 0.8)
        low, size = box[:2], np.maximum(box[2:] - box[:2], 4)
        matrix = np.array([[size[0] / WIDE, 0, low[0]], [0, size[1] / HIGH, low[1]]])
        out = cv2.warpAffine(image, matrix, (WIDE, HIGH), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE)
        out = recolour(out, rng, 0.6)
        if rng.random() < 0.3:  # something in the way
            w, h = (rng.uniform(0.2, 0.6, 2) * [WIDE, HIGH]).astype(int)
            x, y = rng.integers(0, WIDE - w + 1), rng.integers(0, HIGH - h + 1)
            out[y:y + h, x:x + w] = cv2.resize(self.photos.background(32, rng), (int(w), int(h)))
        return out

    def pairs(self, people):
        """Crops `(2, n, HIGH, WIDE, 3)` of people, numbers of rendered ones and keys of cut-out ones."""
        of = lambda who: self.cut(who) if isinstance(who, tuple) else self.rendered(who)
        return np.stack([np.stack([self.crop(*view) for view in of(who)]) for who in people], 1)

    def batch(self, count):
        some = min(round(count * RENDERED), len(self.sides.views))
        people = [int(n) for n in self.rng.choice(len(self.sides.views), some, replace=False)]
        return self.pairs(people + [self.cut_out[n] for n in self.rng.choice(len(self.cut_out), count - some, replace=False)])


def alike(first, second):
    """The loss of two embeddings of each person, `(n, d)` of length 1."""
    both = torch.cat([first, second])
    likeness = both @ both.T / TEMPERATURE
    likeness = likeness.masked_fill(torch.eye(len(both), dtype=torch.bool, device=both.device), -1e4)
    n = len(first)
    return functional.cross_entropy(likeness, torch.cat([torch.arange(n) + n, torch.arange(n)]).to(both.device))


def looks_of(net, crops):
    net.eval()
    with torch.no_grad():
        out = net(pixels(crops)).float().cpu().numpy()
    net.train()
    return out


def found_again(first, second):
    """The share of people whose nearest in the second set is themselves."""
    return (np.linalg.norm(first[:, None] - second[None], axis=-1).argmin(1) == np.arange(len(first))).mean()


def held_out(recipe, describe, rounds=4):
    """Of people never trained on, seen from two sides: shares found again among all, rendered and cut out; and distances between looks
    of one person, and of two."""
    looks, shares, same, other = Looks(recipe, 11, held=True), [[], []], [], []
    for _ in range(rounds):
        for kind, people in enumerate([list(range(len(looks.sides.views))), looks.cut_out]):
            first, second = (describe(crops) for crops in looks.pairs(people))
            shares[kind].append(found_again(first, second))
            apart = np.linalg.norm(first[:, None] - second[None], axis=-1)
            same.append(np.diag(apart)), other.append(apart[~np.eye(len(apart), dtype=bool)])
    return [float(np.mean(share)) for share in shares], np.concatenate(same), np.concatenate(other)


def train(recipe, work):
    torch.manual_seed(0)
    cv2.setNumThreads(1)
    checkpoint = Path(work) / "appearance.pt"
    looks = Looks(recipe, 100)

    def loss_of(net, drawn, step):
        crops = net(pixels(drawn.reshape(-1, HIGH, WIDE, 3)))
        loss = alike(*crops.float().chunk(2))
        return loss, {"loss": loss}

    net = fit(AppearanceNet(), recipe, checkpoint, [looks], lambda people, _: looks.batch(people), loss_of, every=200)
    calibrate(net, recipe)
    return net


def calibrate(net, recipe):
    """Gives the net what its distances mean, and a line for its card, by people who are not trained on."""
    (rendered, photos), same, other = held_out(recipe, lambda crops: looks_of(net, crops))
    # As often one person as two, as before several cameras with two or three people.
    other = np.random.default_rng(0).choice(other, len(same))
    apart = torch.from_numpy(np.concatenate([same, other]).astype(np.float32))
    slope, shift = platt(-apart, torch.cat([torch.ones(len(same)), torch.zeros(len(other))]))
    net.likeness = {"same_at": round(shift / slope, 3), "steepness": round(slope, 2)}
    net.metrics = [f"found again among all, from another side: {rendered:.3f} of rendered people; {photos:.3f} of people in photographs, "
                   "distorted; none of them trained on"]
    print(net.likeness, net.metrics, flush=True)
