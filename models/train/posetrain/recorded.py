"""`python -m posetrain.recorded MOTION.json CLIP.mp4 MODELS EMBEDDED OUT.json`: what networks said of one frame of the sample
clip, and where its joints are, for the tests of the decoders.

MOTION.json is what `posetrain.motion` wrote and `examples/render_clip.rs` rendered; its camera is told here again.
"""
import json
import sys
from pathlib import Path

import cv2
import numpy as np

from .teachers import Teachers, nothing_before, session, square_crop

FRAME = 60
EYE, TARGET, FIELD_OF_VIEW, SIZE = np.array([0, 1.35, 4.4]), np.array([0, .92, 0]), .75, (640, 480)


def project(point):
    forward = (TARGET - EYE) / np.linalg.norm(TARGET - EYE)
    right = np.cross(forward, [0, 1, 0])
    right /= np.linalg.norm(right)
    away = np.array(point) - EYE
    focal = SIZE[1] / 2 / np.tan(FIELD_OF_VIEW / 2)
    flat = np.array([away @ right, away @ np.cross(forward, right)]) / (away @ forward)
    return flat * focal + (np.array(SIZE) - 1) / 2


def sparse(tensor, least):
    """Shape, and what is more than `least` as `[index, value]`; the rest is as good as nothing."""
    flat = tensor.reshape(-1)
    keep = np.flatnonzero(flat > least)
    return {"shape": list(tensor.shape), "values": [[int(i), round(float(flat[i]), 3)] for i in keep]}


def plain(tensor, digits):
    return tensor.reshape(-1).astype(float).round(digits).tolist()


def main():
    motion, clip, models, embedded, out = map(Path, sys.argv[1:])
    motion = json.loads(motion.read_text())
    video = cv2.VideoCapture(str(clip))
    for _ in range(FRAME + 1):
        image = video.read()[1]
    rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    joints = {name: project(place).round(1).tolist() for name, place in zip(motion["joint_names"], motion["frames"][FRAME])}
    spots = np.array(list(joints.values()))
    centre, side = ((spots.min(0) + spots.max(0)) / 2).round(), float(np.ceil(1.35 * (spots.max(0) - spots.min(0)).max()))
    run = lambda net, data: {o.name: v for o, v in zip(net.get_outputs(), net.run(None, nothing_before(net) | {net.get_inputs()[0].name: data}))}
    crop = lambda size: square_crop(rgb, centre, side, size)[0][None]
    planes = lambda pictures: pictures.transpose(0, 3, 1, 2).astype(np.float32)
    teachers = Teachers(models)
    movenet = run(teachers.movenet, crop(192))
    blazepose = run(teachers.blazepose, crop(256).astype(np.float32) / 255)["Identity"]
    own = session(embedded / "keypoints.onnx")
    keypoints = run(own, planes(crop(own.get_inputs()[0].shape[-1])))["heatmaps"]
    letterbox = np.full((256, 256, 3), 114, np.uint8)
    letterbox[:192] = cv2.resize(rgb, (256, 192), interpolation=cv2.INTER_AREA)
    rows = run(session(embedded / "person.onnx"), planes(letterbox[None]))["rows"]
    rows[rows[..., 4] < 0.05] = 0
    at = np.flatnonzero(rows[0, :, 4])
    out.write_text(json.dumps({
        "picture": SIZE, "joints": joints, "centre": centre.tolist(), "side": side,
        "movenet": plain(next(iter(movenet.values())), 4),
        "blazepose": plain(blazepose, 2), "heatmaps": sparse(keypoints, 0.08),
        "rows": {"shape": list(rows.shape), "values": [[int(i), plain(rows[0, i], 3)] for i in at]},
    }, default=float) + "\n")


if __name__ == "__main__":
    main()
