//! The One Euro filter (Casiez, Roussel, Vogel 2012): steady when still, quick when moving.

use bevy::math::Vec3;

use crate::camera::Intrinsics;
use crate::lift::lifter::Lifted;
use crate::skeleton::{Joint, JointMap};

/// How a signal is smoothed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OneEuro {
    /// Cut-off in hertz of a still signal: lower is steadier and later.
    pub min_cutoff: f32,
    /// How much the cut-off grows with speed, in hertz per metre per second.
    pub beta: f32,
}

/// Cut-off of the speed itself, in hertz; the paper's value.
const SPEED_CUTOFF: f32 = 1.0;

fn share(cutoff: f32, elapsed: f32) -> f32 {
    let r = std::f32::consts::TAU * cutoff * elapsed;
    r / (r + 1.0)
}

/// A point being smoothed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SmoothPoint {
    last: Option<(Vec3, Vec3)>,
}

impl SmoothPoint {
    /// Takes in a point `elapsed` seconds after the last one; gives the smoothed one.
    pub fn next(&mut self, point: Vec3, elapsed: f32, how: OneEuro) -> Vec3 {
        let Some((position, speed)) = self.last.filter(|_| elapsed > 0.0) else {
            self.last = Some((point, Vec3::ZERO));
            return point;
        };
        let speed = speed.lerp((point - position) / elapsed, share(SPEED_CUTOFF, elapsed));
        let cutoff = how.min_cutoff + how.beta * speed.length();
        let position = position.lerp(point, share(cutoff, elapsed));
        self.last = Some((position, speed));
        position
    }
}

/// How a person is smoothed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SmoothSettings {
    /// Joints about the hips.
    pub joints: OneEuro,
    /// The hips across the picture.
    pub root: OneEuro,
    /// The hips along the line of sight, where one camera knows least.
    pub depth: OneEuro,
}

impl Default for SmoothSettings {
    fn default() -> Self {
        SmoothSettings {
            joints: OneEuro {
                min_cutoff: 2.5,
                beta: 3.0,
            },
            root: OneEuro {
                min_cutoff: 3.0,
                beta: 3.0,
            },
            depth: OneEuro {
                min_cutoff: 0.6,
                beta: 0.8,
            },
        }
    }
}

impl SmoothSettings {
    /// Nothing is smoothed at 0, the default at 0.5, most at 1.
    pub fn of_strength(strength: f32) -> SmoothSettings {
        // At nothing the cut-off lies far above any frame rate.
        let slower = if strength <= 0.0 {
            1e6
        } else {
            10f32.powf(1.0 - 2.0 * strength.min(1.0))
        };
        let scaled = |how: OneEuro| OneEuro {
            min_cutoff: how.min_cutoff * slower,
            beta: how.beta * slower,
        };
        let usual = SmoothSettings::default();
        SmoothSettings {
            joints: scaled(usual.joints),
            root: scaled(usual.root),
            depth: scaled(usual.depth),
        }
    }
}

/// A person being smoothed, in the camera frame.
#[derive(Clone, Debug, Default)]
pub struct SmoothPose {
    joints: JointMap<SmoothPoint>,
    root: SmoothPoint,
    depth: SmoothPoint,
    last: Option<(f64, Intrinsics)>,
}

/// Whoever was away for longer, in seconds, is smoothed anew.
const LONGEST_GAP: f32 = 0.7;

impl SmoothPose {
    /// Whether a person who is seen at that time, in seconds, is smoothed anew.
    pub fn is_over(&self, time: f64) -> bool {
        let elapsed = self.last.map_or(-1.0, |(last, _)| (time - last) as f32);
        !(0.0..LONGEST_GAP).contains(&elapsed)
    }

    /// Smooths a person who was lifted, seen through `camera`; `time` in seconds.
    pub fn next(
        &mut self,
        lifted: &mut Lifted,
        camera: &Intrinsics,
        time: f64,
        how: &SmoothSettings,
    ) {
        let elapsed = self.last.map_or(0.0, |(last, _)| (time - last) as f32);
        if self.is_over(time) || self.last.is_some_and(|(_, lens)| lens != *camera) {
            *self = SmoothPose::default();
        }
        self.last = Some((time, *camera));
        let Lifted { pose, root } = lifted;
        let steady = self.root.next(*root, elapsed, how.root);
        // Depth moves along the ray, so that smoothing it leaves the person where the picture shows them.
        let depth = self
            .depth
            .next(Vec3::new(0.0, 0.0, root.z), elapsed, how.depth)
            .z;
        let placed = steady * (depth / steady.z.max(0.1));
        for &joint in Joint::ALL {
            if let Some(point) = &mut pose[joint] {
                point.position =
                    self.joints[joint].next(point.position - *root, elapsed, how.joints) + placed;
            }
        }
        *root = placed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::skeleton::Pose3d;

    const USUAL: OneEuro = OneEuro {
        min_cutoff: 1.0,
        beta: 2.0,
    };

    #[test]
    fn a_still_point_gets_steadier() {
        let mut smooth = SmoothPoint::default();
        let (mut raw, mut out, mut last) = (0.0, 0.0, None::<(Vec3, Vec3)>);
        for n in 0..200 {
            let jitter = Vec3::X * 0.01 * if n % 2 == 0 { 1.0 } else { -1.0 };
            let now = smooth.next(jitter, 1.0 / 60.0, USUAL);
            if let Some((before, was)) = last {
                raw += jitter.distance(was);
                out += now.distance(before);
            }
            last = Some((now, jitter));
        }
        assert!(out < raw * 0.25, "{out} of {raw}");
    }

    #[test]
    fn a_quick_move_is_followed_within_a_tenth_of_a_second() {
        let mut smooth = SmoothPoint::default();
        let mut now = Vec3::ZERO;
        for n in 0..60 {
            now = smooth.next(Vec3::X * 3.0 * (n as f32 / 60.0), 1.0 / 60.0, USUAL);
        }
        assert!(2.95 - now.x < 0.3, "3 m/s, {} m behind", 2.95 - now.x);
    }

    /// Where hips are after the n-th of thirty frames a second.
    fn after(smooth: &mut SmoothPose, root: Vec3, n: u32, how: &SmoothSettings) -> Vec3 {
        let mut lifted = Lifted {
            pose: Pose3d::default(),
            root,
        };
        let lens = Intrinsics::assumed(640, 480);
        smooth.next(&mut lifted, &lens, f64::from(n) / 30.0, how);
        lifted.root
    }

    #[test]
    fn through_another_lens_nothing_of_before_counts() {
        let (mut smooth, how) = (SmoothPose::default(), SmoothSettings::default());
        after(&mut smooth, Vec3::Z * 3.0, 0, &how);
        let mut lifted = Lifted {
            pose: Pose3d::default(),
            root: Vec3::Z * 4.0,
        };
        smooth.next(
            &mut lifted,
            &Intrinsics::assumed(1280, 960),
            1.0 / 30.0,
            &how,
        );
        assert_eq!(lifted.root, Vec3::Z * 4.0);
    }

    #[test]
    fn no_smoothing_is_none() {
        let (mut smooth, none) = (SmoothPose::default(), SmoothSettings::of_strength(0.0));
        for n in 0..5 {
            let mut root = Vec3::new(0.1, 0.2, 3.0 + (n % 2) as f32);
            let raw = root;
            root = after(&mut smooth, root, n, &none);
            assert!(root.distance(raw) < 1e-3, "{root} of {raw}");
        }
    }

    #[test]
    fn smoothing_the_depth_keeps_the_person_on_their_ray() {
        let mut smooth = SmoothPose::default();
        for n in 0..20 {
            let wobble = 1.0 + 0.1 * if n % 2 == 0 { 1.0 } else { -1.0 };
            let mut root = Vec3::new(0.5, 0.2, 3.0) * wobble;
            root = after(&mut smooth, root, n, &SmoothSettings::default());
            assert!((root.x / root.z - 0.5 / 3.0).abs() < 0.01, "{root}");
        }
    }
}
