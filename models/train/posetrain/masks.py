"""Cuts labelled people out of their photographs: `python -m posetrain.masks PHOTOS MODELS LABELS.json OUT.npz --sheet SHEET.jpg`.

Whoever is cut out can be put before other photographs: people are few, and a network soon knows each by the wall behind them. A mask is
of 96 × 96 pixels around a person's box (`WINDOW`), the mean of four looks of a third-party network at the person (BlazePose: two scales
and their mirrors); where they differ much, or leave out joints that are seen, there is none.
"""
import argparse
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from .label import save_sheet
from .teachers import Teachers, apply, square_crop

SIDE = 96
WINDOW = 1.3  # a mask's side in parts of the longer side of the box
AGREED = 0.75  # the least intersection over union of two looks
INSIDE = 0.85  # the least share of the joints that lie within
LEAST = 80  # pixels of a box: whoever is smaller has no outline to speak of


def window(box):
    """photo_from_mask `(2, 3)`."""
    side = WINDOW * max(box[2] - box[0], box[3] - box[1])
    scale = side / SIDE
    corner = (np.array(box[:2]) + box[2:4]) / 2 - scale * (SIDE - 1) / 2
    return np.array([[scale, 0, corner[0]], [0, scale, corner[1]]])


def softened(share):
    """How much of pixels belongs to whoever a mask cuts out, by the chance that it tells, of arrays and of tensors. Where networks are of
    two minds there is mostly wall; a hard edge would show."""
    return ((share - 0.35) / 0.3).clip(0, 1)


def load(path):
    """Masks and the boxes around which they are, by the photograph's file and the person's number in it."""
    told = np.load(path)
    named = (key.rsplit("#", 1) for key in told["people"])
    return {(file, int(number)): outlined for (file, number), *outlined in zip(named, told["masks"], told["boxes"])}


def look(teachers, rgb, box, marks, scale, mirror):
    """A mask of one look, `(SIDE, SIDE)` from 0 to 1, and the chance that it shows somebody."""
    known = marks[marks[:, 2] > 0, :2]
    hips = marks[11:13][marks[11:13, 2] > 0, :2]
    centre = hips.mean(0) if len(hips) else known.mean(0)
    shoulders = marks[5:7][marks[5:7, 2] > 0, :2]
    angle = 0.0
    if len(hips) and len(shoulders):
        up = shoulders.mean(0) - centre
        angle = float(np.arctan2(up[0], -up[1]))
    # BlazePose wants the hips in the middle and all of somebody around them.
    side = 2 * scale * np.abs(np.r_[known - centre, np.array([box[:2], box[2:4]]) - centre]).max()
    crop, photo_from_crop = square_crop(rgb, centre, side, 256, angle, mirror)
    named = teachers.blazepose_raw(crop)
    chance = 1 / (1 + np.exp(-named["Identity_2"].reshape(256, 256).clip(-80, 80)))
    crop_from_photo = cv2.invertAffineTransform(photo_from_crop)
    crop_from_mask = crop_from_photo @ np.r_[window(box), [[0, 0, 1]]]
    mask = cv2.warpAffine(chance, crop_from_mask, (SIDE, SIDE), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    return mask, float(named["Identity_1"].reshape(-1)[0])


def cut_out(teachers, rgb, box, marks):
    """The mask of a person as bytes, or None."""
    looks = [look(teachers, rgb, box, marks, scale, mirror) for scale in (1.05, 1.25) for mirror in (False, True)]
    if min(presence for _, presence in looks) < 0.5:
        return None
    masks = np.stack([mask for mask, _ in looks])
    mean = masks.mean(0)
    both, either = ((masks > 0.5) & (mean > 0.5)).sum((1, 2)), ((masks > 0.5) | (mean > 0.5)).sum((1, 2))
    if np.min(both / np.maximum(either, 1)) < AGREED:
        return None
    seen = marks[marks[:, 2] > 0, :2]
    at = np.round(apply(cv2.invertAffineTransform(window(box)), seen)).astype(int)
    there = ((at >= 0) & (at < SIDE)).all(-1)
    # A wrist may lie on the outline: its neighbourhood counts.
    wide = cv2.dilate(mean, np.ones((5, 5)))
    within = np.where(there, wide[at[:, 1].clip(0, SIDE - 1), at[:, 0].clip(0, SIDE - 1)] > 0.5, True)
    return np.round(mean * 255).astype(np.uint8) if within.mean() >= INSIDE else None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("models", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--sheet", type=Path)
    parser.add_argument("--most", type=int, default=10**9)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    teachers = Teachers(arguments.models)
    images = json.loads(arguments.labels.read_text())["images"][:arguments.most]

    def one(entry):
        image, found = None, []
        for number, person in enumerate(entry["people"]):
            box = person["box"]
            if "keypoints" in person and max(box[2] - box[0], box[3] - box[1]) > LEAST:
                if image is None:
                    image = cv2.imread(str(arguments.photos / entry["file"]))
                    if image is None:
                        raise SystemExit(f"cannot read {arguments.photos / entry['file']}, which {arguments.labels} names")
                    rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
                found.append((number, cut_out(teachers, rgb, box, np.array(person["keypoints"])), box, image))
        return entry["file"], found

    keys, masks, around, tiles, asked = [], [], [], [], 0
    with ThreadPoolExecutor(arguments.threads) as pool:
        for n, (file, found) in enumerate(pool.map(one, images)):
            for number, mask, box, image in found:
                asked += 1
                if mask is not None:
                    keys.append(f"{file}#{number}"), masks.append(mask), around.append(box)
                    if arguments.sheet and len(tiles) < 60:
                        tiles.append(tile_of(image, window(box), mask))
            if n % 200 == 0:
                print(f"{n}/{len(images)}", flush=True)
    if not masks:
        raise SystemExit(f"of the {asked} people of {arguments.labels} nobody has a clear outline")
    np.savez_compressed(arguments.out, people=np.array(keys), masks=np.stack(masks), boxes=np.array(around, np.float32))
    print(f"{len(masks)} of {asked} people cut out")
    if arguments.sheet:
        save_sheet(tiles, 10, arguments.sheet)


def tile_of(image, photo_from_mask, mask):
    """Somebody cut out, on green."""
    shown = cv2.warpAffine(image, photo_from_mask, (SIDE, SIDE), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    share = mask[..., None] / 255
    tile = (shown * share + np.array([60, 200, 60]) * (1 - share)).astype(np.uint8)
    return cv2.resize(tile, (160, 160), interpolation=cv2.INTER_LINEAR)


if __name__ == "__main__":
    main()
