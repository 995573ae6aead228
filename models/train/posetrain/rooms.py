"""People of mocap as rooms of cameras reconstruct them: `python -m posetrain.rooms MOCAP EVALUATE OUT.npz`.

Random rooms of two to five cameras see clips of mocap with the faults of 2D networks; `EVALUATE`, the program of
`cargo build --release --example evaluate`, reconstructs them as it does for users, and what it makes of them is kept beside the
truth. That is what the refiner learns to mend.
"""
import argparse
import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from . import mocap
from .views import FACE, FEET, HANDS, LEGS, MIRROR

SIZE, JOINTS = (640, 480), len(mocap.LIFT23)
ARMS = [3, 4, 5, 6, 7, 8, *HANDS]


def room(rng, middle, cameras):
    """So many cameras around somebody: focal length, axes and places."""
    focal = rng.uniform(0.75, 1.1) * SIZE[0]
    yaw = rng.uniform(0, 2 * np.pi) + (np.arange(cameras) * rng.uniform(0.6, 2 * np.pi / cameras) + rng.normal(0, 0.15, cameras))
    distance = rng.uniform(2.5, 6.0) * np.exp(rng.normal(0, 0.12, cameras))
    eye = middle + np.stack([np.sin(yaw) * distance, np.zeros(cameras), np.cos(yaw) * distance], -1)
    eye[:, 1] = np.clip(rng.normal(1.6, 0.5, cameras), 0.4, 2.8)
    forward = middle * [1, 0, 1] + [0, 0.95, 0] + rng.normal(0, 0.15, (cameras, 3)) - eye
    forward /= np.linalg.norm(forward, axis=-1, keepdims=True)
    right = np.cross(forward, [0, 1.0, 0])
    right /= np.linalg.norm(right, axis=-1, keepdims=True)
    return focal, np.stack([right, np.cross(forward, right), forward], 1), eye


def during(rng, frames, every, length):
    """Stretches of frames: one in so many frames on average, of a mean length."""
    out = np.zeros(frames, bool)
    for start in np.flatnonzero(rng.random(frames) < 1 / every):
        out[start:start + 1 + int(rng.exponential(length))] = True
    return out


def wandering(rng, shape, keep):
    """Noise of unit variance over axis 0 that remembers itself."""
    out = rng.normal(size=shape)
    for n in range(1, len(out)):
        out[n] = keep * out[n - 1] + np.sqrt(1 - keep ** 2) * out[n]
    return out


def seen(rng, joints, known, focal, axes, eye, rate):
    """What a 2D network sees of joints `(t, 23, 3)` in one view: pixels and confidences (0: not seen)."""
    t = len(joints)
    camera = (joints - eye) @ axes.T
    pixels = focal * camera[..., :2] / np.maximum(camera[..., 2:], 0.1) + (np.array(SIZE) - 1) / 2
    there = np.broadcast_to(known, (t, JOINTS)) & (camera[..., 2] > 0.2) & (pixels > 0).all(-1) & (pixels < SIZE).all(-1)
    size = focal * 1.6 / np.maximum(np.median(camera[..., 2], 1), 0.3)
    level = np.exp(rng.normal(np.log(0.011), 0.4))
    hard = np.ones(JOINTS)
    hard[[7, 8, *FEET, *HANDS]] = 1.5
    shake = 0.5 * wandering(rng, (t, JOINTS, 2), 0.2) + 0.9 * wandering(rng, (t, JOINTS, 2), np.exp(-8 / rate)) + 0.5 * rng.normal(size=(JOINTS, 2))
    sure = np.clip(0.85 + 0.12 * wandering(rng, (t, JOINTS), 0.8), 0.05, 1.0)
    for joint in range(JOINTS):
        wrong = during(rng, t, 12 * rate, 0.3 * rate)  # put somewhere else, and seldom told so
        shake[wrong, joint] += rng.normal(0, 8, 2)
        sure[wrong, joint] *= rng.uniform(0.3, 1.0)
        there[during(rng, t, 8 * rate, 0.4 * rate), joint] = False
    pixels = pixels + shake * (level * hard)[:, None] * size[:, None, None]
    for part, every in ((LEGS, 8), (ARMS, 15), (list(range(JOINTS)), 25)):
        swapped = during(rng, t, every * rate, 0.4 * rate)[:, None]
        mapped = np.arange(JOINTS)
        mapped[part] = MIRROR[part]
        pixels = np.where(swapped[..., None], pixels[:, mapped], pixels)
        there = np.where(swapped, there[:, mapped], there)
    there = there & ~during(rng, t, 20 * rate, 0.5 * rate)[:, None]
    return np.concatenate([pixels, np.where(there, sure, 0)[..., None]], -1)


def reconstructed(folder, evaluate, cameras, views, rate):
    """`(t, 23, 4)`: where the room says that the joints are, and how sure; zeros where it says nothing. The person who is there
    for longest, where it says that there are several."""
    focal, axes, eyes = cameras
    k = [[focal, 0, (SIZE[0] - 1) / 2], [0, focal, (SIZE[1] - 1) / 2], [0, 0, 1]]
    listed = [{"name": str(n), "width": SIZE[0], "height": SIZE[1], "K": k, "dist": [0] * 5, "R": a.tolist(), "t": (-a @ e).tolist()}
              for n, (a, e) in enumerate(zip(axes, eyes))]
    (folder / "cameras.json").write_text(json.dumps({"world_up": [0, 1, 0], "cameras": listed}))
    person = lambda points: [{"keypoints": [p if p[2] else None for p in points.round(3).tolist()]}] if points[:, 2].any() else []
    frames = [{"frame": n, "views": [{"people": person(view[n])} for view in views]} for n in range(len(views[0]))]
    (folder / "seen.json").write_text(json.dumps({"joint_names": mocap.LIFT23, "frames": frames}))
    subprocess.run([evaluate, "multiview", "--cameras", folder / "cameras.json", "--detections", folder / "seen.json", "--rate", str(rate),
                    "--out", folder / "people.json"], check=True, capture_output=True)
    out, count = {}, len(frames)
    for n, frame in enumerate(json.loads((folder / "people.json").read_text())["frames"]):
        for found in frame["people"]:
            own = out.setdefault(found["id"], np.zeros((count, JOINTS, 4), np.float32))
            for joint, (place, sigma) in enumerate(zip(found["joints"], found["sigmas"])):
                if place is not None:
                    own[n, joint] = *place, sigma
    return max(out.values(), key=lambda own: (own[..., 3] > 0).sum(), default=None)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mocap", type=Path), parser.add_argument("evaluate"), parser.add_argument("out", type=Path)
    parser.add_argument("--split", default="train", help="train, or subjects: those that are never trained on")
    parser.add_argument("--moments", type=int, default=140_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    clips = mocap.load(arguments.mocap, arguments.split, bodies=6 if arguments.split == "train" else 0)
    clips = [clip for clip in clips if len(clip.joints) > 60]
    chance = np.array([min(len(clip.joints), 1200) for clip in clips], float)
    given, truth, known, first, total = [], [], [], [0], 0
    with tempfile.TemporaryDirectory() as folder:
        while total < arguments.moments:
            clip = clips[rng.choice(len(clips), p=chance / chance.sum())]
            stride = min(int(rng.choice([1, 2, 2, 2, 3, 4])), len(clip.joints) // 45)
            if stride < 1:
                continue
            start = rng.integers(max(len(clip.joints) - 400 * stride, 1))
            joints, rate = clip.joints[start:start + 400 * stride:stride].copy(), mocap.RATE / stride
            if rng.random() < 0.5:
                joints = joints[:, MIRROR] * np.array([-1, 1, 1], np.float32)
            lacks = np.zeros(JOINTS, bool)
            for part, share in ((FACE, 0.05), (FEET, 0.5), (HANDS, 0.6), (LEGS, 0.04)):
                lacks[part] |= rng.random() < share
            hips = joints[:, [9, 10]].mean((0, 1))
            cameras = room(rng, hips, int(rng.choice([2, 2, 3, 3, 4, 5])))
            views = [seen(rng, joints, clip.known & ~lacks, cameras[0], a, e, rate) for a, e in zip(*cameras[1:])]
            found = reconstructed(Path(folder), arguments.evaluate, cameras, views, rate)
            if found is None:
                continue
            there = np.flatnonzero((found[..., 3] > 0).any(1))
            span = slice(there[0], there[-1] + 1)
            given.append(found[span]), truth.append(joints[span])
            known.append(np.broadcast_to(clip.known & ~lacks, joints[span].shape[:2]))
            total += len(given[-1])
            first.append(total)
            if len(first) % 20 == 0:
                off = np.linalg.norm(given[-1][..., :3] - truth[-1], axis=-1)[given[-1][..., 3] > 0]
                print(f"{total} of {arguments.moments} moments; the last clip, of {len(cameras[1])} cameras: {1000 * off.mean():.0f} mm", flush=True)
    np.savez_compressed(arguments.out, given=np.concatenate(given), truth=np.concatenate(truth), known=np.concatenate(known), first=first)


if __name__ == "__main__":
    main()
