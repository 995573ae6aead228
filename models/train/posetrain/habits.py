"""What a keypoint network takes for granted: `python -m posetrain.habits recipes/keypoints.toml ../embedded/keypoints.onnx`.

On upright people in photographs kept from training, it tells how far above where they are hips are found, in hundredths of the trunk: of people
with shorter or longer legs than they have, and of people painted as swimmers whose trunks begin higher or lower. A network that finds hips by what is seen
there finds them in the same place whatever is done to the rest.
"""
import argparse
import tomllib
from pathlib import Path

import numpy as np
import torch

from .clothes import CORNERS, FACE, SWIMMING, dressed, trunk_ends
from .joints import BODY25
from .people import People
from .photos import Photos
from .pictures import Chance, Stretch, affine, into_crop
from .teachers import nothing_before, session
from .train_keypoints import GROWTH, GUESS, boxes_in, peaks

LEGS = 0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.3
BANDS = -0.2, 0, 0.1, 0.2, 0.3, 0.4  # in parts of the trunk, above the hips
ABOVE, OVER = 0.1, 0.25  # parts of the trunk: where legs begin to be stretched, and over which length
UPRIGHT = 0.8  # the least cosine of a trunk's lean
KNEES = [BODY25.index(f"{side}_knee") for side in ("left", "right")]


class Upright:
    """Everybody who is upright and cut out, from the face to the knees at least."""

    def __init__(self, recipe):
        self.people, self.size = People(Photos(recipe["labels"], recipe["photos"], True, recipe["masks"]), None), recipe["size"]
        marks = self.people.marks
        up = trunk(marks)
        seen = (marks[:, CORNERS + KNEES, 2] > 0).all(-1) & (marks[:, FACE, 2] > 0).any(-1) & (self.people.mask >= 0)
        self.who = (seen & (-up[:, 1] > UPRIGHT * torch.linalg.vector_norm(up, dim=-1))).nonzero()[:, 0]
        if not len(self.who):
            raise ValueError("of these photographs nobody who is upright and cut out was kept from training")
        self.marks = marks[self.who]
        self.known = (self.marks[..., 2] > 0) | (self.marks[..., 3] < GUESS)

    def crops(self, legs=1.0, band=None):
        """Crops `(n, 3, size, size)` of people whose legs are so much longer, in trunks that begin there if any, and where joints are in them
        `(n, 25, 2)`."""
        people, who, joints, count = self.people, self.who, self.marks[..., :2], len(self.who)
        none = torch.zeros(count, dtype=torch.bool, device=joints.device)
        up = trunk(self.marks)
        stretch = Stretch(trunk_ends(joints)[1] + ABOVE * up, -OVER * up, torch.full_like(up[:, 0], legs))
        low, high = boxes_in(people.boxes[who, :4], stretch.done, stretch.done(joints), self.marks[..., 2] > 0)
        side = GROWTH * (high - low).amax(-1)
        matrix = affine((low + high) / 2, side, self.size, 0 * side, torch.ones_like(side), none)
        light, share, theirs = people.look(who, matrix, self.size, none, none, stretch)
        there = into_crop(matrix, stretch.done(joints))
        if band is not None:
            light = dressed(light, share, theirs, there, self.known, Chance(1), SWIMMING._replace(band=(band, band)))
        return (light + 114 * (1 - share)).cpu().numpy(), there.cpu().numpy()

    def hips_above(self, network, **how):
        """Half of these hips are found further above where they are than this, in parts of the trunk."""
        crops, there = self.crops(**how)
        nothing = nothing_before(network)
        maps = np.stack([network.run(None, nothing | {"image": crop[None].astype(np.float32)})[0][0] for crop in crops])
        off = (peaks(maps, self.size)[0] - there)[:, CORNERS[2:]].mean(1)
        up = trunk(torch.from_numpy(there)).numpy()
        return np.median((off * up).sum(-1) / (up ** 2).sum(-1))


def trunk(marks):
    """From the middle of the hips to that of the shoulders, `(n, 2)`."""
    shoulders, hips = trunk_ends(marks)
    return shoulders - hips


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("network", type=Path)
    arguments = parser.parse_args()
    upright, network = Upright(tomllib.loads(arguments.recipe.read_text())), session(arguments.network)
    print(f"{len(upright.who)} people; how far above the hips they are found, in hundredths of the trunk")
    for what, key, values in (("legs so much longer", "legs", LEGS), ("painted trunks from so far above the hips", "band", BANDS)):
        told = (f"{value:g}: {100 * upright.hips_above(network, **{key: value}):+.1f}" for value in values)
        print(f"{what}: {', '.join(told)}", flush=True)


if __name__ == "__main__":
    main()
