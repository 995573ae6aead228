//! Head, face, hair, and what is on them.

use std::f32::consts::PI;

use bevy::prelude::*;
use bevy_pose_capture::skeleton::Joint;

use super::surface::{Ring, ellipsoid};
use super::{Body, Frame};
use crate::looks::{Hair, Looks, Material};

impl Body {
    /// Puts the head on the neck, and says where the eyes are.
    pub(super) fn head(&mut self, looks: &Looks, trunk: Frame) -> Option<()> {
        use Joint::{LeftEar, LeftEye, Nose, RightEar, RightEye};
        let (left, right) = (self.joints[LeftEar]?, self.joints[RightEar]?);
        let (ears, nose) = (left.midpoint(right), self.joints[Nose]?);
        let ahead = (nose - ears).normalize_or(trunk.ahead);
        let across = (left - right)
            .reject_from_normalized(ahead)
            .normalize_or(trunk.left);
        let up = ahead.cross(across);
        let unit = left.distance(right) / 0.146;
        let place = |x: f32, y: f32, z: f32| ears + (across * x + up * y + ahead * z) * unit;
        let chest = self.middle(Joint::LeftShoulder)?;

        let neck: &[(f32, f32)] = &[(0.0, 0.064), (0.5, 0.054), (1.0, 0.052)];
        self.limb(
            chest + trunk.up * 0.01,
            place(0.0, -0.03, 0.0),
            neck,
            looks.bulk.min(1.1),
            1.0,
            Material::Skin,
        );
        let ball = |middle: Vec3, half: Vec3| {
            ellipsoid(
                middle,
                across * half.x * unit,
                up * half.y * unit,
                ahead * half.z * unit,
            )
        };
        self.add(
            &ball(place(0.0, 0.035, 0.01), Vec3::new(0.072, 0.095, 0.092)),
            Material::Skin,
        );
        self.add(
            &ball(
                place(0.0, -0.03, 0.035),
                Vec3::new(0.056, 0.078, 0.062) * looks.jaw,
            ),
            Material::Skin,
        );
        let tip = nose + (up * 0.002 - ahead * 0.012) * unit;
        self.add(&ball(tip, Vec3::new(0.013, 0.02, 0.016)), Material::Skin);
        self.add(
            &ball(place(0.0, 0.02, 0.092), Vec3::new(0.009, 0.03, 0.012)),
            Material::Skin,
        );
        for (side, ear, eye) in [(1.0, LeftEar, LeftEye), (-1.0, RightEar, RightEye)] {
            let at = place(side * 0.032, 0.032, 0.087);
            self.joints[eye] = Some(at);
            self.add(&ball(at, Vec3::new(0.015, 0.009, 0.009)), Material::White);
            self.add(
                &ball(
                    at + ahead * (0.006 * unit),
                    Vec3::new(0.006, 0.0065, 0.0045),
                ),
                Material::Dark,
            );
            self.add(
                &ball(
                    at + (up * 0.02 + ahead * 0.003) * unit,
                    Vec3::new(0.02, 0.004, 0.006),
                ),
                Material::Hair,
            );
            let lobe = self.joints[ear]?;
            self.add(&ball(lobe, Vec3::new(0.008, 0.03, 0.018)), Material::Skin);
        }
        self.add(
            &ball(place(0.0, -0.045, 0.094), Vec3::new(0.024, 0.007, 0.007)),
            Material::Lips,
        );
        if looks.beard {
            self.add(
                &ball(place(0.0, -0.055, 0.045), Vec3::new(0.06, 0.06, 0.06)),
                Material::Hair,
            );
        }
        if looks.glasses {
            for side in [-1.0, 1.0] {
                let lens = place(side * 0.033, 0.03, 0.098);
                self.add(&ball(lens, Vec3::new(0.026, 0.019, 0.004)), Material::Dark);
            }
        }
        match looks.hair {
            Hair::None => {}
            Hair::Short => self.add(
                &ball(place(0.0, 0.052, -0.008), Vec3::new(0.08, 0.094, 0.096)),
                Material::Hair,
            ),
            Hair::Bun => {
                self.add(
                    &ball(place(0.0, 0.05, -0.01), Vec3::new(0.078, 0.092, 0.096)),
                    Material::Hair,
                );
                self.add(
                    &ball(place(0.0, 0.09, -0.11), Vec3::splat(0.045)),
                    Material::Hair,
                );
            }
            Hair::Long => {
                self.add(
                    &ball(place(0.0, 0.05, -0.012), Vec3::new(0.082, 0.096, 0.098)),
                    Material::Hair,
                );
                let falls = (
                    place(0.0, 0.02, -0.06),
                    chest - trunk.up * looks.fall - trunk.ahead * 0.1,
                );
                let rings: Vec<Ring> = (0..=8)
                    .map(|n| {
                        let t = n as f32 / 8.0;
                        let half = if n == 8 {
                            0.02
                        } else {
                            0.085 + 0.015 * (PI * t).sin()
                        };
                        Ring {
                            middle: falls.0.lerp(falls.1, t),
                            across: across * (half * unit),
                            ahead: ahead * (0.04 * unit),
                        }
                    })
                    .collect();
                self.add(&rings, Material::Hair);
            }
            Hair::Hat => {
                self.add(
                    &ball(place(0.0, 0.07, -0.002), Vec3::new(0.086, 0.085, 0.104)),
                    Material::Hat,
                );
                let brim = place(0.0, 0.075, if looks.cap { 0.07 } else { 0.0 });
                self.add(&ball(brim, Vec3::new(0.09, 0.006, 0.11)), Material::Hat);
            }
        }
        self.hide(
            place(0.0, 0.04, 0.0),
            place(0.0, -0.03, 0.02),
            0.07 * unit,
            &[Nose, LeftEye, RightEye, LeftEar, RightEar],
        );
        // A head hides its own far side.
        self.hide(
            place(0.0, 0.03, -0.02),
            place(0.0, 0.0, 0.0),
            0.055 * unit,
            &[LeftEar, RightEar],
        );
        self.hide(
            place(0.012, 0.02, 0.03),
            place(0.012, -0.02, 0.03),
            0.05 * unit,
            &[Nose, LeftEye, RightEye, LeftEar],
        );
        self.hide(
            place(-0.012, 0.02, 0.03),
            place(-0.012, -0.02, 0.03),
            0.05 * unit,
            &[Nose, LeftEye, RightEye, RightEar],
        );
        Some(())
    }
}
