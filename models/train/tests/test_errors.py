"""Errors are drawn as they were measured."""
import types
import unittest
from unittest import mock

import numpy as np

from posetrain import views
from posetrain.errors import lasting, together
from posetrain.mocap import LIFT23
from posetrain.train_video import LEAP


APART = [[0.0] * n + [1.0] for n in range(len(LIFT23))]  # joints err by themselves


def drawn(always, awhile, people=400, frames=28, along=APART, across=APART, trunk=(0, 0)):
    """Errors of joints `(people, frames, 23, 2)` as the lifting recipes draw them, of one size."""
    drawer = types.SimpleNamespace(rng=np.random.default_rng(3), errors={
        "median": [0.0, 0.0], "tail": 0.0, "joints": [3.0] * len(LIFT23), "person": 0.0, "rest": 0.0, "lasting": [always, awhile],
        "along": along, "across": across})
    rays = np.zeros((people, frames, len(LIFT23), 2), np.float32)
    rays[:, :, 0] = 10  # so that a person has a size
    rays[:, :, [3, 4]] = trunk
    seen = np.ones(rays.shape[:3], bool)
    return (views.Views.degrade(drawer, rays.copy(), seen)[0] - rays)[:, :, 1:]


class Lasting(unittest.TestCase):
    def test_it_is_measured_as_it_is_drawn(self):
        for shares in ((0.4, 0.35), (0.7, 0.1), (0.1, 0.6)):
            with mock.patch("posetrain.views.STUBBORN", 0):
                error = drawn(*shares)
            # Sides that are swapped move the joint that is far from the others, and people differ in how large their errors are.
            error = error[np.abs(error).max((1, 2, 3)) < 9]
            error = error[error.any((1, 2, 3))]
            error *= 0.1 * LEAP / np.sqrt((error ** 2).mean((1, 2, 3), keepdims=True))
            got = lasting(error, np.ones(error.shape[:3], bool))
            np.testing.assert_allclose(got, shares, atol=0.05)

    def test_what_stubborn_detectors_do_for_a_moment_they_do_all_along(self):
        with mock.patch("posetrain.views.STUBBORN", 1):
            error = drawn(0.3, 0.4)
        error = error[(np.abs(error).max((1, 2, 3)) < 9) & error.any((1, 2, 3))]
        error *= 0.1 * LEAP / np.sqrt((error ** 2).mean((1, 2, 3), keepdims=True))
        np.testing.assert_allclose(lasting(error, np.ones(error.shape[:3], bool)), (0.7, 0), atol=0.05)

    def test_errors_that_nothing_ties_together_do_not_last(self):
        error = np.random.default_rng(1).normal(0, 0.01, (200, 12, 25, 2))
        np.testing.assert_allclose(lasting(error, np.ones(error.shape[:3], bool)), 0, atol=0.02)

    def test_joints_that_are_not_seen_do_not_count(self):
        rng = np.random.default_rng(1)
        error, seen = np.repeat(rng.normal(0, 0.01, (50, 1, 25, 2)), 12, 1), rng.random((50, 12, 25)) < 0.7
        error[~seen] = rng.normal(0, 0.05, (int((~seen).sum()), 2))
        np.testing.assert_allclose(lasting(error, seen), [1, 0], atol=1e-6)


class Together(unittest.TestCase):
    def test_errors_are_drawn_together_as_they_were_measured(self):
        """Hips that err together along the trunk and against each other across it, before somebody whose trunk leans."""
        one, other = (LIFT23.index(f"{side}_hip") for side in ("left", "right"))
        ties = [[row[:] for row in APART] for _ in range(2)]
        ties[0][other][one], ties[0][other][other] = 0.8, 0.6
        ties[1][other][one], ties[1][other][other] = -0.6, 0.8
        lean = np.array([0.8, -0.6])
        error = drawn(0, 0, along=ties[0], across=ties[1], trunk=lean) @ np.stack([lean, [-0.6, -0.8]]).T
        error = np.concatenate([np.zeros_like(error[:, :, :1]), error], 2).reshape(-1, len(LIFT23), 2)
        use = (error != 0).all(-1) & (np.abs(error).max(-1) < 9)
        for axis, wanted in ((0, 0.8), (1, -0.6)):
            triangle = together(error[..., axis], use)
            self.assertAlmostEqual(triangle[other][one], wanted, delta=0.06)
            self.assertAlmostEqual(np.linalg.norm(triangle[other]), 1, delta=0.01)
            self.assertLess(np.abs(triangle[LIFT23.index("left_knee")][:-1]).max(), 0.06)

    def test_sizes_of_errors_do_not_count(self):
        rng = np.random.default_rng(2)
        error = rng.normal(0, 1, (4000, len(LIFT23)))
        error[:, 10] = 0.6 * error[:, 9] + 0.8 * error[:, 10]
        error *= np.exp(rng.normal(0, 1, error.shape))
        triangle = together(error, np.ones(error.shape, bool))
        self.assertAlmostEqual(triangle[10][9], 0.6, delta=0.05)


if __name__ == "__main__":
    unittest.main()
