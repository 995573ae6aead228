"""Motion files -> one skeleton of 23 joints: metres, Y up, floor at 0, 60 frames a second."""
import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .bvh import load_bvh, load_deepmimic

LIFT23 = [
    "nose", "left_ear", "right_ear",
    "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
    "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
    "left_heel", "right_heel", "left_foot_index", "right_foot_index",
    "left_pinky", "right_pinky", "left_index", "right_index",
]
AT = {name: joint for joint, name in enumerate(LIFT23)}
LIMBS = list(range(AT["left_shoulder"], AT["right_ankle"] + 1))  # shoulders to wrists, hips to ankles: elsewhere skeletons differ
RATE = 60

# Joint of the file, and where on it the point sits (in the joint's own axes at rest: x left, y up, z ahead; metres).
CMU = {
    "nose": ("head", (0, .060, .120)), "left_ear": ("head", (.073, .080, .020)), "right_ear": ("head", (-.073, .080, .020)),
    "left_shoulder": "lShldr", "left_elbow": "lForeArm", "left_wrist": "lHand", "left_index": "lIndex1", "left_pinky": "lPinky1",
    "left_hip": "lThigh", "left_knee": "lShin", "left_ankle": "lFoot",
    "left_heel": ("lFoot", (0, -.055, -.045)), "left_foot_index": ("lFoot_End", (.01, 0, .05)),
    "right_shoulder": "rShldr", "right_elbow": "rForeArm", "right_wrist": "rHand", "right_index": "rIndex1",
    "right_pinky": "rPinky1", "right_hip": "rThigh", "right_knee": "rShin", "right_ankle": "rFoot",
    "right_heel": ("rFoot", (0, -.055, -.045)), "right_foot_index": ("rFoot_End", (-.01, 0, .05)),
}
REACTIDLE = {
    "nose": ("face", (0, .030, .115)), "left_ear": ("face", (.073, .050, .015)), "right_ear": ("face", (-.073, .050, .015)),
    "left_shoulder": "upper_arm.L", "left_elbow": "forearm.L", "left_wrist": "forearm.L_End",
    "left_hip": "thigh.L", "left_knee": "shin.L", "left_ankle": "foot.L",
    "left_heel": ("foot.L", (0, -.060, -.045)), "left_foot_index": ("foot.L_End", (0, 0, .06)),
    "right_shoulder": "upper_arm.R", "right_elbow": "forearm.R", "right_wrist": "forearm.R_End",
    "right_hip": "thigh.R", "right_knee": "shin.R", "right_ankle": "foot.R",
    "right_heel": ("foot.R", (0, -.060, -.045)), "right_foot_index": ("foot.R_End", (0, 0, .06)),
}
BVH11 = {
    "left_shoulder": "LeftShoulder", "left_elbow": "LeftElbow", "left_wrist": "LeftWrist",
    "left_hip": "LeftHip", "left_knee": "LeftKnee", "left_ankle": "LeftAnkle",
    "right_shoulder": "RightShoulder", "right_elbow": "RightElbow", "right_wrist": "RightWrist",
    "right_hip": "RightHip", "right_knee": "RightKnee", "right_ankle": "RightAnkle",
}
DEEPMIMIC = {n: n for n in LIFT23 if n.split("_")[-1] in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")}
BANDAI = {f"{s}_{ours}": f"{theirs}_{s[0].upper()}" for s in ("left", "right") for ours, theirs in
          (("shoulder", "UpperArm"), ("elbow", "LowerArm"), ("wrist", "Hand"), ("hip", "UpperLeg"), ("knee", "LowerLeg"),
           ("ankle", "Foot"))}

BROKEN = ("09_10", "07_12", "01_14", "03_02")  # joints that jump by metres
SCORED_SUBJECTS = ("05", "08", "14")  # of CMU: held out, never trained on


@dataclass
class Clip:
    name: str
    joints: np.ndarray  # (t, 23, 3) float32; zeros where `known` is False
    known: np.ndarray  # (23,)


# All of CMU was retargeted to one doll; these bring its bones to human means (Winter 2009, fig. 4.1).
DOLL_TO_HUMAN = {"knee": 1.12, "ankle": 0.93, "shoulder": 1.4, "wrist": 1.08}
# The same for `varied` bodies, on average of women and men (1.67 m), shoulders as broad as detectors see them (0.34 m, of which the collars are a
# part),
DOLL_TO_EVERYBODY = {"knee": 1.12, "ankle": 0.9, "shoulder": 1.75, "wrist": 1.08}
TRUNK_TO_EVERYBODY, SIZE_OF_EVERYBODY = 1.05, 0.985
# and what these differ by: standard deviations of the logarithms of lengths, of how far along the trunk joints are marked (metres), of the logarithm
# of how large faces, hands and feet are marked, and of how far joints are bent about each axis, all along (degrees).
VARIED = {"bones": 0.1, "trunk": 0.08, "size": 0.08}
TRUNK = ("abdomen", "chest", "neck", "lCollar", "rCollar", "spine", "spine.001", "shoulder.L", "shoulder.R", "lowerback", "Chest", "Chest2",
         "lowerneck", "Neck", "LeftCollar", "RightCollar")
MARKED = {"shoulder": 0.02, "hip": 0.03}
SIDES = ("left", "right")
ENDS = ((0.25, [(("left_ear", "right_ear"), ("nose", "left_ear", "right_ear"))]),
        (0.2, [((f"{side}_wrist",), (f"{side}_pinky", f"{side}_index")) for side in SIDES]),
        (0.12, [((f"{side}_ankle",), (f"{side}_heel", f"{side}_foot_index")) for side in SIDES]))
BENT = {"abdomen": 4, "chest": 4, "neck": 8, "lShldr": 8, "rShldr": 8}


def stretches(names, table, rng, varied=False):
    """A random body: factors of bone lengths, the same on both sides.

    Somewhere between the doll (skeletons of other studios are as narrow) and humans. `varied` ones are nearer to humans and differ more, and
    their trunks do too: a network that knows the lengths of bones too well turns limbs in depth to make them fit, and takes whoever has
    broader shoulders than any doll for a giant.
    """
    human = rng.uniform(0, 1) ** (0.25 if varied else 0.5)
    factors = DOLL_TO_EVERYBODY if varied else DOLL_TO_HUMAN
    mean = {part: factor ** human for part, factor in factors.items()} if table is CMU else {}
    parts = dict.fromkeys(n.split("_", 1)[1] for n in table if n != "nose")
    spread = VARIED["bones"] if varied else 0.05
    bone = {part: mean.get(part, 1.0) * np.exp(rng.normal(0, 0.12 if part in ("hip", "shoulder") else spread)) for part in parts}
    trunk = TRUNK_TO_EVERYBODY * np.exp(rng.normal(0, VARIED["trunk"])) if varied else 1.0
    in_trunk = np.isin(names, TRUNK)
    if varied and not in_trunk.any():
        raise ValueError(f"no joint of {', '.join(names)} is known to be of the trunk: name some in TRUNK")
    out = np.where(in_trunk, trunk, 1.0)
    for ours, source in table.items():
        if isinstance(source, str) and ours != "nose":
            out[names.index(source)] = bone[ours.split("_", 1)[1]]
    return out * (SIZE_OF_EVERYBODY * np.exp(rng.normal(0, VARIED["size"])) if varied else np.exp(rng.normal(0.06 * human, 0.07)))


def marked(joints, rng):
    """Marks joints `(t, 23, 3)`, in place, as another detector might, all along: shoulders and hips further up or down the trunk, faces about
    the middle of the ears, hands about the wrists and feet about the ankles larger or smaller. Who always had the same face would be
    measured by it."""
    sides = lambda part: [AT[f"{side}_{part}"] for side in SIDES]
    down = joints[:, sides("hip")].mean(1, keepdims=True) - joints[:, sides("shoulder")].mean(1, keepdims=True)
    down /= np.maximum(np.linalg.norm(down, axis=-1, keepdims=True), 1e-6)
    for part, spread in MARKED.items():
        joints[:, sides(part)] += rng.normal(0, spread) * down
    for spread, parts in ENDS:
        size = np.exp(rng.normal(0, spread))
        for middle, ends in parts:
            about = joints[:, [AT[joint] for joint in middle]].mean(1, keepdims=True)
            ends = [AT[joint] for joint in ends]
            joints[:, ends] = about + size * (joints[:, ends] - about)


def below(motion, *roots):
    """The rotation channels of joints and of all that hangs on them."""
    inside = set()
    for joint, parent in enumerate(motion.parents):
        if motion.names[joint] in roots or parent in inside:
            inside.add(joint)
    return {column for joint in inside for column, channel in motion.channels[joint] if channel.endswith("rotation")}


def recombined(motion, others, rng, bent=False):
    """The legs of one file of CMU with the arms of another or of two, and perhaps the trunk of one more: few motions become many. Joints that
    are `bent` are so a little otherwise all along."""
    left, right, legs = (below(motion, *roots) for roots in (["lCollar"], ["rCollar"], ["lButtock", "rButtock"]))
    trunk = below(motion, "abdomen") - left - right - legs
    frames = motion.frames.copy()

    def take(columns):
        other = others[rng.integers(len(others))].frames
        last = len(other) - 1
        at = (rng.integers(2 * last) + np.arange(len(frames))) % (2 * last)
        columns = sorted(columns)
        frames[:, columns] = other[last - np.abs(last - at)][:, columns]  # there and back again, for as long as it takes

    for columns in [left | right] if rng.random() < 0.5 else [left, right]:
        take(columns)
    if rng.random() < 0.5:
        take(trunk)
    for name, degrees in BENT.items() if bent else ():
        for column in [column for column, channel in motion.channels[motion.names.index(name)] if channel.endswith("rotation")]:
            frames[:, column] += rng.normal(0, degrees)
    return dataclasses.replace(motion, frames=frames)


def convert(motion, table, metres, rng=None, varied=False):
    """One file on one random body, which may be more `varied`; `rng` None keeps the body as recorded."""
    stretch = None if rng is None else stretches(motion.names, table, rng, varied)
    position, rotation = motion.pose(stretch)
    known = np.array([n in table for n in LIFT23])
    joints = np.zeros((len(position), 23, 3))
    for j, name in enumerate(LIFT23):
        if known[j]:
            source = table[name]
            part, offset = (source, None) if isinstance(source, str) else source
            i = motion.names.index(part)
            joints[:, j] = position[:, i] * metres
            if offset is not None:
                joints[:, j] += rotation[:, i] @ np.array(offset)
    if varied:
        marked(joints, rng)
        joints[:, ~known] = 0
    size = 1.0 if stretch is None else float(np.median(stretch))
    if varied:
        legs = [motion.names.index(table[f"left_{part}"]) for part in ("knee", "ankle")]
        size = float(np.exp(np.log(stretch[legs]).mean()))
    root = position[:, :1] * metres
    joints[:, known] += root * (size - 1.0)  # taller people take longer steps
    joints[:, known, 1] -= np.percentile(joints[:, known, 1].min(1), 2)
    times = np.arange(len(joints)) * motion.seconds_per_frame
    wanted = np.arange(0, times[-1], 1 / RATE)
    at = np.clip(wanted / motion.seconds_per_frame, 0, len(joints) - 1.001)
    low, mix = at.astype(int), (at % 1)[:, None, None]
    return (joints[low] * (1 - mix) + joints[low + 1] * mix).astype(np.float32), known


def files(folder, split):
    """`(name, loader, table, metres)` for the clips of a split: train, subjects or bandai."""
    folder = Path(folder)
    if split == "bandai":
        for path in sorted((folder / "eval_only_bandai").glob("*.bvh.gz")):
            yield path.stem, lambda p=path: load_bvh(p), BANDAI, .01
        return
    for path in sorted((folder / "cmu").glob("*.bvh.gz")):
        if path.name[:5] not in BROKEN and (path.name[:2] in SCORED_SUBJECTS) == (split == "subjects"):
            yield "cmu_" + path.name[:5], lambda p=path: load_bvh(p), CMU, .01
    if split == "train":
        for path in sorted((folder / "reactidle").glob("*.bvh.gz")):
            yield "idle_" + path.stem, lambda p=path: load_bvh(p), REACTIDLE, 1.0
        for path in sorted((folder / "deepmimic").glob("humanoid3d_*.txt.gz")):
            yield path.stem, lambda p=path: load_deepmimic(p, folder / "deepmimic" / "humanoid3d.txt"), DEEPMIMIC, 1.0
        yield "bvh11", lambda: load_bvh(folder / "cmu_bvh11" / "131_01.bvh.gz"), BVH11, .0254 / .45


def load(folder, split, bodies=0, mixed=0, seed=0, varied=False):
    """All clips of a split: `bodies` random bodies each, and of CMU `mixed` more that are `recombined`. Without `bodies` everybody is as
    recorded; and with `mixed` alone there are none but the recombined. `varied` bodies differ more, are marked as other detectors would, and
    those that are recombined are bent otherwise."""
    rng, motions, out = np.random.default_rng(seed), [], []
    for name, open_file, table, metres in files(folder, split):
        motion = open_file()
        first = 2 if name.startswith("cmu_") else 0  # the CMU files open with a T-pose and a step half-way out of it
        motion.frames = motion.frames[first:]
        if len(motion.frames) * motion.seconds_per_frame >= 0.7:
            motions.append((name, motion, table, metres))
    cmu = [motion for _, motion, table, _ in motions if table is CMU]
    for name, motion, table, metres in motions:
        for body in [motion] * max(bodies, 0 if mixed else 1) + [recombined(motion, cmu, rng, varied) for _ in range(mixed if table is CMU else 0)]:
            joints, known = convert(body, table, metres, rng if bodies else None, varied)
            out.append(Clip(name, joints, known))
    return out
