"""A lifter says the same frame after frame as window after window; a body that bends stays one."""
import hashlib
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from torch import nn

from posetrain.export import export, streamed_apart
from posetrain.lifting import BONES, LiftNet, mirrored, of_both, so_far
from posetrain.mocap import LIFT23
from posetrain.poses import athletic, on_legs
from posetrain.start import take_up_lifter
from posetrain.streaming import Streaming
from posetrain.views import FEATURES, MIRROR, normalise


def alike(net):
    """Makes what the last layer adds the same of both sides, as a file knows it (see `unfold`)."""
    with torch.no_grad():
        bias, sides = net.shrink.bias, torch.tensor([-1.0, 1, 1])
        joints, scales = bias[:69].view(23, 3), bias[69:92]
        joints.copy_((joints + joints[MIRROR.tolist()] * sides) / 2), scales.copy_((scales + scales[MIRROR.tolist()]) / 2)
        bias[93] = 0
    return net


class Frames(unittest.TestCase):
    def setUp(self):
        torch.manual_seed(0)
        self.net = LiftNet(32, (1, 2, 3), means=(2, 4, 8, 16))
        for norm in (part for part in self.net.modules() if isinstance(part, nn.BatchNorm1d)):
            norm.running_mean.normal_(0, 0.1), norm.running_var.uniform_(0.5, 2)
        self.net.eval()
        self.frames = torch.randn(2, 30, FEATURES)
        nn.init.normal_(self.net.long, std=0.1)

    def test_streaming_is_what_windows_say(self):
        streaming = Streaming(self.net)
        states = [{"input": f"state_{n}", "shape": shape} for n, shape in enumerate(streaming.states)]
        session = mock.Mock()
        session.run = lambda _, given: [part.numpy() for part in streaming(*map(torch.as_tensor, given.values()))]
        self.assertLess(streamed_apart(session, self.net, states), 1e-5)
        streaming.long[0] += 1
        self.assertGreater(streamed_apart(session, self.net, states), 1e-3)

    def test_means_are_of_all_frames_and_later_of_the_last(self):
        x = torch.randn(2, 9, 4)
        mean = so_far(x, (3, 1000))
        torch.testing.assert_close(mean[:, 2], x[:, :3].mean(1))
        torch.testing.assert_close(mean[:, 8, 1::2], x[..., 1::2].mean(1))
        torch.testing.assert_close(mean[:, 3, ::2], (2 * mean[:, 2, ::2] + x[:, 3, ::2]) / 3)

    def test_features_of_mirrored_people_are_those_that_a_mirror_shows(self):
        rng = np.random.default_rng(4)
        rays = rng.normal(0, 0.2, (3, 5, 23, 2)) + rng.normal(0, 0.1, (3, 5, 1, 2))
        confidence, seconds = rng.uniform(0, 1, (3, 5, 23)), np.full((3, 5), 1 / 30)
        up = rng.normal(0, 1, (3, 5, 3)) + [0, -3, 0]
        up /= np.linalg.norm(up, axis=-1, keepdims=True)
        plain, _ = normalise(rays, confidence > 0.2, confidence, seconds, up)
        turned = confidence[..., MIRROR]
        wanted, _ = normalise(rays[:, :, MIRROR] * [-1, 1], turned > 0.2, turned, seconds, up * [-1, 1, 1])
        torch.testing.assert_close(mirrored(torch.from_numpy(plain)), torch.from_numpy(wanted), atol=1e-5, rtol=0)

    def test_both_sides_count_as_much(self):
        pose = torch.randn(2, 23, 4)
        turned = pose[:, MIRROR.tolist()] * torch.tensor([-1.0, 1, 1, 1])
        torch.testing.assert_close(of_both(pose, turned), pose)
        moved = turned + torch.tensor([-0.2, 0.2, 0.4, 0])
        torch.testing.assert_close(of_both(pose, moved), pose + torch.tensor([0.1, 0.1, 0.2, 0]))

    def test_it_is_taken_up_from_its_file(self):
        alike(self.net)
        with tempfile.TemporaryDirectory() as folder:
            export({"task": "lifting", "name": "lifter"}, "lifter.toml", self.net, folder)
            path = Path(folder) / "lifter.onnx"
            start = {"file": path, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
            again = take_up_lifter(LiftNet(32, (1, 2, 3), means=(2, 4, 8, 16)), start, self.frames)
            wanted = self.net.every(self.frames)
            # While it is trained, channels are normalised by what is seen.
            for got in (again.every(self.frames), again.eval().every(self.frames)):
                self.assertLess((got - wanted).abs().max(), 0.002)
                self.assertGreater((got - wanted).abs().max(), 0)
            for other, means in (((1, 2), (2, 4, 8, 16)), ((1, 1, 1), (2, 4, 8, 16)), ((3, 2, 1), (2, 4, 8, 16)), ((1, 2, 3), ()), ((1, 2, 3), (2, 4))):
                with self.assertRaisesRegex(ValueError, "another network"):
                    take_up_lifter(LiftNet(32, other, means=means), start, self.frames)
            without = alike(LiftNet(32, (1, 2, 3)).eval())
            export({"task": "lifting", "name": "lifter"}, "lifter.toml", without, folder)
            earlier = {"file": path, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
            more = take_up_lifter(LiftNet(32, (1, 2, 3), means=(2, 4, 8, 16)), earlier, self.frames).eval()
            self.assertLess((more.every(self.frames) - without.every(self.frames)).abs().max(), 0.003)
            with self.assertRaisesRegex(ValueError, "not the file"):
                take_up_lifter(again, start | {"sha256": "0"}, self.frames)

    def test_what_never_stirred_in_training_tells_nothing(self):
        net = LiftNet(8, (1, 2), means=(2, 4)).eval()
        for layer in (0, 1):
            net.norms[layer].running_var[3] = 1e-20
            net.along[layer].weight.data[3] = 1e4
        nn.init.ones_(net.long)
        with self.assertRaises(ValueError), tempfile.TemporaryDirectory() as folder, mock.patch.object(LiftNet, "silence"):
            export({"task": "lifting", "name": "lifter"}, "lifter.toml", net, folder)
        with tempfile.TemporaryDirectory() as folder:
            export({"task": "lifting", "name": "lifter"}, "lifter.toml", net, folder)
        self.assertFalse(net.along[0].weight[3].any() or net.along[1].weight[3].any() or net.long[3])
        self.assertTrue(net.long[[0, 1, 2, 4, 5, 6, 7]].all())
        self.assertTrue(net.along[0].weight[[0, 1, 2, 4, 5, 6, 7]].abs().amax((1, 2)).all())

    def test_causal_networks_see_no_later_frame_and_symmetric_ones_see_both_ways(self):
        for symmetric, sees in ((False, lambda t: t <= 20), (True, lambda t: 14 <= t <= 26)):
            net = LiftNet(32, (1, 2, 3), symmetric=symmetric).eval()
            first = net.frames - 1 - net.ahead
            before = net.every(self.frames)[:, 20 - first]
            for changed in (15, 19, 21, 26, 27):
                other = self.frames.clone()
                other[:, changed] += 1
                self.assertEqual(not torch.equal(net.every(other)[:, 20 - first], before), sees(changed), (symmetric, changed))

    def test_a_frame_goes_through_as_itself_where_layers_add_nothing(self):
        for symmetric in (False, True):
            net = LiftNet(32, (1, 2, 3), symmetric=symmetric).eval()
            for narrow in net.narrow:
                nn.init.zeros_(narrow[1].weight)
            first = net.frames - 1 - net.ahead
            before = net.every(self.frames)[:, 20 - first]
            for changed in (14, 19, 20, 21, 26):
                other = self.frames.clone()
                other[:, changed] += 1
                self.assertEqual(torch.equal(net.every(other)[:, 20 - first], before), changed != 20)


class Bodies(unittest.TestCase):
    def test_bones_of_athletes_keep_their_lengths(self):
        rng = np.random.default_rng(0)
        at = LIFT23.index
        standing = np.zeros((23, 3))
        for side, x in (("left", 1), ("right", -1)):
            for part, place in {"ear": (0.07, 1.6, 0), "shoulder": (0.2, 1.4, 0), "elbow": (0.25, 1.1, 0), "wrist": (0.27, 0.85, 0.03),
                                "pinky": (0.29, 0.77, 0.02), "index": (0.28, 0.76, 0.06), "hip": (0.1, 0.9, 0), "knee": (0.11, 0.48, 0.02),
                                "ankle": (0.1, 0.08, 0), "heel": (0.1, 0.02, -0.05), "foot_index": (0.11, 0.02, 0.15)}.items():
                standing[at(f"{side}_{part}")] = np.array(place) * [x, 1, 1]
        standing[at("nose")] = 0, 1.57, 0.11
        limbs = [(a, b) for a, b in BONES if (a, b) != tuple(map(at, ("nose", "left_shoulder"))) and LIFT23[a] != "nose" and
                 {LIFT23[a].split("_")[1], LIFT23[b].split("_")[1]} not in ({"shoulder", "hip"}, {"ankle", "foot"})]
        lengths = lambda joints: np.array([np.linalg.norm(joints[a] - joints[b]) for a, b in limbs])
        poses = [athletic(standing, rng) for _ in range(50)]
        for pose in poses:
            np.testing.assert_allclose(lengths(pose), lengths(standing), atol=1e-4)
            self.assertAlmostEqual(pose[:, 1].min(), 0)
        # Half of them any way up.
        heads_down = sum(pose[at("nose"), 1] < pose[at("left_hip"), 1] for pose in poses)
        self.assertGreater(heads_down, 8)
        self.assertLess(heads_down, 42)

    def test_who_stands_on_shorter_legs_stands_as_before(self):
        at, bodies = LIFT23.index, np.random.default_rng(1).normal(0, 0.3, (4, 23, 3)) + [0, 2, 0]
        shorter = on_legs(bodies, 0.8)
        length = lambda joints, a, b: np.linalg.norm(joints[:, at(a)] - joints[:, at(b)], axis=-1)
        for side in ("left", "right"):
            for bone, factor in ((("hip", "knee"), 0.8), (("knee", "ankle"), 0.8), (("ankle", "heel"), 1), (("heel", "foot_index"), 1), (("hip", "wrist"), 1)):
                a, b = (f"{side}_{joint}" for joint in bone)
                np.testing.assert_allclose(length(shorter, a, b), factor * length(bodies, a, b))
        self.assertAlmostEqual(shorter[..., 1].min(), bodies[..., 1].min())
        # Everybody of a motion comes down by as much.
        down = shorter[:, at("nose")] - bodies[:, at("nose")]
        np.testing.assert_allclose(down, np.broadcast_to(down[0], down.shape))


if __name__ == "__main__":
    unittest.main()
