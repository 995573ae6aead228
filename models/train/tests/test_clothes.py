"""Other clothes are painted where they would be worn, and nowhere else."""
import unittest

import torch

from posetrain.clothes import SWIMMING, Wardrobe, dressed, garments
from posetrain.joints import BODY25
from posetrain.loop import DEVICE
from posetrain.pictures import Chance

SIZE = 96
# Upright, from the front: shoulders at 24, hips at 48, knees at 68, ankles at 88, arms stretched out.
PLACES = {"shoulder": (12, 24), "hip": (8, 48), "knee": (8, 68), "ankle": (8, 88), "elbow": (26, 24), "wrist": (38, 24), "index": (46, 24), "eye": (2, 10),
          "ear": (4, 10)}


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
    def test_tops_end_where_trousers_begin_and_trousers_where_they_should(self):
        for seed in range(4):
            worn = Wardrobe(band=(0.25, 0.25), slant=0, legs=(0.5, 0.5), sleeves=(1, 1))
            top, trousers, bare = garments(*somebody(), SIZE, Chance(seed), worn)[0].cpu()
            # A quarter of the trunk above the hips; half-way down the thighs.
            self.assertAlmostEqual(rows(top[:, 36:60])[1], 42, delta=1.5)
            self.assertAlmostEqual(rows(trousers)[0], 42, delta=1.5)
            self.assertAlmostEqual(rows(trousers)[1], 58, delta=1.5)
            self.assertGreater(top[24, 48 + 20], 0.5, "sleeves to the elbows")
            for y, x in ((24, 48 + 32), (24, 48 + 44), (78, 48 + 8)):
                self.assertGreater(bare[y, x], 0.5, "bare forearms, hands and shins")
            self.assertEqual((top + trousers + bare)[8, 48].item(), 0, "heads are left as they are")

    def test_long_trousers_and_sleeves_reach_ankles_and_wrists(self):
        worn = Wardrobe(band=(0, 0), slant=0, legs=(1.9, 1.9), sleeves=(1.9, 1.9))
        top, trousers, _ = garments(*somebody(), SIZE, Chance(1), worn)[0].cpu()
        self.assertGreater(top[24, 48 + 35], 0.5)
        self.assertGreater(trousers[84, 48 + 8], 0.5)

    def test_swimmers_show_skin_with_folds_and_no_old_edge_and_nothing_around_them_changes(self):
        # A white shirt over black trousers, in fine stripes.
        light = torch.full((1, 3, SIZE, SIZE), 220.0, device=DEVICE)
        light[:, :, 36:] = 40
        light[:, :, ::4] += 16
        theirs = torch.zeros(1, 1, SIZE, SIZE, device=DEVICE)
        theirs[..., 30:66] = 1
        out = dressed(light, torch.ones_like(theirs), theirs, *somebody(), Chance(3), SWIMMING._replace(band=(0.1, 0.1)))
        self.assertTrue(torch.equal(out[..., :30], light[..., :30]) and torch.equal(out[..., 66:], light[..., 66:]))
        chest = out[0, :, 26:42, 40:56]
        self.assertGreater(chest[0].mean(), 1.1 * chest[2].mean(), "skin is red")
        rows = chest.mean((0, 2))
        self.assertGreater((rows[2] - rows[3]).item(), 2, "stripes stay")
        self.assertLess((rows.max() - rows.min()).item(), 50, "of 180")
        hips = out[0, :, 48:54, 44:52].mean((1, 2))
        self.assertGreater((hips - chest.mean((1, 2))).abs().max(), 10)

    def test_edges_of_people_are_as_much_of_them_as_before(self):
        """Half of a pixel is theirs: whether a picture is cut out or not, half of it becomes other clothes."""
        half = torch.full((1, 1, SIZE, SIZE), 0.5, device=DEVICE)
        whole = torch.full((1, 3, SIZE, SIZE), 200.0, device=DEVICE)
        how = *somebody(), Chance(3), SWIMMING._replace(band=(0.1, 0.1))
        cut_out = dressed(0.5 * whole, half, half, *how)[0, :, 30, 48]
        how = *somebody(), Chance(3), SWIMMING._replace(band=(0.1, 0.1))
        inside = dressed(whole, torch.ones_like(half), half, *how)[0, :, 30, 48]
        torch.testing.assert_close(inside, cut_out + 100, atol=0.5, rtol=0)
        how = *somebody(), Chance(3), SWIMMING._replace(band=(0.1, 0.1))
        full = dressed(whole, torch.ones_like(half), torch.ones_like(half), *how)[0, :, 30, 48]
        torch.testing.assert_close(full, 2 * cut_out, atol=1, rtol=0)


if __name__ == "__main__":
    unittest.main()
