"""The refiner: a bidirectional LSTM that mends sequences of 3D poses (seed: Bi-LSTM behind multi-view reconstruction).

In go joints in metres about the middle of the hips' way through the window, whether each is known, and how sure it is; zeros where
it is not known. Out come all joints, in the same frame. `src/refine/sequence.rs` is the same arithmetic for users.
"""
import argparse
import json
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import nn

from . import mocap
from .views import HIPS, MIRROR

JOINTS = len(mocap.LIFT23)
COLUMNS = 5  # x, y, z, known, sigma
SHOULDERS = [mocap.LIFT23.index("left_shoulder"), mocap.LIFT23.index("right_shoulder")]
# Where on the body a joint sits is another matter for each 2D network and each skeleton.
LIMBS = {"elbow": "shoulder", "wrist": "elbow", "knee": "hip", "ankle": "knee"}
TRUNK = [n for n, name in enumerate(mocap.LIFT23) if name == "nose" or name.split("_", 1)[-1] in ("ear", "shoulder", "hip")]


class Refiner(nn.Module):
    def __init__(self, hidden, layers, frames):
        super().__init__()
        self.frames = frames
        self.lstm = nn.LSTM(JOINTS * COLUMNS, hidden, layers, batch_first=True, bidirectional=True)
        self.out = nn.Linear(2 * hidden, JOINTS * 3)
        nn.init.zeros_(self.out.weight), nn.init.zeros_(self.out.bias)

    def forward(self, sequence):
        b, t, _ = sequence.shape
        state, _ = self.lstm(sequence)
        given = sequence.reshape(b, t, JOINTS, COLUMNS)
        # What is known is corrected, what is not is made up.
        return given[..., :3] * given[..., 3:4] + self.out(state).reshape(b, t, JOINTS, 3)


class Sequences:
    """Windows of what rooms made of mocap (`posetrain.rooms`), turned and mirrored at random."""

    def __init__(self, files, frames, seed):
        data = [np.load(file) for file in files]
        self.given, self.truth, self.known = (np.concatenate([part[name] for part in data]) for name in ("given", "truth", "known"))
        bounds = np.cumsum([0] + [length for part in data for length in np.diff(part["first"])])
        self.first = np.concatenate([np.arange(a, b - frames + 1) for a, b in zip(bounds[:-1], bounds[1:])])
        self.frames, self.seed = frames, seed
        self.reseed()

    def reseed(self, *numbers):
        self.rng = np.random.default_rng([self.seed, *numbers])

    def batch(self, count):
        """Rows `(b, t, 115)`, their origin `(b, 1, 1, 3)`, the truth `(b, t, 23, 3)`, and which joints were seen at all `(b, 23)`."""
        rng, n = self.rng, self.rng.choice(self.first, count)
        index = n[:, None] + np.arange(self.frames)
        given, truth, known = self.given[index], self.truth[index], self.known[n]
        told, sigma, given = given[..., 3] > 0, given[..., 3], given[..., :3]
        yaw = rng.uniform(0, 2 * np.pi, count)
        c, s, zero = np.cos(yaw), np.sin(yaw), np.zeros(count)
        turn = np.stack([c, zero, s, zero, zero + 1, zero, -s, zero, c], -1).reshape(-1, 1, 3, 3).astype(np.float32)
        middle = truth[:, :, HIPS].mean((1, 2))[:, None, None]
        given, truth = (given - middle) @ turn.swapaxes(-1, -2), (truth - middle) @ turn.swapaxes(-1, -2)
        flip = rng.random(count) < 0.5
        for places in (given, truth):
            places[flip] = places[flip][:, :, MIRROR] * np.array([-1, 1, 1], np.float32)
        for seen in (told, sigma):
            seen[flip] = seen[flip][:, :, MIRROR]
        known = np.where(flip[:, None], known[:, MIRROR], known) & told.any(1)
        offset = self.elsewhere(truth)
        return (*features(given + offset, told, sigma), truth + offset, known)

    def elsewhere(self, truth):
        """How far joints are from where mocap has them, the same for a whole window: those of the trunk and the head in axes of the
        body, those of limbs along their bones."""
        across = truth[:, :, HIPS[0]] - truth[:, :, HIPS[1]]
        up = truth[:, :, SHOULDERS].mean(2) - truth[:, :, HIPS].mean(2)
        across = across / np.maximum(np.linalg.norm(across, axis=-1, keepdims=True), 1e-6)
        up = up - across * (up * across).sum(-1, keepdims=True)
        up = up / np.maximum(np.linalg.norm(up, axis=-1, keepdims=True), 1e-6)
        axes = np.stack([across, up, np.cross(across, up)], -2)  # (b, t, axis, 3)
        both, each = (self.rng.normal(0, size, (len(truth), len(TRUNK), 3)) for size in (0.02, 0.005))
        mirrored = np.array([TRUNK.index(MIRROR[n]) for n in TRUNK])
        offset = np.zeros((len(truth), JOINTS, 3))
        offset[:, TRUNK] = (both + both[:, mirrored] * [-1, 1, 1]) / np.sqrt(2) + each
        offset = np.einsum("bja,btax->btjx", offset, axes)
        for part, parent in LIMBS.items():
            along = self.rng.normal(0, 0.015, (len(truth), 1, 1))
            for side in ("left", "right"):
                joint, other = (mocap.LIFT23.index(f"{side}_{name}") for name in (part, parent))
                bone = truth[:, :, joint] - truth[:, :, other]
                offset[:, :, joint] = along * bone / np.maximum(np.linalg.norm(bone, axis=-1, keepdims=True), 1e-6)
        return offset.astype(np.float32)


def features(given, told, sigma):
    """`(b, t, 115)` and the origin `(b, 1, 1, 3)` that was taken off."""
    hips = told[:, :, HIPS].astype(np.float32)[..., None]
    everything = told.astype(np.float32)[..., None]
    of_hips = (given[:, :, HIPS] * hips).sum((1, 2)) / np.maximum(hips.sum((1, 2)), 1)
    of_all = (given * everything).sum((1, 2)) / np.maximum(everything.sum((1, 2)), 1)
    origin = np.where(hips.sum((1, 2)) > 0, of_hips, of_all)[:, None, None]
    rows = np.concatenate([(given - origin) * everything, everything, sigma[..., None] * everything], -1)
    return rows.reshape(*rows.shape[:2], -1).astype(np.float32), origin.astype(np.float32)


def loss(net, rows, origin, truth, known):
    got = net(torch.as_tensor(rows)) + torch.as_tensor(origin)
    want, weight = torch.as_tensor(truth), torch.as_tensor(known).float()[:, None, :, None]
    off = (got - want).abs() * weight
    moved = ((got[:, 1:] - got[:, :-1]) - (want[:, 1:] - want[:, :-1])).abs() * weight
    return off.sum() / weight.expand_as(off).sum() + moved.sum() / weight.expand_as(moved).sum()


def main():
    """A window of somebody who walks in a circle, some joints hidden, and what the network makes of it: for the test that holds
    `src/refine/sequence.rs` to the arithmetic that it is trained with."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("onnx"), parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    rng = np.random.default_rng(3)
    session = onnxruntime.InferenceSession(arguments.onnx)
    frames = session.get_inputs()[0].shape[1]
    angle = 2 * np.arange(frames) / frames
    middle = np.stack([2 + np.sin(angle), np.zeros(frames), 1 + np.cos(angle)], -1)
    body = rng.normal((0, 1, 0), (0.2, 0.4, 0.1), (JOINTS, 3))
    given = (middle[:, None] + body + rng.normal(0, 0.03, (frames, JOINTS, 3))).round(3)
    sigma = rng.uniform(0.01, 0.1, (frames, JOINTS)).round(3)
    told = rng.random((frames, JOINTS)) < 0.85
    rows, origin = features(given[None].astype(np.float32), told[None], sigma[None].astype(np.float32))
    refined = session.run(None, {session.get_inputs()[0].name: rows})[0][0] + origin[0]
    known = lambda n, j: [*given[n, j], sigma[n, j]] if told[n, j] else None
    table = {"given": [[known(n, j) for j in range(JOINTS)] for n in range(frames)],
             "refined": [(n, refined[n].round(4).tolist()) for n in (0, frames // 2, frames - 1)]}
    arguments.out.write_text(json.dumps(table, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
