"""People who move before a camera, as they are followed: crops of consecutive frames, in which what hides somebody moves too."""
import json
from pathlib import Path

import numpy as np
import torch

from .loop import DEVICE, tensor
from .people import People
from .photos import HELD_OUT, Photos, Rendered, rendered_in
from .pictures import Chance, affine, after, coarsened, grayed, inverse, lit, pixels_of
from .train_keypoints import ELSEWHERE, GROWTH, PLACES, backgrounds, bells, joints_in, leans

STILL = 0.3  # so many are people of photographs, who do not move: only their crops do (unless another share is asked for)
PASSED = 0.35  # before so many somebody passes, cut out of a photograph,
COVERED = 0.35  # and before so many a board
SOFT = 0.3  # so many frames are blurred, of few pixels, or noisy, each by itself


def clips_in(folders, held):
    """The numbers of the pictures of each motion, `(motions, frames)`, as far as it is rendered whole: of one view of a person."""
    whole, before = [], 0
    for folder in map(Path, folders):
        frames = json.loads((folder / "people.json").read_text()).get("frames", 1)
        runs, people = {}, rendered_in(folder)
        for number, person in enumerate(people, before):
            if (person["person"] % HELD_OUT == 0) == held:
                runs.setdefault(int(Path(person["file"]).stem) // frames, []).append(number)
        found = [run for run in runs.values() if len(run) == frames > 1]
        if not found:
            raise ValueError(f"{folder} shows nobody who moves: `posetrain.poses --frames` tells how they do, for `render_people`")
        whole, before = whole + found, before + len(people)
    if len(set(map(len, whole))) > 1:
        raise ValueError(f"motions of {', '.join(map(str, folders))} have different numbers of frames: render them with the same `--frames`")
    return np.array(whole)


class Motions:
    """Draws crops of motions that are trained on, or of one in `HELD_OUT` that are `held`; `still` people among them."""

    def __init__(self, recipe, seed, held=False, still=STILL):
        self.still = still
        photos = Photos(recipe["labels"], recipe["photos"], held, recipe.get("masks"))
        self.people = People(photos, Rendered(recipe["moving"]))
        first = int((~self.people.rendered).sum())
        self.clips = tensor(clips_in(recipe["moving"], held)) + first
        self.frames = self.clips.shape[1]
        weights = torch.where(leans(self.people.marks[:first]), recipe.get("leaning", 1.0), 1.0)
        self.upto = torch.cumsum(weights, 0) / weights.sum()
        self.cut_out = self.people.separate[~self.people.rendered[self.people.separate]]
        self.places = backgrounds(photos, seed)
        self.seed = seed
        self.reseed()

    def reseed(self, *numbers):
        self.chance = Chance(self.seed, *numbers)

    def who(self, count, frames):
        """Pictures of people `(count, frames)`, from a moment of their motion on, forwards or backwards; and who stands still."""
        chance = self.chance
        start = (chance.uniform(count) * (self.frames - frames + 1)).long()[:, None] + torch.arange(frames, device=DEVICE)
        start = torch.where(chance.whether(0.5, count)[:, None], start, self.frames - 1 - start)
        clip = self.clips[(chance.uniform(count) * len(self.clips)).long()]
        still = chance.whether(self.still, count)
        return torch.where(still[:, None], chance.among(self.upto, count)[:, None], clip.gather(1, start)), still

    def followed(self, who, still, size):
        """photo_from_crop `(n, frames, 2, 3)` of crops around where everybody was the frame before, nearly; their sides `(n, frames)`;
        and who is shown mirrored `(n,)`."""
        chance, people, (count, frames) = self.chance, self.people, who.shape
        box = people.boxes[who][..., :4] + people.corner[who].repeat(1, 1, 2)
        box = torch.cat([box[:, :1], box[:, :-1]], 1)
        low, high = box[..., :2], box[..., 2:]
        once = lambda spread, *shape: chance.normal(count, 1, *shape, spread=spread)
        each = lambda spread, *shape: chance.normal(count, frames, *shape, spread=spread)
        side = (high - low).amax(-1).clamp(min=8) * GROWTH * (once(0.14) + each(0.02)).exp()
        # Cameras shake, and before a still picture they turn.
        drift = torch.where(still[:, None, None], each(0.02, 2).cumsum(1), 0) + once(0.05, 2) + each(0.01, 2)
        centre = (low + high) / 2 + drift * side[..., None]
        angle = torch.where(chance.whether(0.2, count)[:, None], chance.uniform(count, 1, low=-torch.pi, high=torch.pi), once(0.3))
        angle = angle + each(0.01)
        aspect = torch.where(people.square[who[:, :1]], chance.uniform(count, 1, low=-0.4, high=0.4), once(0.06)).exp().expand_as(side)
        mirror = chance.whether(0.5, count)
        flat = affine(centre.flatten(0, 1), side.flatten(), size, angle.flatten(), aspect.flatten(), mirror.repeat_interleave(frames))
        return flat.unflatten(0, (count, frames)), side, mirror

    def drawn(self, count, frames, size):
        """Crops `(n, frames, 3, size, size)`; where joints are in them `(n, frames, 25, 2)` and whether they are; how much each counts, and
        how far from there it may be in cells, `(n, frames, 25)`; and crop_before_from_crop `(n, frames, 2, 3)` in pixels, of the first
        frame the identity."""
        chance, people = self.chance, self.people
        who, still = self.who(count, frames)
        matrix, side, mirror = self.followed(who, still, size)
        own = matrix - torch.cat([torch.zeros(count, frames, 2, 2, device=DEVICE), people.corner[who][..., None].float()], -1)
        flat = lambda part: part.flatten(0, 1)
        in_turn = lambda part: part.unflatten(0, (count, frames))
        each = lambda part: part.repeat_interleave(frames, 0)  # what holds of all frames
        # The crop of the first frame, which stands still, is where all that passes by is told.
        first_from_crop = after(matrix, inverse(matrix[:, :1]).expand_as(matrix))

        cut_out = (people.mask[who[:, 0]] >= 0) & chance.whether(ELSEWHERE, count)
        apart_from = cut_out | ~still
        light, share, _ = people.look(flat(who), flat(own), size, each(apart_from), each(~apart_from & chance.whether(0.3, count)))
        light = torch.where(each(apart_from)[:, None, None, None], self.in_one_light(light, share, count), light)
        behind = torch.where(each(apart_from)[:, None, None, None], self.background(first_from_crop, size), 114)
        crops = light + behind * (1 - share)

        told = joints_in(people.boxes[flat(who)], people.marks[flat(who)], flat(own), flat(side), each(mirror), each(cut_out), share)
        crops = self.passed_by(in_turn(crops), first_from_crop)
        crops = self.covered(crops, first_from_crop)
        # A person's light stays as it is; focus and noise come and go.
        tall = crops.transpose(1, 2).flatten(2, 3)
        tall = grayed(lit(tall, chance, by=1), chance)
        crops = coarsened(flat(tall.unflatten(2, (frames, size)).transpose(1, 2)), chance, SOFT)
        before = torch.cat([matrix[:, :1], matrix[:, :-1]], 1)
        return in_turn(crops).float(), *map(in_turn, told), after(matrix, inverse(before))

    def in_one_light(self, light, share, count):
        """Crops of whose frames all are in the same other light."""
        tall = lambda part: part.unflatten(0, (count, -1)).transpose(1, 2).flatten(2, 3)
        frames, size = len(light) // count, light.shape[-1]
        other = lit(tall(light), self.chance, tall(share))
        return other.unflatten(2, (frames, size)).transpose(1, 2).flatten(0, 1)

    def background(self, first_from_crop, size):
        """A place behind everybody, `(n * frames, 3, size, size)`, that moves as their crops do."""
        chance, (count, frames) = self.chance, first_from_crop.shape[:2]
        which, centre, side = (of[(chance.uniform(count) * PLACES).long()] for of in self.places)
        place = affine(centre, side, size, chance.normal(count, spread=0.1), torch.ones_like(side), chance.whether(0.5, count))
        matrix = after(first_from_crop, place[:, None].expand_as(first_from_crop)).flatten(0, 1)
        which = which.repeat_interleave(frames)
        out = self.people.pictures.sample(which, matrix, size, torch.ones_like(which, dtype=torch.bool))[:, :3]
        return self.in_one_light(out, torch.ones_like(out[:, :1]), count)

    def moved(self, count, frames, size, by):
        """How far something that passes has come since the first frame, in pixels `(count, frames, 2)`, by so much of the crop each."""
        return torch.arange(frames, device=DEVICE)[:, None] * self.chance.normal(count, 1, 2, spread=by) * size

    def passed_by(self, crops, first_from_crop):
        """Lets somebody else pass before some of the people, who are in the middle first."""
        chance, people, (_, frames, _, size, _) = self.chance, self.people, crops.shape
        where = chance.some(len(crops), PASSED)
        count = len(where)
        if not count or not len(self.cut_out):
            return crops
        who = self.cut_out[(chance.uniform(count) * len(self.cut_out)).long()]
        low, high = people.boxes[who, :2], people.boxes[who, 2:4]
        side = (high - low).amax(-1) * chance.uniform(count, low=0.8, high=1.6)
        place = affine((low + high) / 2, side, size, chance.normal(count, spread=0.2), torch.ones_like(side), chance.whether(0.5, count))
        turn = chance.uniform(count, low=-torch.pi, high=torch.pi)
        beside = torch.stack([turn.cos(), 0.5 * turn.sin()], -1) * chance.uniform(count, 1, low=0.3, high=0.55) * size
        away = beside[:, None] + self.moved(count, frames, size, 0.05)
        there = first_from_crop[where] - torch.cat([torch.zeros(count, frames, 2, 2, device=DEVICE), away[..., None]], -1)
        matrix = after(there, place[:, None].expand_as(there)).flatten(0, 1)
        yes = torch.ones(count * frames, dtype=torch.bool, device=DEVICE)
        light, share, _ = people.look(who.repeat_interleave(frames), matrix, size, yes, ~yes)
        over = self.in_one_light(light, share, count)
        crops[where] = (over + crops[where].flatten(0, 1) * (1 - share)).unflatten(0, (count, frames))
        return crops

    def covered(self, crops, first_from_crop):
        """Lets a board pass before some of the people."""
        chance, (_, frames, _, size, _) = self.chance, crops.shape
        where = chance.some(len(crops), COVERED)
        count = len(where)
        place = chance.uniform(count, 1, 2, low=0.2, high=0.8) * size + self.moved(count, frames, size, 0.05)
        half = chance.uniform(count, 1, 2, low=0.06, high=0.25) * size
        at = torch.stack(pixels_of(first_from_crop[where].flatten(0, 1), size), -1).unflatten(0, (count, frames))
        before = ((at - place[:, :, None, None]).abs() < half[:, :, None, None]).all(-1)[:, :, None]
        wave = torch.sin(at[..., 0] * chance.uniform(count, 1, 1, 1, high=0.5) + at[..., 1] * chance.uniform(count, 1, 1, 1, high=0.5))
        board = chance.uniform(count, 1, 3, 1, 1, high=255) + wave[:, :, None] * chance.uniform(count, 1, 1, 1, 1, high=60)
        crops[where] = torch.where(before, board.clamp(0, 255).to(crops.dtype), crops[where])
        return crops

    def batch(self, count, frames, size):
        """Crops, bells `(n, frames, 25, cells, cells)`, weights, and crop_before_from_crop."""
        crops, points, shown, weight, spread, moved = self.drawn(count, frames, size)
        flat = lambda part: part.flatten(0, 1)
        target = bells(flat(points), flat(shown), size, flat(spread))
        return crops, target.unflatten(0, (count, frames)), weight, moved
