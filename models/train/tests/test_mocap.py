"""Bodies that differ are the same on both sides, and cameras stand where they may."""
import unittest

import numpy as np

from posetrain import mocap
from posetrain.bvh import Motion
from posetrain.mocap import AT, CMU, LIFT23, TRUNK, Clip
from posetrain.views import BODY, TILT, TILTED_FROM, HIPS, Views, there_and_back


def doll():
    """Somebody with the names of CMU's joints, whose trunk and limbs turn by more every frame."""
    names, parents = ["hip"], [-1]
    chains = (("hip", "abdomen", "chest", "neck", "head"), ("chest", "lCollar", "lShldr", "lForeArm", "lHand", "lIndex1"), ("lHand", "lPinky1"),
              ("chest", "rCollar", "rShldr", "rForeArm", "rHand", "rIndex1"), ("rHand", "rPinky1"),
              ("hip", "lButtock", "lThigh", "lShin", "lFoot", "lFoot_End"), ("hip", "rButtock", "rThigh", "rShin", "rFoot", "rFoot_End"))
    for first, *chain in chains:
        for name in chain:
            names.append(name), parents.append(names.index(first))
            first = name
    side = lambda name: {"l": 1.0, "r": -1.0}.get(name[0] if name[1:2].isupper() else "", 0.0)
    up = lambda name: -40.0 if any(part in name for part in ("Shin", "Foot", "Hand", "ForeArm", "Index", "Pinky")) else 20.0
    offsets = [np.array([10 * side(name), up(name), 1.0]) for name in names]
    motion = Motion(names, parents, offsets, [[(3 * j + k, f"{axis}rotation") for k, axis in enumerate("XYZ")] for j in range(len(names))])
    motion.frames = np.random.default_rng(1).normal(0, 5, (40, 3 * len(names))).cumsum(0) / 5
    motion.seconds_per_frame = 1 / 60
    return motion


class Bodies(unittest.TestCase):
    def setUp(self):
        self.motion = doll()

    def test_factors_are_the_same_on_both_sides_and_varied_trunks_differ_as_a_whole(self):
        for varied in (False, True):
            factors = mocap.stretches(self.motion.names, CMU, np.random.default_rng(4), varied)
            of = dict(zip(self.motion.names, factors))
            for name in self.motion.names:
                if name[0] == "l" and name[1].isupper():
                    self.assertEqual(of[name], of["r" + name[1:]], name)
            whole = of["hip"]
            trunk = {of[name] / whole for name in TRUNK if name in of}
            self.assertEqual(len(trunk), 1)
            self.assertEqual(trunk.pop() != 1, varied)

    def test_a_skeleton_whose_trunk_nobody_named_is_refused(self):
        names = [name.replace("abdomen", "belly").replace("chest", "rib").replace("neck", "throat").replace("Collar", "Clavicle")
                 for name in self.motion.names]
        mocap.stretches(names, CMU, np.random.default_rng(4))
        with self.assertRaisesRegex(ValueError, "belly"):
            mocap.stretches(names, CMU, np.random.default_rng(4), varied=True)

    def test_another_detector_marks_shoulders_and_hips_elsewhere_along_the_trunk_and_ends_larger_or_smaller(self):
        joints, _ = mocap.convert(self.motion, CMU, 0.01)
        moved = joints.copy()
        mocap.marked(moved, np.random.default_rng(2))
        apart = moved - joints
        along_trunk = [AT[f"{side}_{part}"] for side in ("left", "right") for part in mocap.MARKED]
        ends = [AT[joint] for _, parts in mocap.ENDS for _, joints in parts for joint in joints]
        self.assertTrue(np.all(np.delete(apart, along_trunk + ends, 1) == 0))
        trunk = joints[:, HIPS].mean(1) - joints[:, [AT["left_shoulder"], AT["right_shoulder"]]].mean(1)
        trunk /= np.linalg.norm(trunk, axis=-1, keepdims=True)
        for joint in along_trunk:
            along = (apart[:, joint] * trunk).sum(-1)
            self.assertGreater(abs(along[0]), 1e-4)
            np.testing.assert_allclose(apart[:, joint], along[:, None] * trunk, atol=1e-5)
            np.testing.assert_allclose(along, along[0], atol=1e-5)
        length = lambda where, a, b: np.linalg.norm(where[:, AT[a]] - where[:, AT[b]], axis=-1)
        factor = lambda a, b: length(moved, a, b) / length(joints, a, b)
        for one, other in ((("left_ear", "right_ear"), ("nose", "left_ear")), (("left_wrist", "left_index"), ("right_wrist", "right_pinky")),
                           (("left_ankle", "left_heel"), ("right_ankle", "right_foot_index"))):
            np.testing.assert_allclose(factor(*one), factor(*other), rtol=1e-4)
            np.testing.assert_allclose(factor(*one), factor(*one)[0], rtol=1e-4)
            self.assertGreater(abs(factor(*one)[0] - 1), 1e-3)
        ears = [AT["left_ear"], AT["right_ear"]]
        np.testing.assert_allclose(moved[:, ears].mean(1), joints[:, ears].mean(1), atol=1e-5)

    def test_who_is_bent_otherwise_is_so_by_the_same_all_along(self):
        others = [doll()]
        plain = mocap.recombined(self.motion, others, np.random.default_rng(5))
        bent = mocap.recombined(self.motion, others, np.random.default_rng(5), bent=True)
        by = bent.frames - plain.frames
        np.testing.assert_allclose(by, np.broadcast_to(by[:1], by.shape), atol=1e-9)
        changed = {self.motion.names[column // 3] for column in np.flatnonzero(np.abs(by[0]) > 1e-9)}
        self.assertEqual(changed, set(mocap.BENT))


class Sequences(unittest.TestCase):
    def test_clips_are_gone_through_there_and_back_for_as_long_as_it_takes(self):
        self.assertEqual(there_and_back(np.arange(-3, 9), np.array(4)).tolist(), [3, 2, 1, 0, 1, 2, 3, 2, 1, 0, 1, 2])
        self.assertEqual(there_and_back(np.arange(-2, 3), np.array(1)).tolist(), [0] * 5)

    def test_long_sequences_of_short_clips_keep_strides(self):
        joints = np.zeros((100, len(LIFT23), 3), np.float32)
        joints[:, 0, 0] = np.arange(100)
        views = Views([Clip("somebody", joints, np.ones(len(LIFT23), bool))], frames=11, seed=3)
        world, _, stride = views.motion(50, 90, (1, 2, 6))
        self.assertEqual(set(stride.tolist()), {1, 2, 3})
        # Everybody moves, but where they turn round.
        moved = np.abs(np.diff(world[:, :, 0, 0]))
        self.assertLess((moved != stride[:, None]).mean(), 0.05)

    def test_whoever_is_late_is_first_seen_in_the_first_frame_that_is_asked_for(self):
        rng = np.random.default_rng(0)
        joints = (rng.normal(0, 0.2, (60, len(LIFT23), 3)) + [0, 0.9, 0]).astype(np.float32)
        views = Views([Clip("somebody", joints, np.ones(len(LIFT23), bool))], frames=11, seed=3, late=1.0)
        x, _, known = views.batch(20, 5)
        np.testing.assert_array_equal(x[:, :10], np.repeat(x[:, 10:11], 10, 1))
        self.assertTrue((x[:, 10] != x[:, 11]).any(-1).all())
        self.assertTrue(known.any(-1).all())
        ends = {tuple(row) for row in np.round(x[:, -1, :6], 3)}
        self.assertGreater(len(ends), 10, "sequences end anywhere")


class Cameras(unittest.TestCase):
    def views(self, **how):
        rng = np.random.default_rng(0)
        joints = np.tile(rng.normal(0, 0.2, (1, len(LIFT23), 3)) + [0, 0.9, 0], (60, 1, 1)).astype(np.float32)
        return Views([Clip("somebody", joints, np.ones(len(LIFT23), bool))], seed=3, **how), joints

    def test_tilted_ones_are_above_the_floor_and_as_far_as_told(self):
        views, joints = self.views(tilted=1.0)
        axes, eye = views.stand(np.repeat(joints[None, :27], 2000, 0))
        centre = joints[0, HIPS].mean(0)
        self.assertGreaterEqual(eye[:, 1].min(), 0.1 - 1e-6)
        apart = eye - centre
        down = np.degrees(np.arcsin(apart[:, 1] / np.linalg.norm(apart, axis=-1)))
        self.assertLess(down.max(), TILT[1] + 0.1)
        self.assertGreater(down.max(), TILT[1] - 2)
        free = eye[:, 1] > 0.11  # of the others, the floor is in the way
        distance = np.linalg.norm(apart[free], axis=-1)
        self.assertGreater(distance.min(), TILTED_FROM[0] - 1e-3)
        self.assertLess(distance.max(), TILTED_FROM[1] + 1e-3)
        # They look at somebody, nearly.
        ahead = ((centre - eye) * axes[:, 2]).sum(-1) / np.linalg.norm(apart, axis=-1)
        self.assertGreater(np.median(ahead), 0.99)

    def test_up_is_told_of_as_many_as_asked_and_is_where_cameras_have_it(self):
        views, joints = self.views(up_known=0.5, tilted=0.5)
        axes, eye = views.stand(np.repeat(joints[None, :27], 1000, 0))
        up = views.up(axes, 27)
        length = np.linalg.norm(up, axis=-1)
        np.testing.assert_allclose(length[length > 0], 1, rtol=1e-5)
        self.assertAlmostEqual((length[:, -1] > 0).mean(), 0.5, delta=0.06)
        self.assertGreater((length[:, -1] > 0).mean(), (length[:, 0] > 0).mean() + 0.05)  # known while it runs
        off = np.degrees(np.arccos(np.clip((up[:, -1] * axes[:, :, 1]).sum(-1)[length[:, -1] > 0], -1, 1)))
        self.assertLess(np.median(off), 4)
        self.assertGreater(np.median(off), 1)
        self.assertIsNone(self.views()[0].up(axes, 27))
        # Networks are told it in the person camera, which looks at somebody: they have up across it.
        world = np.repeat(joints[None, :27], 1000, 0)
        features, _, _, turn = views.seen_from(axes, eye, world, np.ones((1000, 23), bool), np.ones(1000, int))
        told = features[:, -1, BODY:BODY + 3]
        known = np.linalg.norm(told, axis=-1) > 0
        want = (turn[:, -1] @ axes[:, :, 1, None])[..., 0]
        self.assertGreater(np.median((told * want).sum(-1)[known]), 0.99)

    def test_where_none_are_nothing_else_is_drawn(self):
        without, _ = self.views()
        views, _ = self.views(tilted=0.0, up_known=0.0)
        for one, other in zip(without.batch(8), views.batch(8)):
            np.testing.assert_array_equal(one, other)


if __name__ == "__main__":
    unittest.main()
