"""Writes the motions that no network was trained on, for `evaluate lift`: `python -m posetrain.held MOCAP OUT.json [--split bandai]`.

Joints in metres, Y up, floor at 0, 30 frames a second, in the order of LIFT23; those that a file does not have are null.
"""
import argparse
import json
from pathlib import Path

import numpy as np

from . import mocap

RATE = 30
LONGEST = 10  # seconds of a clip that are kept
CMU_SUBJECTS = {"05": "dance", "08": "walking", "14": "everyday acts"}


def activity(name):
    if name.startswith("cmu_"):
        return CMU_SUBJECTS[name.split("_")[1]]
    return name.split("_")[1]  # dataset-1_dash_chimpira_001


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mocap", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--split", choices=("subjects", "bandai"), default="subjects",
                        help="CMU's subjects 05, 08 and 14, or the clips of another studio")
    arguments = parser.parse_args()
    clips = []
    for clip in mocap.load(arguments.mocap, arguments.split):
        frames = clip.joints[::mocap.RATE // RATE][:RATE * LONGEST]
        joints = [[point if known else None for point, known in zip(frame, clip.known)] for frame in np.round(frames, 4).tolist()]
        clips.append({"name": clip.name, "activity": activity(clip.name), "joints": joints})
    arguments.out.write_text(json.dumps({"rate": RATE, "joint_names": mocap.LIFT23, "clips": clips}))
    print(f"{len(clips)} clips, {sum(len(clip['joints']) for clip in clips)} frames")


if __name__ == "__main__":
    main()
