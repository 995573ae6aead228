"""Labels a folder of photos by the agreement of the teachers: `python -m posetrain.label PHOTOS MODELS OUT.json`.

Run it with `--sheet SHEET.jpg` to look at what it found.
"""
import argparse
import json
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from .joints import BODY25
from .teachers import Teachers

BONES = [(5, 6), (5, 7), (7, 9), (6, 8), (8, 10), (5, 11), (6, 12), (11, 12), (11, 13), (13, 15), (12, 14), (14, 16),
         (15, 17), (16, 18), (15, 19), (16, 20), (9, 21), (10, 22), (9, 23), (10, 24), (0, 1), (0, 2), (1, 3), (2, 4)]

# People per photo that get keypoints: the largest, those in the back included, who are before and beside one another; if their boxes
# are this long, in pixels: the teachers see 192 at most.
MOST = 10
LEAST = 48


def label(image, teachers):
    rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    people = []
    boxes = teachers.people(image)
    largest = sorted(boxes, key=lambda b: -max(b[2] - b[0], b[3] - b[1]))[:MOST]
    worth = [tuple(b) for b in largest if b[4] > 0.4 and max(b[2] - b[0], b[3] - b[1]) > LEAST]
    for box in boxes:
        person = {"box": [round(float(v), 2) for v in box[:4]], "score": round(float(box[4]), 3)}
        if tuple(box) in worth:
            marks = teachers.keypoints(rgb, box)
            if (marks[:17, 2] > 0).sum() >= 5:
                person["keypoints"] = [[round(float(x), 2), round(float(y), 2), round(float(c), 3), round(float(s), 3)]
                                       for x, y, c, s in marks]
        people.append(person)
    return people


def draw(image, people):
    for person in people:
        x0, y0, x1, y1 = (int(v) for v in person["box"])
        cv2.rectangle(image, (x0, y0), (x1, y1), (255, 255, 0), 1)
        marks = person.get("keypoints")
        if marks:
            for a, b in BONES:
                if marks[a][2] > 0 and marks[b][2] > 0:
                    colour = (0, 160, 0) if a % 2 == 1 and b % 2 == 1 else (0, 0, 220)
                    cv2.line(image, tuple(map(int, marks[a][:2])), tuple(map(int, marks[b][:2])), colour, 2)
    return image


def save_sheet(tiles, across, path):
    """Saves pictures of one size beside and below one another."""
    tiles = tiles + [np.zeros_like(tiles[0])] * (-len(tiles) % across)
    cv2.imwrite(str(path), cv2.vconcat([cv2.hconcat(tiles[i:i + across]) for i in range(0, len(tiles), across)]))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("models", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--sheet", type=Path)
    parser.add_argument("--most", type=int, default=10**9)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    cv2.setNumThreads(1)
    teachers = Teachers(arguments.models)
    files = sorted(p for p in arguments.photos.rglob("*") if p.suffix in (".webp", ".jpg", ".png"))
    random.Random(1).shuffle(files)
    files = files[:arguments.most]

    def one(path):
        image = cv2.imread(str(path))
        if image is None:
            return None
        people, size = label(image, teachers), image.shape[:2]
        return path, size, people, draw(image, people) if arguments.sheet else None

    images, tiles = [], []
    with ThreadPoolExecutor(arguments.threads) as pool:
        for n, done in enumerate(pool.map(one, files)):
            if done:
                path, (height, width), people, drawn = done
                images.append({"file": str(path.relative_to(arguments.photos)), "width": width, "height": height, "people": people})
                if arguments.sheet and len(tiles) < 48:
                    ratio = 200 / max(height, width)
                    tile = cv2.resize(drawn, None, fx=ratio, fy=ratio)
                    tiles.append(cv2.copyMakeBorder(tile, 0, 200 - tile.shape[0], 0, 200 - tile.shape[1], cv2.BORDER_CONSTANT))
            if n % 200 == 0:
                print(f"{n}/{len(files)}", flush=True)
    json.dump({"joint_names": BODY25, "images": images}, arguments.out.open("w"))
    if arguments.sheet:
        save_sheet(tiles, 8, arguments.sheet)


if __name__ == "__main__":
    main()
