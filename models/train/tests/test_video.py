"""Crops of people who move stay on them, and what is remembered is found where it is now."""
import hashlib
import json
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import cv2
import numpy as np
import remembering
import torch
from onnxruntime import InferenceSession
from torch.nn import functional

from posetrain import moving, pictures
from posetrain.consistency import Consistency, VideoNet, where_before
from posetrain.joints import BODY25
from posetrain.loop import DEVICE
from posetrain.pictures import inverse
from posetrain.start import take_up
from posetrain.train_video import normalised, taken_up
from posetrain.vision import KeypointNet

SIZE, FRAMES = 96, 5


def motions(folder):
    """Two photographs of somebody before a wall of blobs, and two motions of a green square that wanders across a picture."""
    rng = np.random.default_rng(0)
    (folder / "set").mkdir(), (folder / "moving").mkdir()
    for name in ("a.png", "b.png"):
        wall = cv2.GaussianBlur(rng.integers(0, 255, (240, 240, 3), np.uint8), (0, 0), 5)
        cv2.imwrite(str(folder / "set" / name), cv2.normalize(wall, None, 0, 255, cv2.NORM_MINMAX))
    person = {"box": [70, 50, 170, 200], "score": 0.9, "keypoints": [[100 + 2 * n, 80 + 4 * n, 1, 0] for n in range(25)]}
    labels = {"images": [{"file": f"set/{name}", "people": [person]} for name in ("a.png", "b.png")]}
    (folder / "labels.json").write_text(json.dumps(labels))
    people = []
    for whose in range(2):
        for frame in range(8):
            picture, x, y = np.zeros((128, 128, 4), np.uint8), 40 + 5 * frame, 30 + 7 * frame * whose
            picture[y - 12:y + 13, x - 12:x + 13] = 0, 255, 0, 255
            file = f"{len(people):05}.png"
            cv2.imwrite(str(folder / "moving" / file), picture)
            people.append({"file": file, "person": whose, "joints": [[x + 4 * (n % 5 - 2), y + 4 * (n // 5 - 2), 1] for n in range(25)]})
    (folder / "moving" / "people.json").write_text(json.dumps({"joint_names": BODY25, "size": 128, "frames": 8, "people": people}))
    return moving.Motions({"labels": folder / "labels.json", "photos": folder, "moving": [folder / "moving"]}, 1)


class Crops(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.motions = motions(Path(folder.name))

    def drawn(self, still):
        self.motions.still, plain = still, {"PASSED": 0, "COVERED": 0, "SOFT": 0}
        with mock.patch.multiple(moving, **plain), mock.patch.object(pictures, "RECOLOURED", 0):
            return [part.cpu() for part in self.motions.drawn(12, FRAMES, SIZE)]

    def test_before_a_still_picture_the_frame_before_is_moved_as_told(self):
        crops, points, shown, _, _, moved = self.drawn(still=1)
        grid = where_before(normalised(moved, SIZE).flatten(0, 1), SIZE)
        before = torch.cat([crops[:, :1], crops[:, :-1]], 1).flatten(0, 1)
        again = functional.grid_sample(before, grid, align_corners=False).view_as(crops)
        inside = (grid.abs() < 0.95).all(-1).view(len(crops), FRAMES, 1, SIZE, SIZE)
        apart = ((again - crops).abs() * inside).sum((0, 2, 3, 4)) / (3 * inside.sum((0, 2, 3, 4)))
        self.assertLess(apart.max(), 4)
        self.assertGreater((before.view_as(crops) - crops)[:, 1:].abs().mean(), 2 * apart.max())
        carried = points @ moved[..., :2].transpose(-1, -2) + moved[..., 2][:, :, None]
        torch.testing.assert_close(carried[:, 1:], points[:, :-1], atol=1e-2, rtol=0)

    def test_what_is_behind_stands_still_in_the_picture(self):
        by = torch.tensor([[0.0, 0.0], [6.0, 0.0], [6.0, -4.0]], device=DEVICE)
        first_from_crop = torch.cat([torch.eye(2, device=DEVICE).expand(1, 3, 2, 2), by[None, :, :, None]], -1)
        first, right, above = self.motions.background(first_from_crop, SIZE).float().cpu()
        torch.testing.assert_close(right[:, :, :-6], first[:, :, 6:], atol=2, rtol=0)
        torch.testing.assert_close(above[:, 4:, :-6], first[:, :-4, 6:], atol=2, rtol=0)

    def test_joints_stay_on_whoever_moves(self):
        crops, points, shown, _, _, _ = self.drawn(still=0)
        there = 0
        for n, frame in np.ndindex(len(crops), FRAMES):
            if shown[n, frame, 12]:
                x, y = points[n, frame, 12].round().long().clamp(0, SIZE - 1).tolist()
                red, green, blue = crops[n, frame, :, y, x].tolist()
                if max(red, green, blue) - min(red, green, blue) > 20:  # some are grey, or nearly
                    self.assertEqual(max(red, green, blue), green)
                    there += 1
        self.assertGreater(there, 20)
        self.assertGreater((points[:, 1:, 12] - points[:, :-1, 12]).norm(dim=-1).mean(), 1)


class Memory(unittest.TestCase):
    def setUp(self):
        torch.manual_seed(0)
        self.net = VideoNet(KeypointNet(widths=(8, 8, 8, 8), depths=(0, 0, 0, 0), merged=8), told=4).eval()
        self.images = torch.rand(2, FRAMES, 3, 64, 64) * 255
        self.moved = torch.eye(2, 3).expand(2, FRAMES, 2, 3) + 0.1 * torch.randn(2, FRAMES, 2, 3)

    def test_at_first_it_says_what_single_frames_say(self):
        torch.testing.assert_close(self.net.every(self.images, self.moved)[:, 2], self.net.net(self.images[:, 2]))

    def test_frame_after_frame_is_what_all_at_once_is(self):
        for part in self.net.consistency.parameters():
            torch.nn.init.normal_(part, std=0.3)
        nothing = torch.zeros(2, self.net.consistency.kept, 4, 4)

        def along(order, moved, later):
            states, out = nothing, {}
            for frame in order:
                out[frame] = told, states = self.net(self.images[:, frame], states, moved[frame], later[frame])
            return [out[frame] for frame in range(FRAMES)]
        before = list(self.moved.unbind(1))
        # Of the last frame nothing comes back: where it would be read does not matter.
        after = [inverse(moved) for moved in before[1:]] + [before[0]]
        back = [states for _, states in along(range(FRAMES - 1, -1, -1), after, [nothing] * FRAMES)]
        ways = {False: [nothing] * FRAMES, True: back}
        for both_ways, later in ways.items():
            wanted = self.net.every(self.images, self.moved, both_ways)
            for frame, (got, _) in enumerate(along(range(FRAMES), before, later)):
                torch.testing.assert_close(got, wanted[:, frame])
        alone, live, both = self.net.net(self.images[:, 1]), self.net.every(self.images, self.moved)[:, 1], wanted[:, 1]
        self.assertFalse(torch.allclose(live, alone, atol=1e-3) or torch.allclose(both, live, atol=1e-3))

    def test_what_is_exported_says_the_same_frame_after_frame(self):
        with tempfile.TemporaryDirectory() as folder:
            remembering.write(folder)  # which holds the file against the network
            card = json.loads((Path(folder) / "remembering.json").read_text())
            session = InferenceSession(str(Path(folder) / card["file"]))
        inputs = {told.name: told.shape for told in session.get_inputs()}
        state, map_name, size = card["decoder"]["states"][0], card["decoder"]["crop_before_from_crop"], remembering.SIZE
        of_state = ["people", *state["shape"]]
        self.assertEqual(inputs, {"image": ["people", 3, size, size], state["input"]: of_state, map_name: ["people", 2, 3],
                                  state["later"]: of_state})
        self.assertEqual([told.name for told in session.get_outputs()], [card["decoder"]["output"], state["output"]])

    def test_what_sees_single_frames_is_taken_out_of_the_file_of_what_remembers(self):
        net = remembering.network()
        with tempfile.TemporaryDirectory() as folder:
            remembering.write(folder)
            path = Path(folder) / "remembering.onnx"
            start = {"file": path, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
            single = KeypointNet(widths=(8, 8, 8, 8), depths=(0, 0, 0, 0), merged=8)
            take_up(single, start, self.images[0])
        wanted = net.net(self.images[0])
        # While it is trained, channels are normalised by what is seen.
        for got in (single(self.images[0]), single.eval()(self.images[0])):
            self.assertLess((got - wanted).abs().max() / wanted.abs().max(), 0.05)
            self.assertGreater((got - wanted).abs().max(), 0)

    def test_it_is_taken_up_whole(self):
        net, again = remembering.network(), VideoNet(KeypointNet(widths=(8, 8, 8, 8), depths=(0, 0, 0, 0), merged=8), told=4)
        frame = self.images[:, 0], torch.randn(2, net.consistency.kept, 4, 4), self.moved[:, 1], torch.randn(2, net.consistency.kept, 4, 4)
        with tempfile.TemporaryDirectory() as folder:
            remembering.write(folder)
            path = Path(folder) / "remembering.onnx"
            take_up(again, {"file": path, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}, *frame, remembering=True)
        for wanted, got in zip(net(*frame), again.eval()(*frame)):
            self.assertLess((got - wanted).abs().max() / wanted.abs().max(), 0.05)
            self.assertGreater((got - wanted).abs().max(), 0)

    def test_parts_of_a_memory_are_what_is_left_of_it(self):
        layer = Consistency(3, told=2, dilations=(0, 1, 2)).eval()
        for part in layer.parameters():
            torch.nn.init.normal_(part, std=0.3)
        x, grid = torch.randn(2, 3, 6, 6), where_before(0.1 * torch.randn(2, 2, 3) + torch.eye(2, 3), 6)
        hidden, cell = torch.randn(2, 2, 3, 2, 6, 6).unbind(1)
        states = lambda scales: torch.cat([part[:, scales].flatten(1, 2) for part in (hidden, cell)], 1)
        whole = layer(x, states([0, 1, 2]), grid, None)[1].unflatten(1, (2, 3, 2))
        less = layer.parts([0, 2]).eval()
        torch.testing.assert_close(less(x, states([0, 2]), grid, None)[1].unflatten(1, (2, 2, 2)), whole[:, :, [0, 2]])
        flat = layer.parts([0, 1, 2], offsets=False).eval()
        self.assertIsNone(flat.parts([0, 1]).offsets)
        self.assertFalse(torch.allclose(flat(x, states([0, 1, 2]), grid, None)[1].unflatten(1, (2, 3, 2)), whole, atol=1e-3))
        for silent in (layer.offsets.weight, layer.offsets.bias):
            torch.nn.init.zeros_(silent)
        for one, other in zip(flat(x, states([0, 1, 2]), grid, None), layer(x, states([0, 1, 2]), grid, None)):
            torch.testing.assert_close(one, other)

    def test_memory_and_what_sees_single_frames_go_on_as_the_recipe_says(self):
        path = Path(__file__).parents[2] / "embedded" / "keypoints.onnx"
        start = {"file": path, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        drawn = mock.Mock(drawn=lambda count, frames, size: [torch.rand(count, frames, 3, size, size, device=DEVICE) * 255])
        for goes_on, whole in ((start, False), (start | {"remembering": True}, True)):
            net = taken_up({"size": 64, "start": goes_on, "whole": whole, "shape": {"offsets": False}}, drawn)
            self.assertEqual(any(weight.requires_grad for weight in net.net.parameters()), whole)
            self.assertEqual(bool(net.consistency.out.weight.any()), "remembering" in goes_on)
            norm = net.net.backbone.stem[1]
            before = norm.running_mean.clone()
            net.every(torch.rand(2, 2, 3, 64, 64, device=DEVICE) * 255, torch.eye(2, 3, device=DEVICE).expand(2, 2, 2, 3))
            torch.testing.assert_close(norm.running_mean, before, atol=0, rtol=0)

    def test_states_are_read_where_the_crop_was(self):
        layer = Consistency(1, told=1, dilations=(0,)).eval()
        for part in layer.gates_kept.parameters():
            torch.nn.init.zeros_(part)
        # Nothing is let in, all is kept and told.
        gates = torch.tensor([-20.0, 20.0, 20.0, 0.0])[None, :, None, None].expand(1, 4, 4, 4)
        states = torch.zeros(1, 2, 4, 4)
        states[0, 1, 1, 2] = 1
        # The crop has moved by a cell to the right: what was there is a cell further left.
        kept = layer.remember(gates, states, where_before(torch.tensor([[[1.0, 0, 0.5], [0, 1, 0]]]), 4))
        self.assertAlmostEqual(kept[0, 1, 1, 1].item(), 1, places=3)
        self.assertAlmostEqual(kept[0, 1].sum().item(), 1, places=3)
        # The offset field says that what is here now was a cell below.
        with torch.no_grad():
            layer.offsets.bias.copy_(torch.tensor([0.0, 1.0]))
        kept = layer.remember(gates, states, where_before(torch.eye(2, 3)[None], 4))
        self.assertAlmostEqual(kept[0, 1, 0, 2].item(), 1, places=3)


if __name__ == "__main__":
    unittest.main()
