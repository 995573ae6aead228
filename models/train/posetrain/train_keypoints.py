"""Trains the keypoint network on labelled photos and rendered people."""
import math
from pathlib import Path

import cv2
import numpy as np
import torch

from .clothes import CORNERS, FACE, dressed, trunk_ends
from .joints import BODY25
from .loop import DEVICE, fit, pixels, platt, tensor
from .people import People
from .photos import MIRROR25, Photos, Rendered, affine, into_crop, warp
from .pictures import Chance, Stretch, blur, lit, photographed
from .pictures import affine as affines, into_crop as into_crops, squared, steep, through
from .start import begin
from .vision import KeypointNet, cross_entropy, near

STRIDE = 4
GROWTH = 1.25  # a crop is so much larger than a person's box
SHARP = 1.1  # cells: the spread of the bell around a joint that is known
GUESS = 0.2  # joints whose places the teachers' looks spread over less than this part of the box are guessed at: hidden ones, mostly
GUESS_WEIGHT = 0.4
ELSEWHERE = 0.5  # of those who are cut out, so many are put before other backgrounds
CROWDED = 0.25  # so many stand beside or behind somebody else,
COVERED = 0.3  # and so many behind something
TILTED = 0.5  # so many of those in photographs, which level cameras took, are seen from above or from below:
DOWN = -15, 40  # by these angles, in degrees,
AWAY = 2.5, 6  # and from so many times half their height
STRETCHED = 0.4  # so many have legs that are longer or shorter than theirs,
LEGS = 0.72, 1.25  # by these factors,
TRUNK_LEAST = 8  # if their trunks have so many pixels
DRESSED = 0.35  # so many of those whose outlines are known wear other clothes
TORSO_ONLY = 11  # COCO's first eleven joints are of the head and the arms
PLACES = 6000


def leans(marks):
    """Of whom marks `(n, 25, 4)` show a trunk that leans by more than 30 degrees."""
    trunk = marks[:, CORNERS]
    across, down = (trunk[:, 2:, :2] - trunk[:, :2, :2]).sum(1).unbind(-1)
    return (trunk[..., 2] > 0).all(-1) & (torch.atan2(across, down).abs() > torch.pi / 6)


def backgrounds(photos, seed):
    """Squares without people, or nearly: which photographs, their middles and sides."""
    rng = np.random.default_rng(seed)
    which, centre, side = zip(*(photos.place(rng) for _ in range(PLACES)))
    return tensor(np.array(which)), tensor(np.array(centre, np.float32)), tensor(np.array(side, np.float32))


def joints_in(box, marks, matrix, side, mirror, cut_out, share):
    """Where joints are in crops `(n, 25, 2)` by photo_from_crop, `side` wide, of people who have such boxes and marks, and whether they are; how
    much each counts, and how far from there it may be in cells, `(n, 25)`. Of those `cut_out`, `share` `(n, 1, size, size)` of their crops
    was left."""
    (count, _, size, _), known = share.shape, marks[..., 2] > 0
    weight = torch.where(known, 1, torch.where(marks[..., 3] < GUESS, GUESS_WEIGHT, 0))
    apart = torch.where(known, 0, marks[..., 3]) * (box[:, 2:4] - box[:, :2]).amax(-1, keepdim=True)
    points = into_crops(matrix, marks[..., :2])
    # Joints that were cut away with the wall are hidden now.
    x, y = points.round().long().clamp(0, size - 1).unbind(-1)
    left = share[torch.arange(count, device=DEVICE)[:, None], 0, y, x] > 0.5
    weight = torch.where(cut_out[:, None] & ~left, weight.clamp(max=GUESS_WEIGHT), weight)
    apart = torch.hypot(torch.full_like(apart, SHARP), apart * (size / STRIDE) / side[:, None])
    swap = torch.where(mirror[:, None], tensor(MIRROR25), torch.arange(len(BODY25), device=DEVICE))
    points, weight, apart = points.gather(1, swap[..., None].expand(-1, -1, 2)), weight.gather(1, swap), apart.gather(1, swap)
    inside = ((points > -0.5) & (points < size - 0.5)).all(-1)
    return points, inside & (weight > 0), weight, apart


def boxes_in(box, into, joints, known):
    """First and last corners `(n, 2)` of people's boxes `(n, 4)` where `into` takes points `(n, k, 2)`: around the middles of their sides, and
    around those of their `joints` there `(n, 25, 2)` that are `known` `(n, 25)`."""
    low, high = box[:, :2], box[:, 2:]
    middle = (low + high) / 2
    across, down = torch.stack([low, middle, high, middle], 1)[..., 0], torch.stack([middle, low, middle, high], 1)[..., 1]
    ends = into(torch.stack([across, down], -1))
    # Whoever raises their hands is broader from above.
    ends = torch.cat([ends, torch.where(known[..., None], joints, ends[:, :1])], 1)
    return ends.amin(1), ends.amax(1)


class Crops:
    """`held` draws from the photos that are kept from training, without rendered people."""

    def __init__(self, recipe, seed, held=False):
        photos = Photos(recipe["labels"], recipe["photos"], held, recipe.get("masks"))
        self.seed, self.share = seed, 0 if held else recipe["figures"]
        self.reseed()
        self.people = People(photos, Rendered(recipe["rendered"]) if self.share else None)
        weights = torch.tensor([recipe["weights"].get(photos.sets[i], 1.0) for i, _ in photos.labelled], device=DEVICE)
        if not held:
            weights *= torch.where(leans(self.people.marks[:len(weights)]), recipe.get("leaning", 1.0), 1)
        self.upto = torch.cumsum(weights, 0) / weights.sum()
        self.places = backgrounds(photos, seed)

    def reseed(self, *numbers):
        self.chance = Chance(self.seed, *numbers)

    def background(self, count, size):
        """Places without people, or nearly, `(n, 3, size, size)`; some out of focus."""
        chance = self.chance
        which, centre, side = (of[(chance.uniform(count) * PLACES).long()] for of in self.places)
        matrix = affines(centre, side, size, chance.normal(count, spread=0.1), torch.ones_like(side), chance.whether(0.5, count))
        out = self.people.pictures.sample(which, matrix, size, torch.ones_like(which, dtype=torch.bool))[:, :3]
        soft = chance.some(count, 0.3)
        out[soft] = blur(out[soft], chance.rng.uniform(0.5, 2.5))
        return lit(out, chance)

    def drawn(self, count, size):
        """Crops `(n, 3, size, size)`; where joints are in them `(n, 25, 2)` and whether they are; how much each counts, and how far from
        there it may be in cells, `(n, 25)`."""
        chance, people = self.chance, self.people
        figures = round(count * self.share)
        who = people.rendered.numel() - 1 - (chance.uniform(figures) * people.rendered.sum()).long()
        who = torch.cat([who, chance.among(self.upto, count - figures)])
        box, marks, stretch = self.stretched(who)
        known = marks[..., 2] > 0
        photo_from_steep = self.tilted(who, box)
        into = torch.linalg.inv(photo_from_steep)
        joints = through(into, marks[..., :2])
        low, high = boxes_in(box, lambda points: through(into, points), joints, known)
        # A desk in front, or a webcam near by.
        above, some = joints[:, :TORSO_ONLY], known[:, :TORSO_ONLY, None]
        near_by = (chance.whether(0.25, count) & (some.sum((1, 2)) > 4))[:, None]
        low = torch.where(near_by, torch.where(some, above, torch.inf).amin(1), low)
        high = torch.where(near_by, torch.where(some, above, -torch.inf).amax(1), high)
        side = (high - low).amax(-1).clamp(min=8) * GROWTH * chance.normal(count, spread=0.16).exp()
        centre = (low + high) / 2 + chance.normal(count, 2, spread=0.06) * side[:, None]
        angle = torch.where(chance.whether(0.25, count), chance.uniform(count, low=-torch.pi, high=torch.pi), chance.normal(count, spread=0.35))
        aspect = torch.where(people.square[who], chance.uniform(count, low=-0.4, high=0.4), chance.normal(count, spread=0.06)).exp()
        mirror = chance.whether(0.5, count)
        matrix = photo_from_steep @ squared(affines(centre, side, size, angle, aspect, mirror))

        cut_out = people.mask[who] >= 0
        cut_out &= chance.whether(ELSEWHERE, count)
        apart_from = cut_out | people.rendered[who]
        light, share, theirs = people.look(who, matrix, size, apart_from, ~apart_from & chance.whether(0.3, count), stretch)
        light = self.dress(light, share, theirs, into_crops(matrix, marks[..., :2]), marks)
        light = torch.where(apart_from[:, None, None, None], lit(light, chance, share), light)
        behind = torch.where(apart_from[:, None, None, None], self.background(count, size), 114)
        crops = light + behind * (1 - share)

        told = joints_in(box, marks, matrix, side, mirror, cut_out, share)
        # What is put before somebody hides joints whose places are known all the same: the network learns where they must be.
        self.crowd(crops)
        self.cover(crops)
        return photographed(crops, chance).float(), *told

    def dress(self, light, share, theirs, joints, marks):
        """Paints other clothes on some of those of whom it is known which pixels are `theirs` `(n, 1, size, size)`, and where trunk and face
        are."""
        placed = (marks[..., 2] > 0) | (marks[..., 3] < GUESS)
        could = placed[:, CORNERS].all(-1) & placed[:, FACE].any(-1) & (theirs.amax((1, 2, 3)) > 0)
        where = (could & self.chance.whether(DRESSED, len(light))).nonzero()[:, 0]
        light = light.clone()
        light[where] = dressed(*(part[where] for part in (light, share, theirs, joints, placed)), self.chance)
        return light

    def stretched(self, who):
        """Boxes `(n, 4)` and marks `(n, 25, 4)` of people `who`, some of whom have longer or shorter legs than they were photographed with, and the
        `Stretch` that does that to their pictures."""
        chance, count, box, marks = self.chance, len(who), self.people.boxes[who, :4], self.people.marks[who]
        known = marks[..., 2] > 0
        shoulders, hips = trunk_ends(marks)
        down = hips - shoulders
        yes = chance.whether(STRETCHED, count) & known[:, CORNERS].all(-1) & (torch.linalg.vector_norm(down, dim=-1) > TRUNK_LEAST)
        factor = torch.where(yes, chance.uniform(count, low=math.log(LEGS[0]), high=math.log(LEGS[1])).exp(), 1)
        # It begins somewhere near the hips: what is seen there must not tell where they are.
        stretch = Stretch(hips + down * chance.uniform(count, 1, low=-0.4, high=0.2), down * chance.uniform(count, 1, low=0.1, high=0.4), factor)
        joints = stretch.done(marks[..., :2])
        low, high = boxes_in(box, stretch.done, joints, known)
        return torch.where(yes[:, None], torch.cat([low, high], -1), box), torch.cat([joints, marks[..., 2:]], -1), stretch

    def tilted(self, who, box):
        """photo_from_steep `(n, 3, 3)` of people `who` in boxes, nothing for most of them: from above legs are short, and hips lower than in the
        middle. Who was rendered was so already, by cameras that looked down."""
        chance, count = self.chance, len(who)
        down, away = (chance.uniform(count, low=least, high=most) for least, most in (DOWN, AWAY))
        down = torch.where(chance.whether(TILTED, count) & ~self.people.rendered[who], torch.deg2rad(down), 0)
        return steep((box[:, :2] + box[:, 2:]) / 2, (box[:, 2:] - box[:, :2]).amax(-1).clamp(min=8) / 2, down, away)

    def crowd(self, crops):
        """Puts somebody else beside some of the people, who stay in the middle."""
        chance, people, size = self.chance, self.people, crops.shape[-1]
        if not len(people.separate):
            return
        where = chance.some(len(crops), CROWDED)
        count = len(where)
        who = people.separate[(chance.uniform(count) * len(people.separate)).long()]
        low, high = people.boxes[who, :2], people.boxes[who, 2:4]
        side = (high - low).amax(-1) * chance.uniform(count, low=0.9, high=1.6)
        turn = chance.uniform(count, low=-torch.pi, high=torch.pi)
        shift = (side * chance.uniform(count, low=0.3, high=0.55))[:, None] * torch.stack([turn.cos(), 0.5 * turn.sin()], -1)
        matrix = affines((low + high) / 2 + shift, side, size, chance.normal(count, spread=0.2), torch.ones_like(side),
                         chance.whether(0.5, count))
        yes = torch.ones(count, dtype=torch.bool, device=DEVICE)
        light, share, _ = people.look(who, matrix, size, yes, ~yes)
        crops[where] = lit(light, chance, share) + crops[where] * (1 - share)

    def cover(self, crops):
        """Puts rectangles before some of the people: of one colour, or pieces of the picture."""
        chance, size = self.chance, crops.shape[-1]
        where = chance.some(len(crops), COVERED)
        sides = chance.uniform(len(where), 2, low=0.1, high=0.35) * size
        at = torch.arange(size, device=DEVICE) - chance.uniform(len(where), 2, 1) * (size - sides)[..., None]
        across, down = ((at >= 0) & (at < sides[..., None])).unbind(1)
        before = (down[:, :, None] & across[:, None])[:, None]
        plain = chance.whether(0.5, len(where))[:, None, None, None]
        piece = torch.where(plain, chance.uniform(len(where), 3, 1, 1, high=255).to(crops.dtype), crops[where].flip(-1, -2))
        crops[where] = torch.where(before, piece, crops[where])

    def batch(self, count, size):
        crops, points, shown, weight, spread = self.drawn(count, size)
        return crops.contiguous(memory_format=torch.channels_last), bells(points, shown, size, spread), weight


def bells(points, shown, size, spread):
    """`(n, joints, cells, cells)`: a bell of sum 1 around each joint that is shown; `spread` `(n, joints)` in cells."""
    cells = torch.arange(size // STRIDE, device=points.device)
    at = (points + 0.5) / STRIDE - 0.5  # crop pixels -> cells, centres of pixels and of cells being whole numbers
    height = torch.exp(-0.5 * ((cells - at[..., None]) / spread[..., None, None]) ** 2)
    across, down = (height / height.sum(-1, keepdim=True).clamp(min=1e-6)).unbind(2)
    return down[..., None] * (across * shown[..., None])[..., None, :]


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
        found = np.concatenate([found_in(net, pixels(crops[first:first + 32]))[0] for first in range(0, len(crops), 32)])
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
    """Where each joint is likeliest in crops `(n, 3, S, S)`, in their pixels `(n, 25, 2)`, and the logit of its chance `(n, 25)`."""
    with torch.no_grad():
        chance = near(net(crops)).clamp(1e-6, 1 - 1e-6).cpu().numpy()
    at, height = peaks(chance, crops.shape[-1])
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
        images, *told = crops.drawn(32, size)
        points, shown, _, _ = (part.cpu().numpy() for part in told)
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
    crops = Crops(recipe, 100)

    def loss_of(net, drawn, step):
        images, target, weight = drawn
        loss = cross_entropy(net(images), target, weight)
        return loss, {"loss": loss}

    held, net = HeldOut(recipe), KeypointNet().to(DEVICE)
    step = begin(net, recipe, checkpoint, lambda: crops.batch(64, recipe["size"])[0])
    # A GPU draws what it trains on by itself.
    net = fit(net, recipe, checkpoint, [crops], crops.batch, loss_of, held.report, every=500, step=step,
              workers=0 if DEVICE.type == "cuda" else 1)
    calibrate(net, recipe)
    return net
