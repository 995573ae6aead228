"""Other clothes are painted where they would be worn, and nowhere else."""
import unittest
from unittest import mock

import torch

from posetrain import clothes
from posetrain.joints import BODY25
from posetrain.loop import DEVICE
from posetrain.pictures import Chance

SIZE = 96
# Upright, from the front: shoulders at 24, hips at 48, knees at 68, ankles at 88, arms stretched out.
PLACES = {"shoulder": (12, 24), "hip": (8, 48), "knee": (8, 68), "ankle": (8, 88), "elbow": (26, 24), "wrist": (40, 24), "eye": (2, 10), "ear": (4, 10)}


def somebody():
    """Joints `(1, 25, 2)` and whether they are known `(1, 25)`."""
    joints, known = torch.zeros(1, 25, 2), torch.zeros(1, 25, dtype=torch.bool)
    for sign, side in ((1, "left"), (-1, "right")):
        for joint, (x, y) in PLACES.items():
            at = BODY25.index(f"{side}_{joint}")
            joints[0, at], known[0, at] = torch.tensor([48.0 + sign * x, y]), True
    return joints.to(DEVICE), known.to(DEVICE)


def rows(garment):
    """The first and last rows of a crop in which there is anything of it."""
    there = (garment > 0.5).any(-1).nonzero()[:, 0]
    return there.min().item(), there.max().item()


class Clothes(unittest.TestCase):
    def fixed(self, **bounds):
        for name, value in bounds.items():
            self.enterContext(mock.patch.object(clothes, name, value))

    def test_tops_end_where_trousers_begin_and_trousers_where_they_should(self):
        self.fixed(BAND=(0.25, 0.25), SLANT=0, LEGS=(0.5, 0.5), SLEEVES=(1, 1))
        top, trousers, bare = clothes.garments(*somebody(), SIZE, Chance(1))[0].cpu()
        # A quarter of the trunk above the hips; half-way down the thighs.
        self.assertAlmostEqual(rows(top[:, 36:60])[1], 42, delta=2)
        self.assertAlmostEqual(rows(trousers)[0], 42, delta=2)
        self.assertAlmostEqual(rows(trousers)[1], 58, delta=2)
        self.assertGreater(top[24, 48 + 20], 0.5, "sleeves to the elbows")
        self.assertGreater(bare[24, 48 + 32], 0.5, "bare forearms")
        self.assertGreater(bare[78, 48 + 8], 0.5, "bare shins")
        self.assertEqual((top + trousers + bare)[8, 48].item(), 0, "heads are left as they are")

    def test_long_trousers_and_sleeves_reach_ankles_and_wrists(self):
        self.fixed(BAND=(0, 0), SLANT=0, LEGS=(1.9, 1.9), SLEEVES=(1.9, 1.9))
        top, trousers, _ = clothes.garments(*somebody(), SIZE, Chance(1))[0].cpu()
        self.assertGreater(top[24, 48 + 36], 0.5)
        self.assertGreater(trousers[84, 48 + 8], 0.5)

    def test_swimmers_show_skin_with_its_folds_and_nothing_around_them_changes(self):
        self.fixed(SWIMMERS=1, TROUSERS=1, BAND=(0.25, 0.25), SLANT=0, SKIN=((0.8, 0.6, 0.5),) * 2)
        light = torch.full((1, 3, SIZE, SIZE), 90.0, device=DEVICE)
        light[:, :, ::4] = 120
        share = torch.zeros(1, 1, SIZE, SIZE, device=DEVICE)
        share[..., 30:66] = 1
        out = clothes.dressed(light, share, *somebody(), Chance(3))
        self.assertTrue(torch.equal(out[..., :30], light[..., :30]) and torch.equal(out[..., 66:], light[..., 66:]))
        chest = out[0, :, 26:38, 40:56].float()
        self.assertAlmostEqual((chest[0].mean() / chest[2].mean()).item(), 0.8 / 0.5, delta=0.15)
        self.assertGreater(chest[:, 2, 0].mean(), chest[:, 3, 0].mean())
        hips = out[0, :, 46:54, 44:52].mean((1, 2))
        self.assertGreater((hips - chest.mean((1, 2))).abs().max(), 10)


if __name__ == "__main__":
    unittest.main()
