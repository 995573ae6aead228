"""Poses of random bodies, for `render_people`: `python -m posetrain.poses MOCAP OUT.json [--count 8000]`.

Of the training clips whose head, hands and feet are known; half of them of recombined motions. Joints in metres, Y up.
"""
import argparse
import json
from pathlib import Path

import numpy as np

from . import mocap


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mocap", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=8000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    clips = [clip for clip in mocap.load(arguments.mocap, "train", bodies=3, mixed=3, seed=arguments.seed) if clip.known.all()]
    # Who moves is drawn more often than who stands: half a second apart, poses of a clip differ by so much.
    frames = [(clip, t) for clip in clips for t in range(0, len(clip.joints), 12)]
    stir = np.array([np.linalg.norm(clip.joints[t] - clip.joints[max(t - 30, 0)], axis=-1).mean() for clip, t in frames])
    chosen = rng.choice(len(frames), arguments.count, p=(stir + 0.02) / (stir + 0.02).sum())
    poses = []
    for clip, t in (frames[i] for i in chosen):
        joints = clip.joints[t].copy()
        joints[:, [0, 2]] -= joints[mocap.LIFT23.index("left_hip"), [0, 2]]
        poses.append(np.round(joints, 4).tolist())
    arguments.out.write_text(json.dumps({"joint_names": mocap.LIFT23, "poses": poses}))
    print(f"{len(poses)} poses of {len(frames)}")


if __name__ == "__main__":
    main()
