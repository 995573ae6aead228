"""Other clothes than people wear, painted on them: shirts, trousers, shorts, and skin.

In photographs most shirts end below the hips, and most of what is below them is of another colour: a network that looks for that edge finds the
hips of swimmers and runners at their waistbands. What is painted ends anywhere, and keeps the folds of what was there.
"""
from functools import cache
from typing import NamedTuple

import torch
from torch.nn import functional

from .joints import BODY25
from .loop import DEVICE

SKIN = (0.97, 0.80, 0.70), (0.30, 0.19, 0.13)  # of the lightest and of the darkest
COARSE = 2  # painted by cells of so many pixels, between which colours run into one another
FOLD = 24  # folds are narrower than this part of the crop,
DEEPEST = 25  # and so many of 255 brighter or darker than cloth at most: the edges of what was there are more

TRUNK, THIGH, SHIN, FOOT, UPPER_ARM, FOREARM, HAND, HEAD = range(8)
CORNERS = [BODY25.index(f"{side}_{part}") for part in ("shoulder", "hip") for side in ("left", "right")]  # of the trunk
FACE = [BODY25.index(f"{side}_{part}") for part in ("eye", "ear") for side in ("left", "right")]


class Wardrobe(NamedTuple):
    """What is worn, as bounds between which it is drawn, and as shares of those who are painted."""

    band: tuple = (-0.3, 0.45)  # where tops end and trousers begin, in parts of the trunk above the hips
    slant: float = 0.1  # how much bands rise across the trunk
    legs: tuple = (0.15, 2.0)  # how far down trousers reach: 1 to the knees, 2 to the ankles
    sleeves: tuple = (0.1, 2.0)
    swimmers: float = 0.5  # of those who show their skin but for what is around their hips,
    tops: float = 0.6  # of the others, of those who wear other tops,
    trousers: float = 0.8  # and of all, of those who wear other trousers


# Nothing but tight trunks.
SWIMMING = Wardrobe(slant=0, legs=(0.4, 0.4), swimmers=1, trousers=1)


def trunk_ends(marks):
    """Middles of the shoulders and of the hips `(n, 2)` of marks `(n, 25, 2)` or more."""
    return marks[:, CORNERS, :2].unflatten(1, (2, 2)).mean(2).unbind(1)


@cache
def bones():
    """The numbers of their first and last joints, and of what each is part, `(bones,)`."""
    limbs = [("shoulder", "hip", TRUNK), ("hip", "knee", THIGH), ("knee", "ankle", SHIN), ("ankle", "foot_index", FOOT),
             ("shoulder", "elbow", UPPER_ARM), ("elbow", "wrist", FOREARM), ("wrist", "index", HAND), ("eye", "ear", HEAD)]
    told = [(f"{side}_{first}", f"{side}_{last}", part) for first, last, part in limbs for side in ("left", "right")]
    told += [(f"left_{joint}", f"right_{joint}", part) for joint, part in (("shoulder", TRUNK), ("hip", TRUNK), ("eye", HEAD))]
    at = BODY25.index
    return torch.tensor([(at(first), at(last), part) for first, last, part in told], device=DEVICE).unbind(-1)


def parts_at(joints, known, at):
    """Of which part whatever is at `at` `(h, w, 2)` is, and how far along its bone from 0 to 1, `(n, h, w)`, as far as `joints` `(n, 25, 2)` are
    `known` `(n, 25)`."""
    first, last, part = bones()
    begin, along = joints[:, first], joints[:, last] - joints[:, first]
    from_begin = at - begin[:, :, None, None]
    share = (from_begin * along[:, :, None, None]).sum(-1) / (along ** 2).sum(-1).clamp(min=1)[..., None, None]
    share = share.clamp(0, 1)
    off = (from_begin - share[..., None] * along[:, :, None, None]).square().sum(-1)
    off = torch.where((known[:, first] & known[:, last])[..., None, None], off, torch.inf)
    best = off.argmin(1, keepdim=True)
    return part[best[:, 0]], share.gather(1, best)[:, 0]


def garments(joints, known, size, chance, worn=Wardrobe()):
    """Where tops, trousers, and skin beside them would be, `(n, 3, size, size)` from 0 to 1."""
    n, cells = len(joints), size // COARSE
    draw = lambda bounds: chance.uniform(n, 1, 1, low=bounds[0], high=bounds[1])
    line = (torch.arange(cells, device=DEVICE) + 0.5) * COARSE - 0.5
    at = torch.stack(torch.meshgrid(line, line, indexing="xy"), -1)
    part, along = parts_at(joints, known, at)
    shoulders, hips = trunk_ends(joints)
    up = shoulders - hips
    up = up / (up ** 2).sum(-1, keepdim=True).clamp(min=1)
    aside = torch.stack([up[:, 1], -up[:, 0]], -1)
    from_hips = at - hips[:, None, None]
    above, across = ((from_hips * axis[:, None, None]).sum(-1) for axis in (up, aside))
    upper = above + chance.normal(n, 1, 1, spread=worn.slant) * across > draw(worn.band)
    legs, sleeves = draw(worn.legs), draw(worn.sleeves)
    by_hips = (part == TRUNK) | (part == THIGH) & (along < legs)
    trousers = by_hips & ~upper | (part == SHIN) & (along < legs - 1)
    top = by_hips & upper | (part == UPPER_ARM) & (along < sleeves) | (part == FOREARM) & (along < sleeves - 1)
    bare = (part != HEAD) & ~trousers & ~top
    return functional.interpolate(torch.stack([top, trousers, bare], 1).float(), (size, size), mode="bilinear")


def folds_of(cloth, where):
    """What is left of pictures `(n, 3, s, s)` of cloth, where it is `(n, 1, s, s)`, without its colours and the edges between them."""
    reach = cloth.shape[-1] // FOLD
    both = torch.cat([cloth * where, where], 1)
    for line in ((2 * reach + 1, 1), (1, 2 * reach + 1)):
        both = functional.avg_pool2d(both, line, 1, [side // 2 for side in line])
    return (cloth - both[:, :3] / both[:, 3:].clamp(min=1e-3)).clamp(-DEEPEST, DEEPEST)


def dressed(light, cover, theirs, joints, known, chance, worn=Wardrobe()):
    """Pictures `(n, 3, s, s)` of people, multiplied with how much they `cover`, `(n, 1, s, s)`, of which so much is `theirs`, `(n, 1, s, s)`, in
    other clothes. Their `joints` are `(n, 25, 2)`, as far as they are `known` `(n, 25)`: those of the trunk are."""
    n, size, out, cover = len(light), light.shape[-1], light.float(), cover.float().clamp(min=1e-3)
    palest, darkest = torch.tensor(SKIN, device=DEVICE)
    skin = torch.lerp(palest, darkest, chance.uniform(n, 1)) * chance.uniform(n, 1, low=0.7, high=1.1)
    # More dark cloth than bright.
    top, trousers = (chance.uniform(n, 3) ** chance.uniform(n, 1, low=0.5, high=3) for _ in range(2))
    swims = chance.whether(worn.swimmers, n)
    colours = torch.where(swims[:, None], skin, top), trousers, skin
    painted = swims | chance.whether(worn.tops, n), chance.whether(worn.trousers, n), swims
    folds = folds_of(out / cover, theirs.float()) * chance.uniform(n, 1, 1, 1, low=0.3, high=1)
    for where, colour, yes in zip(garments(joints, known, size, chance, worn).unbind(1), colours, painted):
        where = (where * yes[:, None, None])[:, None] * theirs.float()
        out = out * (1 - (where / cover).clamp(max=1)) + where * (255 * colour[..., None, None] + folds).clamp(0, 255)
    return out.to(light.dtype)
