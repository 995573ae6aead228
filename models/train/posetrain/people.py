"""Everybody in labelled photographs and in renderings, where whole batches of pictures can be made of them."""
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from . import masks
from .loop import DEVICE, tensor
from .pictures import Pictures, outlines

LOOSE = 0.04  # a detector's box is around joints by so much of a person's height


class People:
    """Everybody that is shown: where they are, what is known of them, and what of their pictures is theirs."""

    def __init__(self, photos, rendered):
        with ThreadPoolExecutor() as pool:
            cut_out = list(pool.map(rendered.cut_out, range(len(rendered.files)))) if rendered else []
        shown = [(i, photos.people[i][k][0], photos.people[i][k][2], photos.square[i], (i, k)) for i, k in photos.labelled]
        for number, (_, marks, _) in enumerate(cut_out, len(photos.images)):
            seen = marks[marks[:, 2] > 0, :2]  # a detector's box is around what can be seen: not around legs behind a desk
            low, high = seen.min(0), seen.max(0)
            pad = LOOSE * (high - low).max()
            shown.append((number, np.r_[low - pad, high + pad], marks, False, None))
        if not shown:
            raise ValueError("nobody in these photographs has keypoints: label more of them")
        which, boxes, marks, square, keys = zip(*shown)
        there = lambda numbers, kind=np.float32: tensor(np.array(numbers, kind))
        self.pictures = Pictures(photos.images + [picture for picture, _, _ in cut_out])
        self.which, self.boxes, self.marks, self.square = there(which, np.int64), there(boxes), there(marks), there(square, bool)
        # Where a picture was cut out of a larger one.
        self.corner = there([(0, 0)] * len(photos.labelled) + [corner for _, _, corner in cut_out])
        self.rendered = torch.arange(len(shown), device=DEVICE) >= len(photos.labelled)
        outlined = [key for key in keys if key in photos.masks] or [None]
        number = {key: n for n, key in enumerate(outlined)}
        self.masks = there([photos.masks.get(key, np.zeros((masks.SIDE, masks.SIDE))) for key in outlined], np.uint8)
        self.mask = there([number.get(key, -1) if key else -1 for key in keys], np.int64)
        windows = np.array([masks.window(box) for box in boxes])
        self.mask_from_photo = there(np.c_[np.ones(len(windows)), -windows[:, :, 2]] / windows[:, 0, :1])
        self.separate = (self.rendered | (self.mask >= 0)).nonzero()[:, 0]  # who can be put before another place

    def look(self, who, matrix, size, apart, reflect, stretch=None):
        """Crops of people: their light `(n, 3, size, size)` and how much it covers; where they are `apart` `(n,)`, without what is around
        them; and how much of each pixel is theirs, nothing where that is not known."""
        seen = self.pictures.sample(self.which[who], matrix, size, reflect, stretch)
        own = outlines(self.masks[self.mask[who].clamp(min=0)], self.mask_from_photo[who], matrix, size, stretch)
        rendered, masked = self.rendered[who][:, None, None, None], (self.mask[who] >= 0)[:, None, None, None]
        left = torch.where(apart[:, None, None, None] & ~rendered, own, 1)
        share = seen[:, 3:] / 255 * left
        return seen[:, :3] * left, share, torch.where(rendered, share, own * masked)
