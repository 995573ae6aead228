"""Errors are drawn as they were measured."""
import types
import unittest

import numpy as np

from posetrain import views
from posetrain.errors import lasting
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
            error = error[error.any((1, 2, 3))]
            error *= 0.1 * LEAP / np.sqrt((error ** 2).mean((1, 2, 3), keepdims=True))
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


if __name__ == "__main__":
    unittest.main()
