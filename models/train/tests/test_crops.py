"""Crops keep every joint with its label, whatever is done to them, and no batch comes twice."""
import itertools
import json
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import cv2
import numpy as np
import torch

from posetrain.joints import BODY25
from posetrain.loop import DEVICE, line_of
from posetrain.pictures import through
from posetrain.train_keypoints import STRIDE, Crops, bells, boxes_in

LEFT = [n for n, name in enumerate(BODY25) if name.startswith("left")]
RIGHT = [BODY25.index(BODY25[n].replace("left", "right")) for n in LEFT]
SIZE = 96


def photographed(folder):
    """A recipe for one photograph with one person: left joints are red dots, right ones blue."""
    rng = np.random.default_rng(0)
    image = np.full((240, 240, 3), 128, np.uint8)
    places = np.stack(np.meshgrid(np.arange(5), np.arange(5)), -1).reshape(-1, 2)[rng.permutation(25)] * 36 + 48
    for n, (x, y) in enumerate(places):
        blue, red = (30, 250) if n in LEFT else (250, 30)
        cv2.circle(image, (int(x), int(y)), 9, (blue, 30, red), -1)
    (folder / "set").mkdir()
    # The first photograph is held out.
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(folder / "set" / name), image)
    person = {"box": [30, 30, 210, 210], "score": 0.9, "keypoints": [[int(x), int(y), 1, 0] for x, y in places]}
    labels = {"images": [{"file": f"set/{name}", "people": [person]} for name in ("a.png", "b.png")]}
    (folder / "labels.json").write_text(json.dumps(labels))
    return {"labels": folder / "labels.json", "photos": folder, "weights": {}, "figures": 0}, places


class Labels(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        recipe, self.places = photographed(Path(folder.name))
        self.crops = Crops(recipe, 1)

    def test_joints_stay_on_their_dots_and_left_stays_left(self):
        self.crops.cover = lambda crops: None
        # Grey and noise hide which dot is which.
        with mock.patch.multiple("posetrain.train_keypoints", photographed=lambda crops, chance: crops, STRETCHED=0.8):
            images, points, shown, _, _ = self.crops.drawn(64, SIZE)
        turn = lambda p: np.sign(np.linalg.det(np.stack([p[LEFT[2]] - p[0], p[RIGHT[2]] - p[0]])))
        mirrored = 0
        for image, at, there in zip(images.cpu().numpy(), points.cpu().numpy(), shown.cpu().numpy()):
            x, y = np.round(at).astype(int).clip(2, SIZE - 3).T
            red, blue = image[0, y, x], image[2, y, x]
            seen = [(n, m) for n, m in zip(LEFT, RIGHT) if there[n] and there[m] and (abs(at[[n, m]] - SIZE / 2) < SIZE / 2 - 3).all()]
            if len(seen) < 4:
                continue
            sure = [np.sign((red - blue)[n] - (red - blue)[m]) for n, m in seen]
            self.assertEqual(abs(sum(sure)), len(sure))
            self.assertEqual(turn(at), turn(self.places))
            mirrored += sum(sure) < 0
        self.assertGreater(mirrored, 5)
        self.assertLess(mirrored, 59)

    def test_who_is_seen_from_above_is_shorter_and_their_box_is_still_around_them(self):
        who = torch.zeros(20, dtype=torch.long, device=DEVICE)
        box, marks = self.crops.people.boxes[who], self.crops.people.marks[who]
        known = marks[..., 2] > 0
        with mock.patch.multiple("posetrain.train_keypoints", TILTED=1, DOWN=(30, 40)):
            into = torch.linalg.inv(self.crops.tilted(who, box))
        above = lambda points: through(into, points)
        joints = above(marks[..., :2])
        low, high = boxes_in(box, above, joints, known)
        self.assertLess((high - low)[:, 1].max(), 0.95 * (box[0, 3] - box[0, 1]))
        self.assertTrue(((joints >= low[:, None] - 0.1) & (joints <= high[:, None] + 0.1))[known].all())
        # Hands that are raised at the edge of their box stay in it.
        marks[:, 0, :2] = box[:, :2]
        joints = above(marks[..., :2])
        low, _ = boxes_in(box, above, joints, known)
        self.assertTrue((low <= joints[:, 0] + 0.1).all())

    def test_legs_are_of_other_lengths_in_boxes_that_fit(self):
        people, who = self.crops.people, torch.zeros(20, dtype=torch.long, device=DEVICE)
        at = BODY25.index
        upright = {"shoulder": 60, "hip": 120, "knee": 160, "ankle": 200}
        for (part, y), (side, x) in itertools.product(upright.items(), (("left", 130), ("right", 110))):
            people.marks[0, at(f"{side}_{part}"), :2] = torch.tensor([x, y])
        with mock.patch.multiple("posetrain.train_keypoints", STRETCHED=1, LEGS=(0.7, 0.75)):
            box, marks, stretch = self.crops.stretched(who)
        y = {part: marks[:, at(f"left_{part}"), 1] for part in upright}
        self.assertTrue(((y["ankle"] - y["knee"]) / 40 < 0.8).all())
        self.assertTrue(((y["shoulder"] - 60).abs() < 6).all())
        self.assertTrue((box[:, 3] < people.boxes[0, 3] - 15).all() and ((box[:, 1] - people.boxes[0, 1]).abs() < 6).all())
        torch.testing.assert_close(stretch.undone(marks[..., :2]), people.marks[who, :, :2], atol=0.01, rtol=0)
        with mock.patch("posetrain.train_keypoints.STRETCHED", 0):
            box, marks, _ = self.crops.stretched(who)
        torch.testing.assert_close(box, people.boxes[who, :4])
        torch.testing.assert_close(marks[..., :2], people.marks[who, :, :2], atol=0.01, rtol=0)

    def test_clothes_are_painted_where_joints_are_on_pixels_of_theirs(self):
        people, seen = self.crops.people, []
        # What their mask leaves out is left of all joints.
        people.masks, people.mask = torch.full((1, 96, 96), 255, dtype=torch.uint8, device=DEVICE), torch.zeros_like(people.mask)
        edge = people.marks[0, :, 0].min() - 8
        people.masks[..., :int((edge + people.mask_from_photo[0, 1]) * people.mask_from_photo[0, 0])] = 0

        def dressed(light, cover, theirs, joints, known, chance):
            seen.append((theirs, joints))
            return light
        with mock.patch.multiple("posetrain.train_keypoints", dressed=dressed, DRESSED=1, STRETCHED=0.5, TILTED=0.5):
            _, points, _, _, _ = self.crops.drawn(40, SIZE)
        (theirs, joints), = seen
        self.assertEqual(len(joints), 40)
        torch.testing.assert_close(joints.sort(1).values, points.sort(1).values)
        at = joints.round().long()
        inside = ((at >= 0) & (at < SIZE)).all(-1)
        x, y = at.clamp(0, SIZE - 1).unbind(-1)
        on_them = theirs[torch.arange(40)[:, None], 0, y, x] > 0.5
        self.assertTrue(on_them[inside].all())
        self.assertTrue((theirs.amin((1, 2, 3)) < 0.1).any(), "not all of a crop is theirs")

    def test_bells_are_highest_where_joints_are(self):
        points = torch.tensor([[[10.0, 61.0], [80.0, 33.0], [50.0, 50.0]]])
        shown, spread = torch.tensor([[True, True, False]]), torch.full((1, 3), 1.1)
        maps = bells(points, shown, SIZE, spread)[0]
        self.assertEqual(maps[2].sum(), 0)
        for bell, (x, y) in zip(maps[:2], points[0].tolist()):
            self.assertAlmostEqual(bell.sum().item(), 1, places=3)
            row, column = divmod(bell.argmax().item(), SIZE // STRIDE)
            self.assertEqual((column, row), (round((x + 0.5) / STRIDE - 0.5), round((y + 0.5) / STRIDE - 0.5)))

    def test_other_steps_and_other_processes_draw_other_crops(self):
        drawn = []
        for step, process in ((0, 0), (0, 1), (500, 0), (0, 0)):
            self.crops.reseed(step, process)
            drawn.append(self.crops.drawn(2, SIZE)[1])
        self.assertTrue(torch.equal(drawn[0], drawn[3]))
        for one, other in ((0, 1), (0, 2), (1, 2)):
            self.assertFalse(torch.equal(drawn[one], drawn[other]))


class Lines(unittest.TestCase):
    def test_a_line_begins_with_what_its_seed_says(self):
        for workers in (0, 1):
            seen = []
            for step in (0, 7):
                numbers = [step]
                line = line_of(lambda numbers=numbers: np.array(numbers), workers, lambda process, numbers=numbers: numbers.append(process))
                seen.append(next(line).tolist())
            self.assertEqual(seen, [[0, 0], [7, 0]])


if __name__ == "__main__":
    unittest.main()
