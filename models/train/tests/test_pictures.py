"""Pictures as tensors are what OpenCV makes of them one by one."""
import itertools
import unittest
from unittest import mock

import cv2
import numpy as np
import torch

from posetrain import masks, photos, pictures
from posetrain.loop import DEVICE
from posetrain.pictures import (Chance, Pictures, Stretch, affine, blur, into_crop, lit, outlines, pixels_of, sampled, squared,
                                steep)

SIZE = 48


def smooth(high, wide, channels, seed):
    return cv2.GaussianBlur(np.random.default_rng(seed).integers(0, 255, (high, wide, channels), np.uint8), (0, 0), 2)


def there(*numbers):
    return torch.tensor(numbers, device=DEVICE)


class Sampling(unittest.TestCase):
    def setUp(self):
        self.images = [smooth(60, 90, 3, 1), smooth(50, 40, 4, 2)]
        self.centre, self.angle = [(44.0, 31.0), (12.0, 30.0)], [0.4, -2.0]
        self.side, self.aspect, self.mirror = [70.0, 35.0], [1.2, 1.0], [False, True]
        self.matrix = affine(there(*self.centre), there(*self.side), SIZE, there(*self.angle), there(*self.aspect), there(*self.mirror))
        self.alone = [photos.affine(np.array(c), s, SIZE, a, p, m)
                      for c, s, a, p, m in zip(self.centre, self.side, self.angle, self.aspect, self.mirror)]

    def ways(self):
        """Those of cutting out crops: as this machine does, and all at once."""
        of = Pictures(self.images)

        def at_once(which, matrix, size, reflect, stretch=None):
            return sampled(of.packed, of.first[which], of.high[which], of.wide[which], *pixels_of(matrix, size, stretch), reflect)
        return of.sample, at_once

    def test_crops_are_placed_as_one_by_one(self):
        for matrix, alone in zip(self.matrix.cpu(), self.alone):
            np.testing.assert_allclose(matrix, alone, atol=1e-4)

    def test_crops_show_what_opencv_shows(self):
        for sample, (reflect, fill) in itertools.product(self.ways(), ((True, None), (False, (0, 0, 0, 0)))):
            got = sample(there(0, 1), self.matrix, SIZE, there(reflect, reflect)).float().cpu().numpy()
            for seen, image, alone in zip(got, self.images, self.alone):
                image = image if image.shape[2] == 4 else np.dstack([image, np.full(image.shape[:2], 255, np.uint8)])
                wanted = photos.warp(image, alone, SIZE, fill).transpose(2, 0, 1)
                # OpenCV rounds places to a 32nd of a pixel.
                self.assertLess(np.abs(seen - wanted).mean(), 0.6)
                self.assertLess(np.quantile(np.abs(seen - wanted), 0.99), 6)

    def test_points_go_where_their_pixels_go(self):
        points = there([[10.0, 20.0], [44.0, 31.0]], [[3.0, 8.0], [12.0, 30.0]])
        got = into_crop(self.matrix, points).cpu()
        for n, alone in enumerate(self.alone):
            np.testing.assert_allclose(got[n], photos.into_crop(alone, points[n].cpu().numpy()), atol=1e-3)

    def test_from_above_a_photograph_of_somebody_upright_is_as_a_camera_up_there_sees_them(self):
        down, away, middle, half = 0.6, 3.0, np.array([30.0, 26.0]), 20.0
        photo = np.array([[30.0, 26], [30, 6], [30, 46], [12, 40]])
        # Places ahead of a camera that looks at the middle, its axes turned down.
        upright = np.c_[(photo - middle) / half, np.zeros(4)]
        turn = np.array([[1, 0, 0], [0, np.cos(down), -np.sin(down)], [0, np.sin(down), np.cos(down)]])
        ahead = upright @ turn.T + [0, 0, away]
        wanted = ahead[:, :2] / ahead[:, 2:] * away * half + middle
        matrix = steep(there(middle.tolist()).float(), there(half), there(down), there(away))
        got = into_crop(matrix, there(photo.tolist()).float())[0].cpu()
        np.testing.assert_allclose(got, wanted, atol=1e-3)
        self.assertLess(wanted[2, 1] - 26, 26 - wanted[1, 1])  # legs are shorter

    def test_tilted_crops_show_what_opencv_shows(self):
        tilt = steep(there(*self.centre), there(20.0, 30.0), there(0.5, -0.2), there(3.0, 4.0))
        matrix = tilt @ squared(self.matrix)
        for sample in self.ways():
            got = sample(there(0, 1), matrix, SIZE, there(True, True)).float().cpu().numpy()
            for seen, image, alone in zip(got, self.images, matrix.cpu().numpy()):
                wanted = cv2.warpPerspective(image, alone, (SIZE, SIZE), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                                             borderMode=cv2.BORDER_REFLECT_101).transpose(2, 0, 1)
                self.assertLess(np.abs(seen[:len(wanted)] - wanted).mean(), 0.6)

    def test_a_stretch_changes_lengths_below_its_line_alone_and_can_be_undone(self):
        down = there(0.6, 0.8)
        for factor, soft in ((0.7, 6), (1.3, 6), (0.7, 0.5)):
            stretch = Stretch(there(30.0, 40.0)[None], soft * down[None], there(factor))
            points = torch.as_tensor(np.random.default_rng(3).normal(40, 30, (1, 50, 2)), dtype=torch.float32, device=DEVICE)
            torch.testing.assert_close(stretch.undone(stretch.done(points)), points, atol=1e-3, rtol=0)
            above, below = there(30.0, 40.0) - 200 * down, there(30.0, 40.0) + 200 * down
            ends = stretch.done(torch.stack([above - 50 * down, above, below, below + 50 * down])[None])[0]
            self.assertAlmostEqual((ends[1] - ends[0]).norm().item(), 50, delta=0.2)
            self.assertAlmostEqual((ends[3] - ends[2]).norm().item(), 50 * factor, delta=0.2)
            aside = stretch.done(torch.stack([below, below + there(0.8, -0.6)])[None])[0]
            torch.testing.assert_close(aside[1] - aside[0], there(0.8, -0.6), atol=1e-3, rtol=0)

    def test_crops_of_stretched_pictures_show_what_was_there(self):
        stretch = Stretch(there([40.0, 28.0], [15.0, 25.0]), there([3.0, 4.0], [0.0, 5.0]), there(0.75, 1.0))
        for sample in self.ways():
            got = sample(there(0, 1), self.matrix, SIZE, there(True, True), stretch).float().cpu().numpy()
            plain = sample(there(0, 1), self.matrix, SIZE, there(True, True)).float().cpu().numpy()
            np.testing.assert_allclose(got[1], plain[1], atol=1)
            self.assertGreater(np.abs(got[0] - plain[0]).mean(), 3)
            places = stretch.undone(torch.stack(pixels_of(self.matrix, SIZE), -1))[0].cpu().numpy()
            wanted = cv2.remap(self.images[0], *np.moveaxis(places, -1, 0).copy(), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
            self.assertLess(np.abs(got[0, :3] - wanted.transpose(2, 0, 1)).mean(), 0.6)

    def test_outlines_are_where_opencv_puts_them(self):
        mask, box = smooth(masks.SIDE, masks.SIDE, 1, 3), np.array([20.0, 10, 60, 50])
        mask = cv2.normalize(mask, None, 0, 255, cv2.NORM_MINMAX).reshape(masks.SIDE, masks.SIDE)
        window = masks.window(box)
        from_photo = there([1 / window[0, 0], -window[0, 2] / window[0, 0], -window[1, 2] / window[0, 0]]).float()
        got = outlines(torch.from_numpy(mask)[None].to(DEVICE), from_photo, self.matrix[:1], SIZE).float().cpu().numpy()[0, 0]
        self.assertLess(np.abs(got - photos.outline(mask, box, self.alone[0], SIZE)[..., 0]).mean(), 0.02)


class Light(unittest.TestCase):
    def test_what_covers_nothing_stays_black(self):
        images = torch.zeros(4, 3, 8, 8, device=DEVICE)
        self.assertEqual(lit(images, Chance(1), torch.zeros(4, 1, 8, 8, device=DEVICE)).abs().max(), 0)
        self.assertGreater(lit(images + 100, Chance(1)).std(), 5)

    def test_other_hues_are_as_bright_and_as_colourful(self):
        images = 118 + torch.randn(6, 3, 8, 8, device=DEVICE) * 12
        with mock.patch.object(pictures, "RECOLOURED", 1):
            got = lit(images, Chance(2), by=0)
        torch.testing.assert_close(got.mean(1), images.mean(1), atol=0.2, rtol=0)
        torch.testing.assert_close(got.std(1), images.std(1), atol=0.2, rtol=0)
        self.assertGreater((got - images).abs().mean(), 3)

    def test_a_blur_keeps_the_light_and_spreads_it(self):
        point = torch.zeros(1, 3, 21, 21, device=DEVICE)
        point[:, :, 10, 10] = 1
        got = blur(point, 1.5)[0, 0]
        self.assertAlmostEqual(got.sum().item(), 1, places=4)
        at = torch.arange(21.0, device=DEVICE) - 10
        self.assertAlmostEqual((got.sum(0) * at ** 2).sum().item(), 1.5 ** 2, delta=0.15)


if __name__ == "__main__":
    unittest.main()
