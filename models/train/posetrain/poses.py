"""Poses of random bodies, for `render_people`: `python -m posetrain.poses MOCAP LABELS.json OUT.json [--count 8000]`.

Of CMU's training clips, whose heads, hands and feet are known, as they are and recombined; some are put on chairs, and before most of
these stands a desk. With `--athletes`, so many of them bend as gymnasts do, any way up, which mocap hardly shows. With `--frames`,
everybody moves, 15 to 30 poses a second on end. Joints in metres, Y up. Told besides are the photographs of a label file that are trained
on, from which clothes may get their patterns.
"""
import argparse
import json
from pathlib import Path

import numpy as np

from . import mocap
from .mocap import AT
from .photos import HELD_OUT

SEATED, DESKS = 0.25, 0.7  # parts of everybody, and of those
STEPS = 2, 4  # sixtieths of a second between two poses of somebody who moves
AT_WORK = 0.6  # the chance that an arm reaches forwards, as to a keyboard
# How long legs are, in those of CMU's doll, which has long ones: the mean of the logarithm, and how far people differ.
LEGS = -0.08, 0.13


def turning(one, other):
    """The shortest rotation of one direction into another (Rodrigues)."""
    one, other = one / np.linalg.norm(one), other / np.linalg.norm(other)
    axis, cosine = np.cross(one, other), one @ other
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    return np.eye(3) + cross + cross @ cross / (1 + cosine + 1e-6)


def seated(joints, rng):
    """The same trunk and arms, upright or nearly, on a chair; the bones of arms and legs keep their lengths."""
    out = joints.astype(float)
    hips = (out[AT["left_hip"]] + out[AT["right_hip"]]) / 2
    chest = (out[AT["left_shoulder"]] + out[AT["right_shoulder"]]) / 2
    lean = np.array([rng.normal(0, 0.12), 1, rng.normal(0, 0.12)])
    upright = turning(chest - hips, lean)
    out = (out - hips) @ upright.T + hips
    left = out[AT["left_hip"]] - out[AT["right_hip"]]
    left[1] = 0
    left /= np.linalg.norm(left)
    ahead = np.cross(left, [0, 1, 0])
    for side, outwards in (("left", left), ("right", -left)):
        hip, knee, ankle, heel, toe = (AT[f"{side}_{part}"] for part in ("hip", "knee", "ankle", "heel", "foot_index"))
        thigh = ahead + outwards * rng.normal(0.2, 0.2) + np.array([0, rng.normal(-0.05, 0.12), 0])
        shin = np.array([0, -1, 0]) + ahead * rng.normal(0, 0.3) + outwards * rng.normal(0, 0.12)
        place = out[hip] + thigh * np.linalg.norm(out[knee] - out[hip]) / np.linalg.norm(thigh)
        foot = place + shin * np.linalg.norm(out[ankle] - out[knee]) / np.linalg.norm(shin)
        # Feet point where legs do, and lie on the floor, more or less.
        step = ahead + outwards * rng.normal(0.2, 0.2)
        step *= np.linalg.norm(out[toe] - out[heel]) / np.linalg.norm(step)
        out[knee], out[heel] = place, foot - 0.25 * step - np.array([0, 0.06, 0])
        out[ankle], out[toe] = foot, out[heel] + step
        if rng.random() < AT_WORK:
            shoulder, elbow, wrist = (AT[f"{side}_{part}"] for part in ("shoulder", "elbow", "wrist"))
            hand = [wrist, AT[f"{side}_pinky"], AT[f"{side}_index"]]
            upper = np.array([0, -1, 0]) + ahead * rng.uniform(0, 0.8) + outwards * rng.normal(0.25, 0.2)
            fore = ahead + outwards * rng.normal(-0.3, 0.35) + np.array([0, rng.normal(0.05, 0.2), 0])
            before = out[wrist] - out[elbow]
            out[hand] -= out[elbow]
            out[elbow] = out[shoulder] + upper * np.linalg.norm(out[elbow] - out[shoulder]) / np.linalg.norm(upper)
            out[hand] = out[hand] @ turning(before, fore).T + out[elbow]
    out[:, 1] -= out[:, 1].min()
    return out


def on_legs(joints, factor):
    """The same body `(..., 23, 3)` on legs that are so much longer, its lowest joint as high as it was; feet keep their size."""
    out = joints.copy()
    for side in ("left", "right"):
        hip, knee, ankle, *foot = (AT[f"{side}_{part}"] for part in ("hip", "knee", "ankle", "heel", "foot_index"))
        out[..., knee, :] = joints[..., hip, :] + factor * (joints[..., knee, :] - joints[..., hip, :])
        out[..., ankle, :] = out[..., knee, :] + factor * (joints[..., ankle, :] - joints[..., knee, :])
        out[..., foot, :] += out[..., ankle, None, :] - joints[..., ankle, None, :]
    out[..., 1] += joints[..., 1].min() - out[..., 1].min()
    return out


def turn(axis, angle):
    """The rotation by an angle about a direction (Rodrigues)."""
    x, y, z = axis / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def anyhow(rng):
    """A rotation, all of them as likely."""
    q, r = np.linalg.qr(rng.normal(size=(3, 3)))
    q *= np.sign(np.diag(r))
    return q * np.linalg.det(q)


def bent(mean, spread, least, most, rng):
    """An angle in radians of those that a joint allows, given in degrees."""
    return np.radians(np.clip(rng.normal(mean, spread), least, most))


def athletic(joints, rng):
    """The same body as far bent as bodies go: trunk, hips, knees, shoulders and elbows each by themselves; half of them any way up. Bones
    keep their lengths, but for those to toes, which follow heels."""
    out = joints.astype(float)
    place = lambda name: out[AT[name]]
    hips = (place("left_hip") + place("right_hip")) / 2
    chest = (place("left_shoulder") + place("right_shoulder")) / 2
    # In axes of the hips: x left, y up, z ahead.
    across, up = place("left_hip") - place("right_hip"), chest - hips
    across /= np.linalg.norm(across)
    up -= up @ across * across
    up /= np.linalg.norm(up)
    out = (out - hips) @ np.stack([across, up, np.cross(across, up)]).T

    legs = [AT[f"{side}_{part}"] for side in ("left", "right") for part in ("hip", "knee", "ankle", "heel", "foot_index")]
    upper = np.setdiff1d(np.arange(len(out)), legs)
    x, y, z = np.eye(3)
    trunk = turn(x, bent(20, 35, -40, 110, rng)) @ turn(z, bent(0, 18, -45, 45, rng)) @ turn(y, bent(0, 22, -60, 60, rng))
    out[upper] = out[upper] @ trunk.T
    head = [AT[name] for name in ("nose", "left_ear", "right_ear")]
    neck = 0.75 * (place("left_shoulder") + place("right_shoulder")) / 2 + 0.25 * out[head].mean(0)
    nod = trunk @ turn(y, bent(0, 30, -70, 70, rng)) @ turn(x, bent(0, 22, -50, 50, rng)) @ trunk.T
    out[head] = (out[head] - neck) @ nod.T + neck

    split = rng.random() < 0.15
    for side, outward in (("left", 1), ("right", -1)):
        hip, knee, ankle, heel, toe = (AT[f"{side}_{part}"] for part in ("hip", "knee", "ankle", "heel", "foot_index"))
        length = lambda a, b: np.linalg.norm(joints[a] - joints[b])
        forwards = bent(outward * 70 if split else 35, 20 if split else 45, -40, 130, rng)
        thigh = turn(x, -forwards) @ turn(z, outward * bent(15, 22, -15, 85, rng)) @ turn(y, outward * bent(10, 25, -40, 60, rng))
        shin = thigh @ turn(x, abs(bent(0, 30 if split else 60, -150, 150, rng)))
        foot = shin @ turn(x, bent(25, 30, -20, 70, rng))
        out[knee] = out[hip] - length(hip, knee) * thigh[:, 1]
        out[ankle] = out[knee] - length(knee, ankle) * shin[:, 1]
        out[heel] = out[ankle] - length(ankle, heel) * (0.8 * foot[:, 1] + 0.6 * foot[:, 2])
        out[toe] = out[heel] + length(heel, toe) * foot[:, 2]

        shoulder, elbow, wrist = (AT[f"{side}_{part}"] for part in ("shoulder", "elbow", "wrist"))
        hand = [wrist, AT[f"{side}_pinky"], AT[f"{side}_index"]]
        while True:
            arm = rng.normal(size=3) * [1, 1.3, 1] + [0.4 * outward, 0, 0.4]
            arm /= np.linalg.norm(arm)
            # Not through the chest, and hardly behind the back.
            if arm[0] * outward > -0.4 and arm[2] > -0.6:
                break
        arm = trunk @ arm
        fore = turn(np.cross(arm, rng.normal(size=3)), abs(bent(0, 65, -145, 145, rng))) @ arm
        from_elbow = (out[hand] - out[elbow]) @ turning(out[wrist] - out[elbow], fore).T
        out[elbow] = out[shoulder] + arm * length(shoulder, elbow)
        out[hand] = out[elbow] + from_elbow
    out = out @ (anyhow(rng) if rng.random() < 0.5 else turn(rng.normal(size=3) * [1, 0, 1], bent(0, 20, -60, 60, rng))).T
    out[:, 1] -= out[:, 1].min()
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mocap", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=8000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--athletes", type=float, default=0.0, help="part of everybody, of those who do not move")
    parser.add_argument("--frames", type=int, default=1)
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    clips = [clip for clip in mocap.load(arguments.mocap, "train", bodies=3, mixed=3, seed=arguments.seed) if clip.known.all()]
    longest = STEPS[1] * (arguments.frames - 1)
    frames = [(clip, t) for clip in clips for t in range(30, len(clip.joints) - longest, 12)]
    # Who moves is drawn more often than who stands: so far did the joints go in half a second.
    stir = np.array([np.linalg.norm(clip.joints[t] - clip.joints[t - 30], axis=-1).mean() for clip, t in frames])
    chosen = rng.choice(len(frames), arguments.count, p=(stir + 0.02) / (stir + 0.02).sum())
    if arguments.frames > 1:
        # Nobody who is kept from training moves as somebody who is not.
        names = sorted({clip.name for clip in clips})
        kept = np.array([names.index(clip.name) % HELD_OUT == 0 for clip, _ in frames])
        for number in range(arguments.count):
            of = kept if number % HELD_OUT == 0 else ~kept
            chosen[number] = rng.choice(np.flatnonzero(of), p=(stir[of] + 0.02) / (stir[of] + 0.02).sum())
    poses, desks = [], []
    for number, (clip, t) in enumerate(frames[i] for i in chosen):
        legs = np.exp(rng.normal(*LEGS))
        moves = arguments.frames > 1
        moments = t + rng.integers(STEPS[0], STEPS[1] + 1) * np.arange(arguments.frames) if moves else t
        joints = on_legs(clip.joints[moments], legs)
        if not moves and arguments.athletes and rng.random() < arguments.athletes:
            joints = athletic(joints, rng)
        elif not moves and rng.random() < SEATED:
            joints = seated(joints, rng)
            desks += [number] if rng.random() < DESKS else []
        joints = joints.reshape(-1, *joints.shape[-2:])
        joints[..., [0, 2]] -= joints[0, AT["left_hip"], [0, 2]]
        poses += np.round(joints, 4).tolist()
    images = json.loads(arguments.labels.read_text())["images"]
    photos = [image["file"] for number, image in enumerate(images) if number % HELD_OUT]
    told = {"joint_names": mocap.LIFT23, "poses": poses, "frames": arguments.frames, "desks": desks, "photos": photos}
    arguments.out.write_text(json.dumps(told))
    print(f"{len(poses)} poses of {len(frames)}")


if __name__ == "__main__":
    main()
