"""Boxes are around people, wherever a scene shows them, and the network is asked for them there."""
import json
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import cv2
import numpy as np
import torch

from posetrain import masks
from posetrain.loop import DEVICE
from posetrain.train_person import STRIDE, UNSURE, Scenes

SIZE = 128


def scenes(folder, people):
    """Of one photograph, in which red ellipses are people: boxes and scores."""
    image = np.full((240, 300, 3), 60, np.uint8)
    for (x0, y0, x1, y1), _ in people:
        cv2.ellipse(image, (((x0 + x1) / 2, (y0 + y1) / 2), (x1 - x0, y1 - y0), 0), (0, 0, 255), -1)
    (folder / "set").mkdir()
    # The first photograph is held out.
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(folder / "set" / name), image)
    told = [{"box": list(box), "score": score, "keypoints": [[*box[:2], 1, 0]] * 25} for box, score in people]
    labels = {"images": [{"file": f"set/{name}", "people": told} for name in ("a.png", "b.png")]}
    (folder / "labels.json").write_text(json.dumps(labels))
    return Scenes({"labels": folder / "labels.json", "photos": folder, "figures": 0}, 1)


class Drawn(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def draw(self, people, count):
        self.scenes = scenes(self.folder, people)
        with mock.patch("posetrain.train_person.photographed", lambda pictures, chance: pictures):
            return self.scenes.drawn(count, SIZE)

    def test_boxes_are_tight_around_people(self):
        pictures, boxes = self.draw([((60, 70, 140, 210), 0.9)], 48)
        held = 0
        for picture, own in zip(pictures.cpu().numpy(), boxes.cpu().numpy()):
            for box in own[own[:, 4] >= 0]:
                if (box[:2] < 1).any() or (box[2:4] > SIZE - 1).any() or box[4] <= UNSURE:
                    continue
                # Of four pictures in one, the others show the same person elsewhere.
                x0, y0, x1, y1 = np.round(box[:4]).astype(int)
                red = (picture[0] - picture[2])[max(y0 - 3, 0):y1 + 4, max(x0 - 3, 0):x1 + 4] > 100
                rows, columns = red.any(1).nonzero()[0], red.any(0).nonzero()[0]
                got = np.array([columns[0] - 3, rows[0] - 3, columns[-1] - 2, rows[-1] - 2])
                self.assertLess(np.abs(got - [0, 0, x1 - x0, y1 - y0]).max(), 3)
                held += 1
        self.assertGreater(held, 20)

    def test_who_is_hardly_in_the_picture_may_be_somebody_or_not(self):
        _, boxes = self.draw([((0, 40, 60, 200), 0.9)], 200)
        cut = boxes[(boxes[..., 4] >= 0) & (boxes[..., 4] < 0.9)]
        self.assertGreater(len(cut), 0)
        self.assertTrue((cut[:, 4] == UNSURE).all())

    def test_cells_ask_for_the_smallest_box_that_is_near_and_not_for_the_unsure(self):
        held = scenes(self.folder, [((0, 0, 10, 10), 0.9)])
        large, small, unsure = [8, 8, 104, 104, 0.9], [48, 48, 72, 72, 0.9], [8, 96, 40, 124, 0.2]
        told = torch.tensor([[large, [0, 0, 0, 0, -1], unsure, small]], device=DEVICE)
        held.drawn = lambda count, size: (torch.zeros(count, 3, size, size, device=DEVICE), told)
        _, target, weight, box, inside = held.batch(1, SIZE)
        middle = 60 // STRIDE
        self.assertEqual(target[0, middle, middle], 1)
        self.assertEqual((box[0, :, middle, middle] * STRIDE).tolist(), small[:4])
        self.assertEqual((box[0, :, middle - 2, middle] * STRIDE).tolist(), large[:4])
        self.assertEqual(inside[0, 110 // STRIDE, 24 // STRIDE], 0)
        self.assertEqual(weight[0, 110 // STRIDE, 24 // STRIDE], 0)
        self.assertEqual(weight[0, middle, middle], 1)
        self.assertEqual((target == 1).sum(), 1)

    def test_guests_stand_as_their_hosts_do_mirrored_or_not(self):
        box = (80, 40, 140, 200)
        scenes(self.folder, [(box, 0.9)])
        image = cv2.imread(str(self.folder / "set" / "b.png"))
        image[120:][image[120:, :, 2] > 200] = 255, 0, 0  # legs are blue
        cv2.imwrite(str(self.folder / "set" / "b.png"), image)
        mask = cv2.warpAffine((image.max(-1) > 100).astype(np.uint8) * 255, masks.window(box), (masks.SIDE,) * 2, flags=cv2.WARP_INVERSE_MAP)
        np.savez(self.folder / "masks.npz", people=["set/b.png#0"], masks=mask[None], boxes=np.array([box], np.float32))
        own = Scenes({"labels": self.folder / "labels.json", "photos": self.folder, "masks": self.folder / "masks.npz", "figures": 0}, 1)
        own.chance.normal = lambda *shape, spread=1.0: torch.zeros(shape, device=DEVICE)
        count, tilt = 60, 0.5
        pictures, boxes = torch.zeros(count, 3, SIZE, SIZE, device=DEVICE), torch.full((count, 1, 5), -1.0, device=DEVICE)
        told = own.invite(pictures, boxes, torch.arange(count, device=DEVICE), own.cut_out, torch.full((count,), tilt, device=DEVICE))
        middle = lambda of: np.array([at.mean() for at in (of > 150).nonzero()[::-1]])
        held = 0
        for picture, (x0, y0, x1, y1, sure) in zip(pictures.cpu().numpy(), told[:, 1].tolist()):
            if sure == 1 and min(x0, y0) > 1 and max(x1, y1) < SIZE - 1 and y1 - y0 > 30:
                up = middle(picture[0]) - middle(picture[2])
                np.testing.assert_allclose(up / np.linalg.norm(up), [-np.sin(tilt), -np.cos(tilt)], atol=0.15)
                held += 1
        self.assertGreater(held, 5)


if __name__ == "__main__":
    unittest.main()
