"""Trains the person detector on boxes in photos, around people who are put into them, and around rendered people."""
import math
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from .loop import DEVICE, fit, platt, tensor
from .people import People
from .photos import Photos, Rendered
from .pictures import Chance, affine, into_crop, lit, photographed
from .start import begin
from .vision import PersonNet, focal

STRIDE = 8
GUESTS = 0.4  # the chance that people of other photographs are put into one,
TILED = 0.3  # and that four pictures, each half as large, make one: of small people there are few
COVERED = 0.5  # whoever a guest hides by more than this is no longer asked for
SURE = 0.35  # whoever is less sure may be somebody or not
UNSURE = 0.2


class Scenes:
    """`held` draws from the photos that are kept from training, without anybody who was not there."""

    def __init__(self, recipe, seed, held=False):
        photos = Photos(recipe["labels"], recipe["photos"], held, recipe.get("masks"))
        self.composed, self.seed, self.share = not held, seed, 0 if held else recipe["figures"]
        self.people = People(photos, Rendered(recipe["rendered"]) if self.share else None)
        self.photos = len(photos.images)
        # `(photos, most, 5)`: boxes of photographs, and how sure they are; below 0 where there are no more.
        most = max(1, *map(len, photos.people))
        none = [0, 0, 0, 0, -1]
        self.boxes = tensor(np.array([[[*box, score] for box, score, _ in people] + [none] * (most - len(people)) for people in photos.people],
                                     np.float32))
        self.square = tensor(np.array(photos.square))
        self.empty = tensor(np.array(photos.empty, np.int64))
        self.rendered = self.people.rendered.nonzero()[:, 0]
        self.cut_out = self.people.separate[~self.people.rendered[self.people.separate]]
        self.reseed()

    def reseed(self, *numbers):
        self.chance = Chance(self.seed, *numbers)

    def drawn(self, count, size):
        """Pictures `(count, 3, size, size)`, and the boxes of their people `(count, most, 5)` in pixels, with how sure they are; below 0
        where there are no more."""
        tiled = round(count * TILED) if self.composed else 0
        pictures, boxes = self.single(count - tiled, size)
        if tiled:
            quarters, found = self.single(4 * tiled, size // 2)
            corners = torch.tensor([[0, 0], [1, 0], [0, 1], [1, 1]], device=DEVICE) * (size // 2)
            found = found.unflatten(0, (tiled, 4)) + functional.pad(corners.repeat(1, 2), (0, 1))[:, None]
            quarters = quarters.unflatten(0, (tiled, 2, 2)).permute(0, 3, 1, 4, 2, 5).flatten(4).flatten(2, 3)
            found = found.flatten(1, 2)
            most = max(boxes.shape[1], found.shape[1])
            pictures = torch.cat([pictures, quarters])
            boxes = torch.cat([functional.pad(part, (0, 0, 0, most - part.shape[1]), value=-1) for part in (boxes, found)])
        return pictures.float(), boxes

    def single(self, count, size):
        chance, people = self.chance, self.people
        which = (chance.uniform(count) * self.photos).long()
        # Rendered people stand where nobody else is.
        figured = chance.whether(self.share, count) if len(self.empty) else chance.whether(0, count)
        if self.share and len(self.empty):
            which = torch.where(figured, self.empty[(chance.uniform(count) * len(self.empty)).long()], which)
        boxes = self.boxes[which]
        extent = torch.stack([people.pictures.wide[which], people.pictures.high[which]], -1).float()
        side = extent.amax(-1) * chance.uniform(count, low=-0.5, high=0.35).exp()
        centre = extent / 2 + chance.normal(count, 2, spread=0.12) * side[:, None]
        # Half of all look near somebody.
        there = boxes[..., 4] >= 0
        one = (chance.uniform(count, boxes.shape[1]) * there).argmax(-1)
        middle = (boxes[..., :2] + boxes[..., 2:4])[torch.arange(count, device=DEVICE), one] / 2
        near = (chance.whether(0.5, count) & there.any(-1))[:, None]
        centre = torch.where(near, 0.4 * centre + 0.6 * middle, centre)
        # Level cameras, tilted ones, pictures on their side.
        turn = chance.uniform(count)
        angle = torch.where(turn < 0.55, chance.normal(count, spread=0.1), torch.where(turn < 0.92, chance.normal(count, spread=0.45),
                            (chance.uniform(count, low=1, high=4).floor() * (torch.pi / 2))))
        aspect = torch.where(self.square[which], chance.uniform(count, low=-0.4, high=0.4), chance.normal(count, spread=0.08)).exp()
        mirror = chance.whether(0.5, count)
        matrix = affine(centre, side, size, angle, aspect, mirror)
        seen = people.pictures.sample(which, matrix, size, torch.zeros_like(figured))
        pictures = seen[:, :3] + 114 * (1 - seen[:, 3:] / 255)
        boxes = turned(boxes, matrix, size)
        if self.composed:
            invited = ~figured & chance.whether(GUESTS, count)
            for more in (1, 0.6, 0.4):  # one guest, or two or three
                for guests, hosts in ((self.cut_out, invited), (self.rendered, figured)):
                    hosts = (hosts & chance.whether(more, count)).nonzero()[:, 0]
                    if len(guests) and len(hosts):
                        boxes = self.invite(pictures, boxes, hosts, guests, torch.where(mirror, -angle, angle)[hosts])
        return photographed(pictures, chance), boxes

    def invite(self, pictures, boxes, hosts, guests, tilt):
        """Puts somebody into each of the pictures `hosts`, upright as their cameras are, whose `tilt` this is; gives the boxes with those."""
        chance, people, (count, size) = self.chance, self.people, (len(hosts), pictures.shape[-1])
        who = guests[(chance.uniform(count) * len(guests)).long()]
        low, high = people.boxes[who, :2], people.boxes[who, 2:4]
        height = chance.uniform(count, low=math.log(0.07), high=math.log(0.9)).exp() * size
        side = (high - low).amax(-1) * size / height
        # In a mirror, people lean to the other side.
        mirror, tilt = chance.whether(0.5, count), tilt + chance.normal(count, spread=0.1)
        linear = affine(torch.zeros_like(low), side, size, torch.where(mirror, -tilt, tilt), torch.ones_like(side), mirror)[..., :2]
        place = chance.uniform(count, 2, high=size - 1)
        matrix = torch.cat([linear, ((low + high) / 2)[..., None] - linear @ place[..., None]], -1)
        yes = torch.ones(count, dtype=torch.bool, device=DEVICE)
        light, share, _ = people.look(who, matrix, size, yes, ~yes)
        pictures[hosts] = lit(light, chance, share) + pictures[hosts] * (1 - share)
        own = turned(torch.cat([people.boxes[who, :4], torch.ones_like(side)[:, None]], -1)[:, None], matrix, size, 0.4)
        new = torch.full_like(boxes[:, :1], -1)
        new[hosts] = own
        # Whoever a guest hides is no longer asked for.
        shared = (torch.minimum(new[..., 2:4], boxes[..., 2:4]) - torch.maximum(new[..., :2], boxes[..., :2])).clamp(min=0).prod(-1)
        hidden = (new[..., 4] >= 0) & (shared > COVERED * (boxes[..., 2:4] - boxes[..., :2]).prod(-1))
        boxes[..., 4] = torch.where(hidden, boxes[..., 4].clamp(max=UNSURE), boxes[..., 4])
        return torch.cat([boxes, new], 1)

    def batch(self, count, size):
        """Pictures, and of each cell `(count, cells, cells)`: how much there is a person's middle, how much that counts, the box `(count,
        4, cells, cells)` in cells, and whether it is near enough to a middle to be asked for it."""
        pictures, boxes = self.drawn(count, size)
        corners, sure = boxes[..., :4] / STRIDE, boxes[..., 4]
        extent = corners[..., 2:] - corners[..., :2]
        # Where several are near, the smallest box counts.
        most = int((sure >= 0).sum(-1).max())
        order = torch.where(sure >= 0, extent.prod(-1), torch.inf).argsort(-1)[:, :max(most, 1)]
        rows = torch.arange(count, device=DEVICE)[:, None]
        corners, sure, extent = corners[rows, order], sure[rows, order], extent[rows, order]
        cells = size // STRIDE
        grid = torch.arange(cells, device=DEVICE)
        middle = (corners[..., :2] + corners[..., 2:]) / 2
        apart = (grid + 0.5 - middle[..., None]) / (0.12 * extent + 0.6)[..., None]  # (count, most, 2, cells)
        across, down = torch.exp(-0.5 * apart ** 2).unbind(2)
        bell = down[..., :, None] * across[..., None, :]
        column, row = middle.long().clamp(0, cells - 1).unbind(-1)
        centre = ((grid == row[..., None])[..., :, None] & (grid == column[..., None])[..., None, :])
        asked = ((sure >= SURE) & (extent.amin(-1) >= 1.2))[..., None, None]
        unsure = ((sure >= 0)[..., None, None] & ~asked & (bell > 0.1)).any(1)  # too unsure or too small to say either way
        target = torch.where(centre, 1, bell.clamp(max=0.98)).mul(asked).amax(1)
        near = ((bell > 0.55) | centre) & asked
        inside, smallest = near.any(1), near.byte().argmax(1)
        box = corners.transpose(1, 2)[:, :, :, None].expand(-1, -1, -1, cells * cells)
        box = box.gather(2, smallest.flatten(1)[:, None, None].expand(-1, 4, 1, -1))[:, :, 0].unflatten(-1, (cells, cells))
        weight = (~unsure | (target == 1)).float()
        return pictures.contiguous(memory_format=torch.channels_last), target, weight, box * inside[:, None], inside.float()


def turned(boxes, matrix, size, least=0.25):
    """Boxes `(n, most, 5)` of photographs in crops by photo_from_crop `(n, 2, 3)`, cut off at their edges. Those of whose area less than
    `least` is in the crop are of somebody unsure; those of whom nothing is are none any more."""
    low, high = boxes[..., :2], boxes[..., 2:4]
    middle = into_crop(matrix, (low + high) / 2)
    # The ellipse in a box turns with the picture.
    half = into_crop(matrix * torch.tensor([1, 1, 0], device=DEVICE), torch.diag_embed((high - low) / 2).flatten(1, 2))
    half = half.unflatten(1, (-1, 2)).square().sum(-2).sqrt()
    first, last = (middle - half).clamp(min=0), (middle + half).clamp(max=size)
    shown = (last - first).clamp(min=0)
    sure = torch.where(shown.prod(-1) > least * 4 * half.prod(-1), boxes[..., 4], boxes[..., 4].clamp(max=UNSURE))
    return torch.cat([first, last, torch.where(shown.amin(-1) > 3, sure, -1)[..., None]], -1)


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
            drawn, truths = scenes.drawn(24, size)
            output = net(drawn).cpu()
            score, boxes = output[:, 4], boxes_of(output[:, :4]) * STRIDE
            peaks = (functional.max_pool2d(score, 3, 1, 1) == score) & (score > -4)
            for n, y, x in peaks.nonzero().tolist():
                box, truth = boxes[n, :, y, x], truths[n][truths[n, :, 4] >= 0].cpu()
                best = giou(box.expand(len(truth), 4), truth[:, :4]) if len(truth) else torch.zeros(0)
                if len(best) and best.max() > 0.45 and truth[best.argmax(), 4] < SURE:
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
    checkpoint = Path(work) / "person.pt"
    scenes = Scenes(recipe, 100)

    def loss_of(net, drawn, step):
        pictures, target, weight, box, inside = drawn
        output = net(pictures).float()
        overlap = giou(boxes_of(output[:, :4]), box)
        located = ((1 - overlap) * inside).sum() / inside.sum().clamp(min=1)
        found = focal(output[:, 4], target, weight)
        return found + 2 * located, {"found": found, "located": located}

    net = PersonNet().to(DEVICE)
    step = begin(net, recipe, checkpoint, lambda: scenes.batch(64, recipe["size"])[0])
    # A GPU draws what it trains on by itself.
    net = fit(net, recipe, checkpoint, [scenes], scenes.batch, loss_of, step=step,
              workers=0 if DEVICE.type == "cuda" else 1)
    calibrate(net, recipe)
    return net
