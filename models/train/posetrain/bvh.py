"""Reads BVH and DeepMimic motion files and runs their forward kinematics, whole clips at once."""
import gzip
import json
from dataclasses import dataclass, field

import numpy as np


def read_text(path):
    opened = gzip.open if str(path).endswith(".gz") else open
    with opened(path, "rt", encoding="utf-8", errors="replace") as file:
        return file.read()


def turn(axis, angle):
    """`(t, 3, 3)` rotations about a coordinate axis; `angle` in radians."""
    c, s, z, o = np.cos(angle), np.sin(angle), np.zeros_like(angle), np.ones_like(angle)
    rows = {"X": [o, z, z, z, c, -s, z, s, c], "Y": [c, z, s, z, o, z, -s, z, c], "Z": [c, -s, z, s, c, z, z, z, o]}[axis]
    return np.stack(rows, -1).reshape(angle.shape + (3, 3))


@dataclass
class Motion:
    """A skeleton and its frames. `offsets` are in the file's own units; end sites are joints named `<parent>_End`."""
    names: list = field(default_factory=list)
    parents: list = field(default_factory=list)
    offsets: list = field(default_factory=list)
    channels: list = field(default_factory=list)
    frames: np.ndarray = None
    seconds_per_frame: float = 0.0

    def pose(self, stretch=None):
        """World positions `(t, j, 3)` and rotations `(t, j, 3, 3)`; `stretch` `(j,)` scales each joint's offset."""
        count = len(self.frames)
        position, rotation = np.zeros((count, len(self.names), 3)), np.zeros((count, len(self.names), 3, 3))
        for j, parent in enumerate(self.parents):
            local = np.broadcast_to(self.offsets[j] * (1.0 if stretch is None else stretch[j]), (count, 3)).copy()
            here = np.broadcast_to(np.eye(3), (count, 3, 3))
            for column, channel in self.channels[j]:
                if channel.endswith("rotation"):
                    here = here @ turn(channel[0], np.deg2rad(self.frames[:, column]))
                elif parent < 0:  # only the root moves: position channels of other joints repeat their offsets
                    local[:, "XYZ".index(channel[0])] = self.frames[:, column]
            if parent < 0:
                position[:, j], rotation[:, j] = local, here
            else:
                position[:, j] = position[:, parent] + np.einsum("tij,tj->ti", rotation[:, parent], local)
                rotation[:, j] = rotation[:, parent] @ here
        return position, rotation


def load_bvh(path):
    head, _, body = read_text(path).partition("MOTION")
    motion, token, stack, columns, joint, i = Motion(), head.split(), [], 0, -1, 0
    while i < len(token):
        if token[i] in ("ROOT", "JOINT", "End"):
            start = i
            while token[i] != "{":
                i += 1
            parent = stack[-1] if stack else -1
            motion.names.append(f"{motion.names[parent]}_End" if token[start] == "End" else " ".join(token[start + 1:i]))
            motion.parents.append(parent)
            motion.offsets.append(np.zeros(3))
            motion.channels.append([])
            joint = len(motion.names) - 1
            stack.append(joint)
            i += 1
        elif token[i] == "OFFSET":
            motion.offsets[joint] = np.array([float(v) for v in token[i + 1:i + 4]])
            i += 4
        elif token[i] == "CHANNELS":
            count = int(token[i + 1])
            motion.channels[joint] = [(columns + k, token[i + 2 + k]) for k in range(count)]
            columns += count
            i += 2 + count
        else:
            if token[i] == "}":
                stack.pop()
            i += 1
    _, _, rest = body.partition("Frame Time:")
    seconds, _, data = rest.lstrip().partition("\n")
    motion.seconds_per_frame = float(seconds.split()[0])
    values = np.array(data.split(), dtype=np.float64)
    motion.frames = values[:len(values) // columns * columns].reshape(-1, columns)
    return motion


def quaternion_matrix(q):
    w, x, y, z = np.moveaxis(q / np.linalg.norm(q, axis=-1, keepdims=True), -1, 0)
    return np.stack([1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
                     2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
                     2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], -1).reshape(q.shape[:-1] + (3, 3))


DEEPMIMIC_LAYOUT = [("root", 4), ("chest", 4), ("neck", 4), ("right_hip", 4), ("right_knee", 1), ("right_ankle", 4),
                    ("right_shoulder", 4), ("right_elbow", 1), ("left_hip", 4), ("left_knee", 1), ("left_ankle", 4),
                    ("left_shoulder", 4), ("left_elbow", 1)]


@dataclass
class DeepMimic:
    """A humanoid3d clip with its character (metres, Y up); the same interface as `Motion`."""
    names: list
    parents: list
    offsets: np.ndarray
    frames: np.ndarray
    seconds_per_frame: float

    def pose(self, stretch=None):
        local, column = {}, 4
        for name, width in DEEPMIMIC_LAYOUT:
            value = self.frames[:, column:column + width]
            column += width
            # Knees and elbows have one degree of freedom, about their own z.
            local[name] = quaternion_matrix(value) if width == 4 else turn("Z", value[:, 0])
        count = len(self.frames)
        position, rotation = np.zeros((count, len(self.names), 3)), np.zeros((count, len(self.names), 3, 3))
        for j, (name, parent) in enumerate(zip(self.names, self.parents)):
            here = local.get(name, np.broadcast_to(np.eye(3), (count, 3, 3)))
            if parent < 0:
                position[:, j], rotation[:, j] = self.frames[:, 1:4], here
            else:
                offset = self.offsets[j] * (1.0 if stretch is None else stretch[j])
                position[:, j] = position[:, parent] + rotation[:, parent] @ offset
                rotation[:, j] = rotation[:, parent] @ here
        return position, rotation


def load_deepmimic(path, character):
    joints = json.loads(read_text(character))["Skeleton"]["Joints"]
    frames = np.array(json.loads(read_text(path))["Frames"])
    offsets = np.array([[j["AttachX"], j["AttachY"], j["AttachZ"]] for j in joints])
    return DeepMimic([j["Name"] for j in joints], [j["Parent"] for j in joints], offsets, frames, float(frames[0, 0]))
