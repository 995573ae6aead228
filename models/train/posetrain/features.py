"""`python -m posetrain.features OUT.json`: a few frames and their features, for the test that holds `src/lift/window.rs` to the
arithmetic that networks are trained with."""
import json
import sys
from pathlib import Path

import numpy as np

from .mocap import LIFT23
from .views import begin_late, normalise

SIZE, FOCAL = (640, 480), 532.0


def example(seed=3, people=3, frames=4):
    """People who drift through the picture: pixels `(people, frames, 23, 2)`, confidences, seconds since the frame before."""
    rng = np.random.default_rng(seed)
    body = rng.normal(0, (30, 70), (people, 1, 23, 2))
    middle = rng.uniform((120, 120), (520, 360), (people, 1, 1, 2))
    drift = rng.normal(0, 12, (people, 1, 1, 2)) * np.arange(frames)[None, :, None, None]
    pixels = middle + drift + body * (1 + 0.05 * np.arange(frames))[None, :, None, None] + rng.normal(0, 1, (people, frames, 23, 2))
    confidence = rng.uniform(0.25, 1, (people, frames, 23))
    confidence[rng.random(confidence.shape) < 0.15] = 0.1  # too unsure to count
    confidence[0, :, 3:11] = 0.1  # no torso at all
    seconds = np.concatenate([np.full((people, 1), 1 / 30), rng.choice([1 / 60, 1 / 30, 1 / 15], (people, frames - 1))], 1)
    return np.round(pixels, 3), np.round(confidence, 3), seconds


def main():
    pixels, confidence, seconds = example()
    rays = (pixels - (np.array(SIZE) - 1) / 2) / FOCAL
    up = np.array([[0.28, -0.96, 0], [0, 0, 0], [-0.28, -0.8, 0.5306]])  # of the second nobody knows it
    along = np.repeat(up[:, None], rays.shape[1], 1)
    features, turn = normalise(rays.astype(np.float32), confidence >= 0.2, confidence, seconds, along)
    features = begin_late(features, np.zeros(len(features), int))
    table = {"joints": LIFT23, "size": SIZE, "focal": FOCAL, "people": [
        {"up": u.tolist() if u.any() else None,
         "frames": [{"seconds": float(s), "keypoints": np.concatenate([p, c[:, None]], -1).round(3).tolist(), "features": f.round(5).tolist()}
                    for p, c, s, f in zip(*person)], "person_from_camera": t.round(6).tolist()}
        for *person, u, t in zip(pixels, confidence, seconds, features, up, turn[:, -1])]}
    Path(sys.argv[1]).write_text(json.dumps(table) + "\n")


if __name__ == "__main__":
    main()
