"""Other clothes than people wear, painted on them: shirts, trousers, shorts, and skin.

In photographs most shirts end below the hips, and most of what is below them is of another colour: a network that looks for that edge finds the
hips of swimmers and runners at their waistbands. What is painted ends anywhere, and keeps the folds of what was there.
"""
import torch
from torch.nn import functional

from .joints import BODY25
from .loop import DEVICE

BAND = -0.3, 0.45  # where tops end and trousers begin, in parts of the trunk above the hips
SLANT = 0.1  # how much bands rise across the trunk
LEGS = 0.15, 2.0  # how far down trousers reach: 1 to the knees, 2 to the ankles
SLEEVES = 0.1, 2.0
SKIN = (0.97, 0.80, 0.70), (0.30, 0.19, 0.13)  # of the lightest and of the darkest
SWIMMERS = 0.5  # of those who are painted, so many show their skin but for what is around their hips;
TOPS, TROUSERS = 0.6, 0.8  # of the others, so many wear other tops, and of all, so many other trousers
COARSE = 2  # painted by cells of so many pixels, between which colours run into one another

TRUNK, THIGH, SHIN, UPPER_ARM, FOREARM, REST = range(6)
CORNERS = [BODY25.index(f"{side}_{part}") for part in ("shoulder", "hip") for side in ("left", "right")]  # of the trunk


def bones():
    """The numbers of their first and last joints, and of what each is part, `(bones,)`."""
    limbs = [("shoulder", "hip", TRUNK), ("hip", "knee", THIGH), ("knee", "ankle", SHIN), ("shoulder", "elbow", UPPER_ARM),
             ("elbow", "wrist", FOREARM), ("wrist", "index", REST), ("ankle", "foot_index", REST), ("eye", "ear", REST)]
    told = [(f"{side}_{first}", f"{side}_{last}", part) for first, last, part in limbs for side in ("left", "right")]
    told += [(f"left_{joint}", f"right_{joint}", part) for joint, part in (("shoulder", TRUNK), ("hip", TRUNK), ("eye", REST))]
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


def garments(joints, known, size, chance, band=BAND):
    """Where tops, trousers, and skin beside them would be, `(n, 3, size, size)` from 0 to 1."""
    n, cells = len(joints), size // COARSE
    draw = lambda bounds: chance.uniform(n, 1, 1, low=bounds[0], high=bounds[1])
    line = (torch.arange(cells, device=DEVICE) + 0.5) * COARSE - 0.5
    at = torch.stack(torch.meshgrid(line, line, indexing="xy"), -1)
    part, along = parts_at(joints, known, at)
    shoulders, hips = joints[:, CORNERS].unflatten(1, (2, 2)).mean(2).unbind(1)
    up = shoulders - hips
    up = up / (up ** 2).sum(-1, keepdim=True).clamp(min=1)
    aside = torch.stack([up[:, 1], -up[:, 0]], -1)
    from_hips = at - hips[:, None, None]
    above, across = ((from_hips * axis[:, None, None]).sum(-1) for axis in (up, aside))
    upper = above + chance.normal(n, 1, 1, spread=SLANT) * across > draw(band)
    legs, sleeves = draw(LEGS), draw(SLEEVES)
    by_hips = (part == TRUNK) | (part == THIGH) & (along < legs)
    trousers = by_hips & ~upper | (part == SHIN) & (along < legs - 1)
    top = by_hips & upper | (part == UPPER_ARM) & (along < sleeves) | (part == FOREARM) & (along < sleeves - 1)
    bare = (part != REST) & ~trousers & ~top
    return functional.interpolate(torch.stack([top, trousers, bare], 1).float(), (size, size), mode="bilinear")


def dressed(light, share, joints, known, chance, band=BAND):
    """People `(n, 3, s, s)`, of whose pixels `share` `(n, 1, s, s)` is theirs, in other clothes; their `joints` are `(n, 25, 2)`, as far as
    they are `known` `(n, 25)`: those of the trunk are. Trousers begin within `band`."""
    n, size, out = len(light), light.shape[-1], light.float()
    palest, darkest = torch.tensor(SKIN, device=DEVICE)
    skin = torch.lerp(palest, darkest, chance.uniform(n, 1)) * chance.uniform(n, 1, low=0.7, high=1.1)
    # More dark cloth than bright.
    top, trousers = (chance.uniform(n, 3) ** chance.uniform(n, 1, low=0.5, high=3) for _ in range(2))
    swims = chance.whether(SWIMMERS, n)
    colours = torch.where(swims[:, None], skin, top), trousers, skin
    painted = swims | chance.whether(TOPS, n), chance.whether(TROUSERS, n), swims
    for where, colour, yes in zip(garments(joints, known, size, chance, band).unbind(1), colours, painted):
        where = (where * yes[:, None, None])[:, None] * share.float()
        mean = (out * where).sum((2, 3), keepdim=True) / where.sum((2, 3), keepdim=True).clamp(min=1)
        colour = 255 * colour[..., None, None]
        # Folds of dark cloth are as deep as others in parts of its light.
        deep = colour.mean(1, keepdim=True) / mean.mean(1, keepdim=True).clamp(min=20)
        folds = (out - mean) * deep.clamp(max=1.5) * chance.uniform(n, 1, 1, 1, low=0.3, high=1)
        out = out + where * (colour + folds - out)
    return out.clamp(0, 255).to(light.dtype)
