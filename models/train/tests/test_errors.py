"""Errors are drawn as they were measured, and stored weights are those that were trained."""
import types
import unittest

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from posetrain import views
from posetrain.errors import lasting
from posetrain.export import stored
from posetrain.mocap import LIFT23
from posetrain.train_video import LEAP


def drawn(always, awhile, people=400, frames=28):
    """Errors of joints `(people, frames, 23, 2)` as the lifting recipes draw them, of one size."""
    drawer = types.SimpleNamespace(rng=np.random.default_rng(3), errors={
        "median": [0.0, 0.0], "tail": 0.0, "joints": [3.0] * len(LIFT23), "person": 0.0, "rest": 0.0, "lasting": [always, awhile]})
    rays = np.zeros((people, frames, len(LIFT23), 2), np.float32)
    rays[:, :, 0] = 10  # so that a person has a size
    seen = np.ones(rays.shape[:3], bool)
    return (views.Views.degrade(drawer, rays.copy(), seen)[0] - rays)[:, :, 1:]


class Lasting(unittest.TestCase):
    def test_it_is_measured_as_it_is_drawn(self):
        for shares in ((0.4, 0.35), (0.7, 0.1), (0.1, 0.6)):
            error = drawn(*shares)
            # Sides that are swapped move the joint that is far from the others, and people differ in how large their errors are.
            error = error[np.abs(error).max((1, 2, 3)) < 9]
            size = np.sqrt((error ** 2).mean((1, 2, 3), keepdims=True))
            error = error[size[:, 0, 0, 0] > 0] / size[size[:, 0, 0, 0] > 0] * 0.1 * LEAP
            got = lasting(error, np.ones(error.shape[:3], bool))
            np.testing.assert_allclose(got, shares, atol=0.05)

    def test_errors_that_nothing_ties_together_do_not_last(self):
        error = np.random.default_rng(1).normal(0, 0.01, (200, 12, 25, 2))
        np.testing.assert_allclose(lasting(error, np.ones(error.shape[:3], bool)), 0, atol=0.02)

    def test_joints_that_are_not_seen_do_not_count(self):
        rng = np.random.default_rng(1)
        error, seen = np.repeat(rng.normal(0, 0.01, (50, 1, 25, 2)), 12, 1), rng.random((50, 12, 25)) < 0.7
        error[~seen] = rng.normal(0, 0.05, (int((~seen).sum()), 2))
        np.testing.assert_allclose(lasting(error, seen), [1, 0], atol=1e-6)


class Stored(unittest.TestCase):
    def test_weights_beyond_the_reach_of_halves_stay_as_they_are(self):
        weights = torch.linspace(-3e5, 3e5, 100).numpy()
        graph = helper.make_graph([], "g", [], [helper.make_tensor_value_info("w", TensorProto.FLOAT, [100])],
                                  [numpy_helper.from_array(weights, "w")])
        (kept,) = stored(onnx.helper.make_model(graph)).graph.initializer
        np.testing.assert_array_equal(numpy_helper.to_array(kept), weights)


if __name__ == "__main__":
    unittest.main()
