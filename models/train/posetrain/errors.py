"""How the keypoint network errs, measured on photos and motions kept from training: `python -m posetrain.errors recipes/video.toml
CARD.onnx OUT.json`.

The lifting recipes draw their noise from the file. It tells, in parts of the spread of a person's joints (their root mean square
distance from their centre):

- `median`, `[a, b]`: the median error of a joint found with confidence c is exp(a + b logit c);
- `tail`: the standard deviation of the error's logarithm about that. Those who draw from it multiply it by normals along both axes,
  whose length spreads too: sure joints get a longer tail than was measured, unsure ones, whose errors are often whole limbs, do not;
- `lasting`, `[a, b]`: the share of an error that stays as it is, and of one that does for some frames (`MOMENT`): between two frames that
  are k apart, errors of a joint of somebody who moves correlate by a + b (1 - k / `MOMENT`); what is left is new in each frame. Drawn ones
  hold together a little less, as their size wanders too, but for those that are `STUBBORN`;
- `along`, `across`: how errors of joints go together, along the trunk and across it: rows of the lower triangle of a matrix, which makes
  normals of joints that correlate as errors do of normals that do not. Where clothes hide hips, both are too high;
- `joints`: the mean logit of each joint of `LIFT23`; `person`, `rest`: how far the logits of a person, and of a joint of a person, are
  from their means (standard deviations).
"""
import argparse
import json
import tomllib
from pathlib import Path

import numpy as np

from . import train_video
from .joints import BODY25, mirror_of
from .mocap import LIFT23
from .moving import Motions
from .teachers import nothing_before, session
from .train_keypoints import GUESS, HeldOut, peaks
from .train_video import LEAP, SETTLED
from .views import MOMENT, square, trunk_of

LEAST = 0.05  # confidences below this are of joints that nobody asks about
BATCHES = 12  # of eight motions each
LEAST_VARIANCE = 0.05  # along any mixture of joints: of few people, correlations may come out as none that there can be


def found(held, network, size):
    """Errors `(people, 25, 2)` along each person's trunk and across it, in parts of their spread, confidences, and which of the joints the
    teachers know or guess."""
    error, confidence, told = [], [], []
    nothing = nothing_before(network)
    for crop, wanted, marks in held.crops(size):
        maps = network.run(None, nothing | {"image": crop.transpose(2, 0, 1)[None].astype(np.float32)})[0][0]
        at, height = peaks(maps, size)
        agreed = marks[:, 2] > 0
        spread = np.sqrt(wanted[agreed].var(0).sum())
        error.append((at - wanted) @ trunk_of(wanted, BODY25).T / spread)
        confidence.append(height)
        told.append(agreed | (marks[:, 3] < GUESS))
    return np.stack(error), np.stack(confidence).clip(1e-3, 1 - 1e-3), np.stack(told)


def fit(error, confidence, told):
    error, logit = np.linalg.norm(error, axis=-1), np.log(confidence / (1 - confidence))
    use = told & (confidence > LEAST)
    slope, shift = np.polyfit(logit[use], np.log(error[use].clip(1e-3)), 1)
    apart = np.log(error[use].clip(1e-3)) - shift - slope * logit[use]
    of_joint = np.array([logit[use[:, j], j].mean() for j in range(len(BODY25))])
    of_joint = (of_joint + of_joint[mirror_of(BODY25)]) / 2
    rest = np.where(use, logit - of_joint, np.nan)
    person = np.nanmean(rest, 1, keepdims=True)
    return {"median": [shift, slope], "tail": apart.std(), "joints": [of_joint[BODY25.index(name)] for name in LIFT23],
            "person": np.nanstd(person), "rest": np.nanstd(rest - person)}


def together(error, use):
    """The triangle of `along` or `across` (see above), of errors `(people, 23)` of those joints that are to be used.

    What is asked of two joints is only how often they err to the same side: that is known of normals that correlate by c, arcsin(c) / pi more
    than half of the time, however large errors are."""
    side = np.where(use, np.sign(error), 0)
    alike = side.T @ side / np.maximum(use.T.astype(float) @ use, 1)
    mirror = mirror_of(LIFT23)
    correlation = np.sin(np.pi / 4 * (alike + alike[np.ix_(mirror, mirror)]))
    np.fill_diagonal(correlation, 1)
    value, vector = np.linalg.eigh(correlation)
    correlation = vector * value.clip(min=LEAST_VARIANCE) @ vector.T
    scale = np.sqrt(np.diag(correlation))
    triangle = np.linalg.cholesky(correlation / scale / scale[:, None])
    return [np.round(row[:n + 1], 3).tolist() for n, row in enumerate(triangle)]


def in_motion(motions, network, size):
    """How far off joints of people who move are found, frame after frame, in parts of the box, `(people, frames, 25, 2)`, and which of them
    can be seen."""
    def told(crops, moved):
        fed, maps = nothing_before(network, len(crops)), []
        for image, moved_by in zip(crops.cpu().numpy().swapaxes(0, 1), moved.cpu().numpy().swapaxes(0, 1)):
            fed |= {"image": image, "crop_before_from_crop": moved_by}
            shown, fed["state"] = network.run(None, fed)
            maps.append(shown)
        return np.stack(maps, 1)
    error, _, _, seen = map(np.concatenate, zip(*train_video.found(told, motions, size, BATCHES, motions.frames)))
    return error[:, SETTLED:], seen[:, SETTLED:]


def lasting(error, seen):
    """See above. Leaps are errors of another kind: they count as if they were of `LEAP`."""
    error = error * np.minimum(1, LEAP / np.linalg.norm(error, axis=-1, keepdims=True).clip(1e-6))
    lags = np.arange(1, min(error.shape[1], MOMENT))
    alike = []
    for lag in lags:
        one, other, both = error[:, :-lag], error[:, lag:], seen[:, :-lag] & seen[:, lag:]
        power = lambda a, b: (a * b).sum(-1)[both].sum()
        alike.append(power(one, other) / np.sqrt(power(one, one) * power(other, other)))
    slope, always = np.polyfit(1 - lags / MOMENT, alike, 1)
    return [np.clip(always, 0, 1), np.clip(slope, 0, 1 - np.clip(always, 0, 1))]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("network", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    recipe = tomllib.loads(arguments.recipe.read_text())
    held, network, size = HeldOut(recipe), session(arguments.network), recipe["size"]
    error, confidence, told = found(held, network, size)
    model = fit(error, confidence, told) | {"lasting": lasting(*in_motion(Motions(recipe, 7, held=True, still=0), network, size))}
    rounded = {name: np.round(np.float64(value), 3).tolist() for name, value in model.items()}
    joints = [BODY25.index(name) for name in LIFT23]
    use = (told & (confidence > LEAST))[:, joints]
    rounded |= {name: together(error[:, joints, axis], use) for axis, name in enumerate(("along", "across"))}
    arguments.out.write_text(json.dumps(rounded) + "\n")
    of = lambda name, a, b: np.dot(*square(rounded[name])[[LIFT23.index(a), LIFT23.index(b)]])
    print(f"{len(held.people)} people: " + json.dumps({name: value for name, value in rounded.items() if name not in ("along", "across")}))
    for pair in (("left_hip", "right_hip"), ("left_shoulder", "right_shoulder"), ("left_hip", "left_knee"), ("left_ankle", "left_heel")):
        print(f"{pair[0]} and {pair[1]}: correlation {of('along', *pair):.2f} along the trunk, {of('across', *pair):.2f} across")


if __name__ == "__main__":
    main()
