"""How people hold their arms and legs: `python -m posetrain.posture MOCAP` prints the numbers of `src/reconstruct/posture.rs`.

Directions of the upper and the lower bone along the trunk's axes (outward, up, forward), as Fisher-Bingham distributions fitted by
maximum likelihood; and how often the likelier of two places of a joint is right, on subjects that were left out.
"""
import sys
from pathlib import Path

import numpy as np
import torch

from . import mocap

BONES = {"upper arm": ("shoulder", "elbow"), "forearm": ("elbow", "wrist"), "thigh": ("hip", "knee"), "shin": ("knee", "ankle")}


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def directions(folder, split):
    """`(n, 4, 3)`: each of `BONES` along the trunk's axes, of both sides, ten times a second."""
    found, at = [], mocap.LIFT23.index
    for clip in mocap.load(folder, split, bodies=1):
        if not clip.name.startswith(("cmu", "humanoid3d")):
            continue  # the rest stands still
        joints = clip.joints[::6].astype(float)
        place = lambda side, name: joints[:, at(f"{side}_{name}")]
        middle = lambda name: (place("left", name) + place("right", name)) / 2
        up = unit(middle("shoulder") - middle("hip"))
        left = place("left", "shoulder") - place("right", "shoulder")
        left = unit(left - up * (left * up).sum(-1, keepdims=True))
        axes = np.stack([left, up, np.cross(left, up)], 1)
        for side, outward in (("left", 1), ("right", -1)):
            bone = lambda a, b: np.einsum("nij,nj->ni", axes, unit(place(side, b) - place(side, a))) * [outward, 1, 1]
            found.append(np.stack([bone(*ends) for ends in BONES.values()], 1))
    return np.concatenate(found)


def terms(u):
    x, y, z = u.T
    return np.stack([x, y, z, x * x - 1 / 3, y * y - 1 / 3, x * y, x * z, y * z], 1)


def sphere(count):
    """Directions spread evenly (Fibonacci's lattice)."""
    n = np.arange(count) + 0.5
    polar, turn = np.arccos(1 - 2 * n / count), np.pi * (1 + 5 ** 0.5) * n
    return np.c_[np.cos(turn) * np.sin(polar), np.cos(polar), np.sin(turn) * np.sin(polar)]


def fit(seen):
    seen, everywhere = torch.from_numpy(terms(seen)), torch.from_numpy(terms(sphere(4000)))
    held = torch.zeros(8, dtype=torch.double, requires_grad=True)
    optimiser = torch.optim.LBFGS([held], max_iter=300, line_search_fn="strong_wolfe")

    def step():
        optimiser.zero_grad()
        loss = torch.logsumexp(everywhere @ held, 0) - (seen @ held).mean() + 1e-4 * (held ** 2).sum()
        loss.backward()
        return loss
    optimiser.step(step)
    return held.detach().numpy()


def right(held, bones, rng):
    """Share of bones that are likelier than what looks the same from a random camera, where the two are well apart."""
    turn, above = rng.uniform(0, 2 * np.pi, len(bones)), np.radians(rng.uniform(-5, 35, len(bones)))
    camera = np.c_[np.sin(turn) * np.cos(above), np.sin(above), np.cos(turn) * np.cos(above)]
    depth = (bones * camera).sum(1, keepdims=True)
    gain = (terms(bones) - terms(bones - 2 * depth * camera)) @ held
    return (gain[np.abs(depth[:, 0]) > 0.35] > 0).mean()


def main():
    folder, rng = Path(sys.argv[1]), np.random.default_rng(0)
    train, held_out = directions(folder, "train"), directions(folder, "subjects")
    for n, name in enumerate(BONES):
        held = fit(train[:, n])
        print(f"{name}: {held.round(1).tolist()}; right on subjects 05, 08, 14: {right(held, held_out[:, n], rng):.3f}")


if __name__ == "__main__":
    main()
