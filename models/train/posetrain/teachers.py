"""The third-party networks whose agreement labels the training photos (never shipped).

Points are in pixels of the photo; (0, 0) is the centre of the top-left pixel.
"""
from pathlib import Path

import cv2
import numpy as np
import onnxruntime

from .joints import BLAZEPOSE33, BODY25, COCO17, mirror_of

MIRROR17 = mirror_of(COCO17)
MIRROR33 = mirror_of(BLAZEPOSE33)
GUESSED = 0.12  # a mean confidence below this is of joints that are not in the picture


def session(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def nothing_before(network, people=1):
    """What a network that remembers is fed with the first frame of so many people, beside it; of others nothing."""
    return {told.name: np.zeros([people, *told.shape[1:]], np.float32) for told in network.get_inputs()[1:]}


def square_crop(image, centre, side, size, angle=0.0, mirror=False):
    """A rotated square of the photo, resized to `size`; returns it with the 2x3 matrix photo_from_crop."""
    scale = side / size
    cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
    flip = -1.0 if mirror else 1.0
    linear = np.array([[cos * flip, -sin], [sin * flip, cos]])
    photo_from_crop = np.c_[linear, np.asarray(centre) - linear @ np.full(2, (size - 1) / 2)]
    crop = cv2.warpAffine(image, photo_from_crop, (size, size), flags=cv2.INTER_AREA | cv2.WARP_INVERSE_MAP
                          if scale > 1 else cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    return crop, photo_from_crop


def apply(matrix, points):
    return points @ matrix[:, :2].T + matrix[:, 2]


class Teachers:
    def __init__(self, folder):
        folder = Path(folder)
        self.yolox = session(folder / "yolox_nano.onnx")
        self.movenet = session(folder / "movenet_lightning.onnx")
        self.blazepose = session(folder / "blazepose_landmark_lite.onnx")
        grid = [np.stack(np.meshgrid(np.arange(416 // s), np.arange(416 // s)), -1).reshape(-1, 2) for s in (8, 16, 32)]
        self.grid = np.concatenate(grid)
        self.stride = np.concatenate([np.full(len(g), s) for g, s in zip(grid, (8, 16, 32))])[:, None]

    def people(self, bgr):
        """Boxes `[x0, y0, x1, y1, score]` of people, best first."""
        height, width = bgr.shape[:2]
        ratio = min(416 / width, 416 / height)
        canvas = np.full((416, 416, 3), 114, np.uint8)
        small = cv2.resize(bgr, (round(width * ratio), round(height * ratio)))
        canvas[:small.shape[0], :small.shape[1]] = small
        raw = self.yolox.run(None, {self.yolox.get_inputs()[0].name: canvas.transpose(2, 0, 1)[None].astype(np.float32)})[0][0]
        centre = (raw[:, :2] + self.grid) * self.stride / ratio
        size = np.exp(raw[:, 2:4]) * self.stride / ratio
        score = raw[:, 4] * raw[:, 5]
        keep = score > 0.1
        boxes, score = np.c_[centre - size / 2, centre + size / 2][keep], score[keep]
        if not len(boxes):
            return np.zeros((0, 5))
        chosen = cv2.dnn.NMSBoxes(np.c_[boxes[:, :2], boxes[:, 2:] - boxes[:, :2]].tolist(), score.tolist(), 0.1, 0.55)
        chosen = np.array(chosen).reshape(-1)
        return np.c_[boxes, score][chosen]

    def movenet_once(self, rgb, centre, side, angle, mirror):
        crop, photo_from_crop = square_crop(rgb, centre, side, 192, angle, mirror)
        node = self.movenet.get_inputs()[0]
        crop = crop[None].astype({"tensor(uint8)": np.uint8, "tensor(int32)": np.int32}.get(node.type, np.float32))
        out = self.movenet.run(None, {node.name: crop})[0].reshape(17, 3)
        points = apply(photo_from_crop, out[:, [1, 0]] * 192 - 0.5)
        order = MIRROR17 if mirror else list(range(17))
        return np.c_[points, out[:, 2]][order]

    def blazepose_raw(self, crop):
        """What BlazePose says of a crop of 256 pixels, by the names of its outputs."""
        out = self.blazepose.run(None, {self.blazepose.get_inputs()[0].name: crop[None].astype(np.float32) / 255})
        return {o.name: v for o, v in zip(self.blazepose.get_outputs(), out)}

    def blazepose_once(self, rgb, centre, side, angle, mirror):
        crop, photo_from_crop = square_crop(rgb, centre, side, 256, angle, mirror)
        named = self.blazepose_raw(crop)
        marks = named["Identity"].reshape(39, 5)
        points = apply(photo_from_crop, marks[:, :2] - 0.5)
        confidence = 1 / (1 + np.exp(-np.minimum(marks[:33, 3], marks[:33, 4])))
        presence = float(named["Identity_1"].reshape(-1)[0])
        order = MIRROR33 if mirror else list(range(33))
        return np.c_[points[:33], confidence][order], points[33], points[34], presence

    def keypoints(self, rgb, box):
        """`(25, 4)`: points, confidences (0 where the teachers do not agree), and how far apart the looks put them, in parts of the
        box's longer side; 1 where nothing is known."""
        x0, y0, x1, y1 = box[:4]
        centre, side = np.array([(x0 + x1) / 2, (y0 + y1) / 2]), max(x1 - x0, y1 - y0)
        # MoveNet knows upright people best: whoever lies or stands on their hands is turned until it is sure.
        sure = lambda turn: self.movenet_once(rgb, centre, side * 1.25, turn, False)[:, 2].mean()
        upright, turn = sure(0.0), 0.0
        if upright < 0.5:
            best, other = max((sure(turn), turn) for turn in (np.pi / 2, np.pi, -np.pi / 2))
            turn = other if best > upright + 0.06 else 0.0
        runs = np.stack([self.movenet_once(rgb, centre, side * s, turn + a, m) for s, a, m in
                         ((1.15, 0, False), (1.15, 0, True), (1.4, 0, False), (1.4, 0, True), (1.25, 0.35, False), (1.25, -0.35, True))])
        size = side
        points = np.median(runs[:, :, :2], 0)
        # One look of six may err.
        spread = np.sort(np.linalg.norm(runs[:, :, :2] - points, axis=-1), 0)[-2] / size
        confidence = runs[:, :, 2].mean(0)
        agreed = (spread < 0.06) & (confidence > 0.25)
        out = np.zeros((25, 4))
        out[:, 3] = 1
        out[:17, :2] = points
        out[:17, 2] = np.where(agreed, confidence, 0)
        out[:17, 3] = np.where(confidence > GUESSED, spread, 1)

        _, hips, top, presence = self.blazepose_once(rgb, centre, side * 1.25, turn, False)
        if presence > 0.5:
            direction = top - hips
            angle = np.arctan2(direction[0], -direction[1])
            radius = max(np.linalg.norm(direction), side * 0.3)
            marks = []
            for mirror in (False, True):
                marks.append(self.blazepose_once(rgb, hips, 2.5 * radius, angle, mirror)[0])
            marks = np.stack(marks)
            mean = marks[:, :, :2].mean(0)
            spread = np.linalg.norm(marks[0, :, :2] - marks[1, :, :2], axis=-1) / size
            near = {"heel": "ankle", "foot_index": "ankle", "pinky": "wrist", "index": "wrist"}
            for j in range(17, 25):
                name = BODY25[j]
                side_name, _, part = name.partition("_")
                b = BLAZEPOSE33.index(name)
                parent = f"{side_name}_{near[part]}"
                c, pb = BODY25.index(parent), BLAZEPOSE33.index(parent)
                apart = np.linalg.norm(mean[pb] - out[c, :2]) / size
                if out[c, 2] > 0 and apart < 0.06 and spread[b] < 0.06 and marks[:, b, 2].min() > 0.4:
                    # BlazePose's foot hangs on its own ankle: carry its offset to the ankle agreed on.
                    out[j, :2] = mean[b] + (out[c, :2] - mean[pb]) * 0.5
                    out[j, 2:] = marks[:, b, 2].mean(), spread[b]
        return out
