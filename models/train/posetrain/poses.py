"""Poses of random bodies, for `render_people`: `python -m posetrain.poses MOCAP LABELS.json OUT.json [--count 8000]`.

Of CMU's training clips, whose heads, hands and feet are known, as they are and recombined. Joints in metres, Y up. Told besides are the
photographs of a label file that are trained on, from which clothes may get their patterns.
"""
import argparse
import json
from pathlib import Path

import numpy as np

from . import mocap
from .photos import HELD_OUT


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mocap", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=8000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    clips = [clip for clip in mocap.load(arguments.mocap, "train", bodies=3, mixed=3, seed=arguments.seed) if clip.known.all()]
    frames = [(clip, t) for clip in clips for t in range(30, len(clip.joints), 12)]
    # Who moves is drawn more often than who stands: so far did the joints go in half a second.
    stir = np.array([np.linalg.norm(clip.joints[t] - clip.joints[t - 30], axis=-1).mean() for clip, t in frames])
    chosen = rng.choice(len(frames), arguments.count, p=(stir + 0.02) / (stir + 0.02).sum())
    poses = []
    for clip, t in (frames[i] for i in chosen):
        joints = clip.joints[t].copy()
        joints[:, [0, 2]] -= joints[mocap.LIFT23.index("left_hip"), [0, 2]]
        poses.append(np.round(joints, 4).tolist())
    images = json.loads(arguments.labels.read_text())["images"]
    photos = [image["file"] for number, image in enumerate(images) if number % HELD_OUT]
    arguments.out.write_text(json.dumps({"joint_names": mocap.LIFT23, "poses": poses, "photos": photos}))
    print(f"{len(poses)} poses of {len(frames)}")


if __name__ == "__main__":
    main()
