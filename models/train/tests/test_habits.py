"""What a network takes for granted is told in the trunks of people, upwards."""
import types
import unittest

import numpy as np
import torch

from posetrain.habits import Upright, trunk
from posetrain.joints import BODY25
from posetrain.train_keypoints import bells

SIZE = 96


class Hips(unittest.TestCase):
    def test_hips_that_are_found_a_fifth_of_the_trunk_too_high_are_told_to_be(self):
        there = torch.full((3, 25, 2), 48.0)
        # Two lean, and one is half as large.
        for person, (lean, size) in zip(there, ((0, 40), (20, 30), (-5, 20))):
            for side in (-5, 5):
                name = "left" if side > 0 else "right"
                person[BODY25.index(f"{name}_shoulder")] = torch.tensor([48.0 + side + lean, 60 - size])
                person[BODY25.index(f"{name}_hip")] = torch.tensor([48.0 + side, 60])
        found = there.clone()
        found[:, [BODY25.index("left_hip"), BODY25.index("right_hip")]] += 0.2 * trunk(there)[:, None]
        maps = bells(found, torch.ones(3, 25, dtype=torch.bool), SIZE, torch.ones(3, 25)).numpy()
        shown = iter(maps)
        network = types.SimpleNamespace(get_inputs=lambda: [None], run=lambda _, fed: [next(shown)[None]])
        upright = Upright.__new__(Upright)
        upright.size, upright.crops = SIZE, lambda **how: (np.zeros((3, 3, SIZE, SIZE)), there.numpy())
        self.assertAlmostEqual(upright.hips_above(network), 0.2, delta=0.06)


if __name__ == "__main__":
    unittest.main()
