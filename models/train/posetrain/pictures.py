"""Many pictures of any sizes, of which networks are shown pieces: turned, moved, laid over one another, in another light.

All of it is arithmetic on tensors of a whole batch, so that a GPU is never kept waiting; without one, OpenCV cuts crops out one by one.
Pictures and crops are RGB from 0 to 255; of pixels, centres are whole numbers.
"""
import math
import random

import cv2
import numpy as np
import torch
from torch.nn import functional

from .loop import DEVICE
from .masks import softened

# Halves are exact enough for colours, and half as much to move.
COLOUR = torch.float16 if DEVICE.type == "cuda" else torch.float32


class Chance:
    """Random numbers where the pictures are."""

    def __init__(self, *seeds):
        self.rng = random.Random(repr(seeds))
        self.of = torch.Generator(DEVICE).manual_seed(self.rng.getrandbits(60))

    def uniform(self, *shape, low=0.0, high=1.0):
        return torch.rand(shape, generator=self.of, device=DEVICE) * (high - low) + low

    def normal(self, *shape, spread=1.0):
        return torch.randn(shape, generator=self.of, device=DEVICE) * spread

    def whether(self, chance, *shape):
        return torch.rand(shape, generator=self.of, device=DEVICE) < chance

    def some(self, count, share):
        """The numbers of so many of `count`."""
        return torch.randperm(count, generator=self.of, device=DEVICE)[:round(count * share)]

    def among(self, upto, count):
        """Numbers drawn by cumulative weights that end at 1."""
        return torch.searchsorted(upto, self.uniform(count)).clamp(max=len(upto) - 1)


def affine(centre, side, size, angle, aspect, mirror):
    """photo_from_crop `(n, 2, 3)`: crops of `size` pixels show rotated rectangles `side` `(n,)` wide around `centre` `(n, 2)`."""
    scale, wide = side / size, aspect.sqrt()
    c, s = angle.cos() * scale, angle.sin() * scale
    across = torch.where(mirror, -wide, wide)
    linear = torch.stack([c * across, -s / wide, s * across, c / wide], -1).unflatten(-1, (2, 2))
    return torch.cat([linear, centre[..., None] - linear.sum(-1, keepdim=True) * (size - 1) / 2], -1)


def steep(centre, half, down, away):
    """photo_from_steep `(n, 3, 3)`: what is flat and upright around `centre` `(n, 2)` in photographs of level cameras, as a camera sees it
    that looks down by an angle `down` `(n,)` from `away` times `half` `(n,)` pixels: its lower end is further off."""
    none, fall = torch.zeros_like(half), down.sin() / away
    flat = torch.stack([down.cos(), none, none, none, torch.ones_like(half), none, none, -fall, down.cos()], -1).unflatten(-1, (3, 3))
    scale = torch.stack([half, none, centre[:, 0], none, half, centre[:, 1], none, none, torch.ones_like(half)], -1).unflatten(-1, (3, 3))
    return scale @ flat @ torch.linalg.inv(scale)


def squared(matrix):
    """Maps `(n, 2, 3)` or `(n, 3, 3)` of points, as `(n, 3, 3)`."""
    return matrix if matrix.shape[-2] == 3 else torch.cat([matrix, matrix.new_tensor([0, 0, 1]).expand(len(matrix), 1, 3)], 1)


def through(matrix, points):
    """Where maps `(n, 3, 3)` take points `(n, k, 2)`."""
    ahead = points @ matrix[:, :, :2].transpose(1, 2) + matrix[:, None, :, 2]
    return ahead[..., :2] / ahead[..., 2:]


def after(first, then):
    """What two affine maps `(..., 2, 3)` do one after the other."""
    linear = then[..., :2] @ first[..., :2]
    return torch.cat([linear, (then[..., :2] @ first[..., 2:]) + then[..., 2:]], -1)


def inverse(matrix):
    """Of affine maps `(..., 2, 3)`."""
    linear = torch.linalg.inv(matrix[..., :2])
    return torch.cat([linear, -linear @ matrix[..., 2:]], -1)


def into_crop(photo_from_crop, points):
    """Points `(n, k, 2)` of photos in their crops."""
    return through(torch.linalg.inv(squared(photo_from_crop)), points)


class Stretch:
    """What lies below lines of photographs, drawn out or pushed together, by `factor` `(n,)`: below `middle` `(n, 2)` and square to `down`
    `(n, 2)`, which has the length over which that begins. Most people's legs are about as long for their trunks: networks count on it."""

    def __init__(self, middle, down, factor):
        self.middle, self.soft, self.factor = middle, torch.linalg.vector_norm(down, dim=-1), factor
        self.down = down / self.soft[:, None].clamp(min=1e-6)
        # A hyperbola, whose slopes are 1 and 1 / factor.
        self.mean, self.half = (1 / factor + 1) / 2, (1 / factor - 1) / 2

    def __getitem__(self, which):
        return Stretch(self.middle[which], self.down[which] * self.soft[which, None], self.factor[which])

    def moved(self, points, told):
        """Points `(n, ..., 2)`, whose distances below the line become what is `told` of them."""
        flat = points.flatten(1, -2)
        below = ((flat - self.middle[:, None]) * self.down[:, None]).sum(-1)
        return (flat + (told(below) - below)[..., None] * self.down[:, None]).view_as(points)

    def undone(self, points):
        """Where in photographs that is which stretched ones show at `points` `(n, ..., 2)`."""
        mean, half, soft = (of[:, None] for of in (self.mean, self.half, self.soft))
        return self.moved(points, lambda below: mean * below + half * (torch.hypot(below, soft) - soft))

    def done(self, points):
        """Where stretched photographs show what is at `points` `(n, ..., 2)` of others."""
        mean, half, soft, factor = (of[:, None] for of in (self.mean, self.half, self.soft, self.factor))

        def told(below):
            at = below + half * soft
            return factor * (mean * at - half * torch.sqrt(at ** 2 + soft ** 2 / factor))
        return self.moved(points, told)


def pixels_of(matrix, size, stretch=None):
    """Where the pixels of crops are in their photos: x and y, `(n, size, size)`; `matrix` is `(n, 2, 3)`, or `(n, 3, 3)` if planes are
    tilted; of photos that were stretched before, if there is a `stretch`."""
    at = torch.arange(size, device=matrix.device, dtype=torch.float32)
    rows = [row[:, 0, None, None] * at + row[:, 1, None, None] * at[:, None] + row[:, 2, None, None] for row in matrix.unbind(1)]
    # Nothing of a person is that close to the eye; corners of crops may be.
    rows = rows if len(rows) == 2 else [row / rows[2].clamp(min=0.05) for row in rows[:2]]
    return stretch.undone(torch.stack(rows, -1)).unbind(-1) if stretch else rows


class Pictures:
    """Pictures in one tensor. Their fourth channel says how much of a pixel is covered; what is not covered is black."""

    def __init__(self, images):
        """`images`: arrays `(h, w, 3)`, or `(h, w, 4)`, of bytes."""
        sides = torch.tensor([image.shape[:2] for image in images])
        length = sides.prod(-1)
        self.high, self.wide = sides.to(DEVICE).unbind(-1)
        self.first = (torch.cumsum(length, 0) - length).to(DEVICE)
        flat, at = torch.full((int(length.sum()), 4), 255, dtype=torch.uint8), 0
        for image in images:
            piece = flat[at:at + image.shape[0] * image.shape[1], :image.shape[2]]
            piece[:] = torch.from_numpy(image).flatten(0, 1)
            at += len(piece)
        self.packed = flat.view(torch.int32)[:, 0].to(DEVICE)

    def sample(self, which, matrix, size, reflect, stretch=None):
        """Crops `(n, 4, size, size)` of pictures `which` `(n,)` by photo_from_crop, `(n, 2, 3)` or `(n, 3, 3)`: bilinear; beyond their
        edges pictures are mirrored where `reflect` `(n,)`, and cover nothing elsewhere; of pictures that were stretched before, if there is a
        `stretch`."""
        if DEVICE.type == "cpu":
            crops = self.warped(which.tolist(), matrix.numpy(), size, reflect.tolist(), stretch)
            return torch.from_numpy(crops.transpose(0, 3, 1, 2)).to(COLOUR)
        there = pixels_of(matrix, size, stretch)
        return sampled(self.packed, self.first[which], self.high[which], self.wide[which], *there, reflect)

    def warped(self, which, matrix, size, reflect, stretch):
        """The same one by one, to a 32nd of a pixel: without a GPU that is quicker than whole batches."""
        crops = np.empty((len(which), size, size, 4), np.uint8)
        for n, (crop, number, photo_from_crop, mirrored) in enumerate(zip(crops, which, matrix, reflect)):
            first, high, wide = (int(of[number]) for of in (self.first, self.high, self.wide))
            picture = self.packed[first:first + high * wide].view(torch.uint8).numpy().reshape(high, wide, 4)
            border = cv2.BORDER_REFLECT_101 if mirrored else cv2.BORDER_CONSTANT
            if stretch and stretch.factor[n] != 1:
                across, down = pixels_of(torch.from_numpy(photo_from_crop)[None], size, stretch[[n]])
                cv2.remap(picture, across[0].numpy(), down[0].numpy(), cv2.INTER_LINEAR, crop, border)
                continue
            warp = cv2.warpAffine if len(photo_from_crop) == 2 else cv2.warpPerspective
            warp(picture, photo_from_crop, (size, size), crop, cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, border)
        return crops


def sampled(packed, first, high, wide, across, down, reflect):
    first, high, wide, reflect = (part[:, None, None] for part in (first, high, wide, reflect))

    def folded(v, count):
        last = (count - 1).float()
        return torch.where(reflect, last - (last - v.abs() % (2 * last).clamp(min=1)).abs(), v)
    x, y = folded(across, wide), folded(down, high)
    left, above = x.floor(), y.floor()
    out = None
    for dx in (0, 1):
        for dy in (0, 1):
            i, j = (left + dx).long(), (above + dy).long()
            share = (1 - (x - i).abs()) * (1 - (y - j).abs()) * ((i >= 0) & (i < wide) & (j >= 0) & (j < high))
            # The neighbour of the last pixel has a share of nothing.
            colour = packed[first + j.clamp(min=0).minimum(high - 1) * wide + i.clamp(min=0).minimum(wide - 1)]
            channels = torch.stack([colour >> shift & 255 for shift in (0, 8, 16, 24)], 1) * share[:, None]
            out = channels if out is None else out + channels
    return out.to(COLOUR)


def outlines(masks, mask_from_photo, matrix, size, stretch=None):
    """How much of each pixel of crops belongs to whoever masks `(n, m, m)` of bytes cut out, `(n, 1, size, size)` from 0 to 1;
    `mask_from_photo` `(n, 3)`: a scale, and what is added to x and y."""
    scale, side = mask_from_photo[:, 0, None, None], masks.shape[-1] - 1
    grid = torch.stack([scale * at + mask_from_photo[:, n, None, None] for n, at in enumerate(pixels_of(matrix, size, stretch), 1)], -1)
    share = functional.grid_sample(masks[:, None].to(COLOUR) / 255, (grid * (2 / side) - 1).to(COLOUR), align_corners=True)
    return softened(share)


RECOLOURED = 0.08  # of what is lit, so much is of other hues than it has: colours tell skin from cloth too easily


def lit(images, chance, share=1, by=0.5):
    """Pictures `(n, 3, s, s)` in another light, of other contrast and colour, `by` how much; `share` `(n, 1, s, s)` is how much of each
    pixel they cover."""
    n = len(images)
    gain = (chance.normal(n, 1, spread=0.25 * by) + chance.normal(n, 3, spread=0.08 * by)).exp()[..., None]
    colourful = chance.normal(n, 1, 1, spread=0.4 * by).exp()
    contrast, shift = chance.normal(n, 1, 1, spread=0.2 * by).exp(), chance.normal(n, 1, 1, spread=18 * by)
    # Away from gray or towards it, into other hues, from the middle or towards it, and brighter or darker: one matrix of colours for each
    # picture.
    gray = torch.full((3, 3), 1 / 3, device=DEVICE)
    hue = torch.where(chance.whether(RECOLOURED, n), chance.uniform(n, low=-math.pi, high=math.pi), 0)[:, None, None]
    # A rotation about gray (Rodrigues).
    across = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]], device=DEVICE) / math.sqrt(3)
    turned = gain * contrast * (colourful * (hue.cos() * (torch.eye(3, device=DEVICE) - gray) + hue.sin() * across) + gray)
    out = (turned.to(COLOUR) @ images.flatten(2)).view_as(images)
    return out.add_((gain * (118 * (1 - contrast) + shift))[..., None].to(COLOUR) * share).clamp_(0, 255)


def photographed(images, chance):
    """Pictures `(n, 3, s, s)` as cheap webcams would take them: light, colour, blur, few pixels, noise."""
    return coarsened(grayed(lit(images, chance, by=1), chance), chance)


def grayed(images, chance):
    """Pictures, some without colours."""
    images = images.clone()
    gray = chance.some(len(images), 0.1)
    images[gray] = images[gray].mean(1, keepdim=True).expand(-1, 3, -1, -1)
    return images


def coarsened(images, chance, share=0.2):
    """Pictures, of which so many are out of focus, of few pixels, or noisy."""
    images, (n, _, size, _) = images.clone(), images.shape
    blurred = chance.some(n, share)
    images[blurred] = blur(images[blurred], chance.rng.uniform(0.5, 1.6))
    coarse, few = chance.some(n, share), max(int(size * chance.rng.uniform(0.3, 0.8)), 8)
    images[coarse] = functional.interpolate(functional.interpolate(images[coarse], (few, few), mode="area"), (size, size), mode="bilinear")
    noisy = chance.some(n, share)
    images[noisy] += (chance.normal(len(noisy), 3, size, size) * chance.uniform(len(noisy), 1, 1, 1, low=2, high=14)).to(COLOUR)
    return images.clamp(0, 255)


def blur(images, spread):
    """A Gaussian blur of `spread` pixels."""
    reach = math.ceil(3 * spread)
    at = torch.arange(-reach, reach + 1, device=images.device)
    bell = torch.exp(-0.5 * (at / spread) ** 2)
    bell = (bell / bell.sum()).to(images.dtype)
    flat = functional.pad(images.flatten(0, 1)[:, None], (reach,) * 4, mode="reflect")
    return functional.conv2d(functional.conv2d(flat, bell.view(1, 1, 1, -1)), bell.view(1, 1, -1, 1)).view_as(images)


# One kernel in place of a hundred; there is no compiler on many a machine without a GPU.
if DEVICE.type == "cuda":
    sampled = torch.compile(sampled, dynamic=True)
else:
    cv2.setNumThreads(1)  # of crops, threads would wait for one another, and after a fork for ever
