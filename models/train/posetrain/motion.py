"""Joins pieces of mocap into the motion of the sample clip: `python -m posetrain.motion MOCAP OUT.json`.

Joints in metres, Y up, 30 frames a second, in the order of LIFT23; the person walks up, waves, squats and turns.
"""
import argparse
import json
from pathlib import Path

import numpy as np

from . import mocap
from .bvh import load_bvh

LEFT, RIGHT = mocap.LIFT23.index("left_hip"), mocap.LIFT23.index("right_hip")
BLEND = 18  # frames at 60 a second


class Mean:
    """Draws the mean of human bodies."""

    def normal(self, mean, _):
        return mean

    def uniform(self, _, most):
        return most


def facing(joints):
    """Angle about +y at which each frame faces; 0 is +z."""
    left = joints[:, LEFT] - joints[:, RIGHT]
    return np.arctan2(-left[:, 2], left[:, 0])


def turned(joints, angle, about):
    c, s = np.cos(angle), np.sin(angle)
    return (joints - about) @ np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]).T + about


def joined(pieces, start):
    """Pieces end to end: each begins where, and facing as, the one before ends; the seams are blended."""
    out = None
    for piece in pieces:
        if out is None:
            piece = turned(piece, start - facing(piece)[0], piece[0, [LEFT, RIGHT]].mean(0))
            out = piece
            continue
        hips = lambda frame: frame[[LEFT, RIGHT]].mean(0) * np.array([1, 0, 1])
        piece = turned(piece, facing(out)[-BLEND] - facing(piece)[0], piece[0, [LEFT, RIGHT]].mean(0))
        piece = piece + hips(out[-BLEND]) - hips(piece[0])
        share = np.linspace(0, 1, BLEND)[:, None, None]
        share = share * share * (3 - 2 * share)
        out = np.concatenate([out[:-BLEND], out[-BLEND:] * (1 - share) + piece[:BLEND] * share, piece[BLEND:]])
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mocap", type=Path), parser.add_argument("out", type=Path)
    arguments = parser.parse_args()

    def clip(name):
        motion = load_bvh(arguments.mocap / "cmu" / f"{name}.bvh.gz")
        motion.frames = motion.frames[2:]
        return mocap.convert(motion, mocap.CMU, .01, Mean())[0]

    walk, wave, squat, spin = clip("12_01"), clip("13_26"), clip("13_30"), clip("01_01")
    low = int(squat[:, [LEFT, RIGHT], 1].mean(1).argmin())
    yaw = np.unwrap(facing(spin))
    span = 150
    most = int(np.abs(yaw[span:] - yaw[:-span]).argmax())
    pieces = [walk[20:170], wave[120:330], squat[max(low - 80, 0):low + 75], spin[most:most + span]]
    joints = joined(pieces, 0.35)
    joints[..., 1] -= joints[..., 1].min(1, keepdims=True).clip(max=0.0)
    joints -= joints[len(pieces[0]), [LEFT, RIGHT]].mean(0) * np.array([1, 0, 1])
    joints = joints[::2][:300]
    print(f"{len(joints) / 30:.1f} s; squat at {low / 60:.1f} s, turn by {np.degrees(yaw[most + span] - yaw[most]):.0f} degrees")
    text = json.dumps({"joint_names": mocap.LIFT23, "rate": 30, "frames": np.round(joints, 4).tolist()})
    arguments.out.write_text(text)


if __name__ == "__main__":
    main()
