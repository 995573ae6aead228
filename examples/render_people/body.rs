//! A dressed body about 23 joints: tubes and lofts, one mesh for each piece of skin, cloth or hair.

mod head;
mod surface;

use bevy::prelude::*;
use bevy_pose_capture::skeleton::{Joint, JointMap};

use crate::looks::{Looks, Material, Top};
use surface::{Ring, cut, ellipsoid, interpolate, key_at, loft};

/// Who looks past a cylinder's edge still sees: joints are points, and what stands there is not.
const GRAZED: f32 = 0.8;

/// A piece of somebody, of one material.
pub struct Piece {
    /// Its surface, in the world.
    pub mesh: Mesh,
    /// What it is made of.
    pub material: Material,
}

/// A part of the body that hides what is behind it: a cylinder with round ends (the *cylinder man* of Cheng et al. 2019).
pub struct Cylinder {
    from: Vec3,
    to: Vec3,
    radius: f32,
    /// The joints that it does not hide.
    own: Vec<Joint>,
}

/// Places of joints in the world, in metres, y up.
pub type Places = JointMap<Option<Vec3>>;

/// Somebody who is being put together.
pub struct Body {
    pieces: Vec<Piece>,
    cylinders: Vec<Cylinder>,
    joints: Places,
}

/// Which way a part of the body faces: its left, its top and its front.
#[derive(Clone, Copy)]
struct Frame {
    left: Vec3,
    up: Vec3,
    ahead: Vec3,
}

impl Frame {
    /// Of a direction to the left and one that is nearly up.
    fn new(left: Vec3, up: Vec3) -> Frame {
        let up = up.normalize_or(Vec3::Y);
        let left = left
            .reject_from_normalized(up)
            .normalize_or(up.any_orthonormal_vector());
        Frame {
            left,
            up,
            ahead: left.cross(up),
        }
    }
}

impl Body {
    /// Somebody who stands as the joints say and looks as told; `None` where a joint is not known.
    pub fn new(joints: Places, looks: &Looks) -> Option<Body> {
        let mut body = Body {
            pieces: Vec::new(),
            cylinders: Vec::new(),
            joints,
        };
        let trunk = body.trunk(looks)?;
        for left in [true, false] {
            body.arm(left, looks)?;
            body.leg(left, looks, trunk)?;
        }
        body.head(looks, trunk)?;
        if looks.skirt > 0.0 {
            body.skirt(looks, trunk)?;
        }
        Some(body)
    }

    /// What it is made of.
    pub fn take_pieces(&mut self) -> Vec<Piece> {
        std::mem::take(&mut self.pieces)
    }

    /// Where the joints are, those of the eyes included.
    pub fn joints(&self) -> &Places {
        &self.joints
    }

    /// Whether a joint can be seen from somewhere.
    pub fn is_seen(&self, joint: Joint, eye: Vec3) -> bool {
        let Some(place) = self.joints[joint] else {
            return false;
        };
        let hides = |cylinder: &&Cylinder| {
            !cylinder.own.contains(&joint)
                && segments_apart((eye, place), (cylinder.from, cylinder.to))
                    < cylinder.radius * GRAZED
        };
        !self.cylinders.iter().any(|cylinder| hides(&cylinder))
    }

    fn at(&self, left: bool, joint: Joint) -> Option<Vec3> {
        self.joints[if left { joint } else { joint.mirror() }]
    }

    fn middle(&self, joint: Joint) -> Option<Vec3> {
        Some((self.joints[joint]? + self.joints[joint.mirror()]?) * 0.5)
    }

    fn add(&mut self, rings: &[Ring], material: Material) {
        self.pieces.push(Piece {
            mesh: loft(rings),
            material,
        });
    }

    fn hide(&mut self, from: Vec3, to: Vec3, radius: f32, own: &[Joint]) {
        self.cylinders.push(Cylinder {
            from,
            to,
            radius,
            own: own.to_vec(),
        });
    }

    /// Trunk, from the crotch to the neck.
    fn trunk(&mut self, looks: &Looks) -> Option<Frame> {
        use Joint::{LeftHip, LeftShoulder, RightHip, RightShoulder};
        let (hips, chest) = (self.middle(LeftHip)?, self.middle(LeftShoulder)?);
        let up = chest - hips;
        let across_hips = self.joints[LeftHip]? - self.joints[RightHip]?;
        let across_chest = self.joints[LeftShoulder]? - self.joints[RightShoulder]?;
        let (low, high) = (Frame::new(across_hips, up), Frame::new(across_chest, up));
        let (wide, broad) = (
            across_hips.length() * 0.5 + 0.07 * looks.bulk,
            across_chest.length() * 0.5 + 0.005,
        );
        let length = up.length();
        let (bulk, belly, loose) = (looks.bulk, looks.belly, looks.loose);
        // Height in parts of the trunk, half width, half depth, how far ahead.
        let keys = [
            (-0.24, wide * 0.3, 0.05, 0.0),
            (-0.2, wide * 0.75, 0.09, -0.005),
            (-0.08, wide, 0.115, -0.015),
            (0.1, wide * 0.97, 0.11, -0.005),
            (
                0.32,
                wide * 0.88 * (1.0 + belly),
                0.095 * (1.0 + 1.6 * belly),
                0.06 * belly,
            ),
            (
                0.55,
                wide.midpoint(broad) * (1.0 + 0.5 * belly),
                0.11 * (1.0 + belly),
                0.04 * belly + 0.01,
            ),
            (0.75, broad * 0.97, 0.115 + looks.bust, 0.01 + looks.bust),
            (0.9, broad * 0.95, 0.09, -0.005),
            (1.0, broad * 0.8, 0.07, -0.01),
            (1.06, broad * 0.45, 0.055, -0.01),
            (1.09, 0.05, 0.045, -0.01),
        ];
        let ring = |(t, half, deep, ahead): (f32, f32, f32, f32), swell: f32| {
            let share = t.clamp(0.0, 1.0);
            let frame = Frame::new(low.left.lerp(high.left, share), up);
            Ring {
                middle: hips + frame.up * (t * length) + frame.ahead * ahead,
                across: frame.left * (half + swell),
                ahead: frame.ahead * (deep * bulk + swell),
            }
        };
        let waist = looks.waist;
        let rings = |from: f32, to: f32, swell: f32| -> Vec<Ring> {
            let inside = (0..=24).map(|n| from + (to - from) * n as f32 / 24.0);
            inside.map(|t| ring(key_at(&keys, t), swell)).collect()
        };
        // Under hems and through collars skin can be seen, whatever somebody wears.
        self.add(&rings(-0.24, 1.09, 0.0), Material::Skin);
        self.add(&rings(-0.24, waist + 0.02, 0.004), Material::Trousers);
        let swell = 0.006 + loose * 0.6;
        match looks.top {
            Top::Bare => {
                // Front and back differ.
                let dot = |t: f32, aside: f32, radius: f32| {
                    let Ring {
                        middle,
                        across,
                        ahead,
                    } = ring(key_at(&keys, t), 0.0);
                    let place = middle + across * aside + ahead * (1.0 - aside * aside).sqrt();
                    let out = ahead.normalize_or(Vec3::Z) * 0.005;
                    let (left, up) = (across.normalize_or(Vec3::X), up.normalize_or(Vec3::Y));
                    ellipsoid(place, left * radius, up * radius, out)
                };
                self.add(&dot(0.72, 0.55, 0.012), Material::Lips);
                self.add(&dot(0.72, -0.55, 0.012), Material::Lips);
                if waist < 0.18 {
                    self.add(&dot(0.24, 0.0, 0.009), Material::Lips);
                }
            }
            Top::Cropped => self.add(&rings(0.55, 0.93, 0.006), Material::Shirt),
            Top::Shirt => self.add(&rings(waist - looks.hem, 1.09, swell), Material::Shirt),
            Top::Suit => self.add(&rings(-0.2, 1.09, swell), Material::Trousers),
        }
        // A side of the trunk hides the other side's joints.
        for (hip, shoulder, own) in [
            (LeftHip, LeftShoulder, &[LeftHip, LeftShoulder]),
            (RightHip, RightShoulder, &[RightHip, RightShoulder]),
        ] {
            let (low, high) = (self.joints[hip]?, self.joints[shoulder]?);
            self.hide(low.lerp(hips, 0.4), high.lerp(chest, 0.4), 0.1 * bulk, own);
        }
        let all = &[LeftHip, RightHip, LeftShoulder, RightShoulder];
        self.hide(hips, chest, 0.11 * bulk, all);
        Some(high)
    }

    fn arm(&mut self, left: bool, looks: &Looks) -> Option<()> {
        let shoulder = self.at(left, Joint::LeftShoulder)?;
        let (elbow, wrist) = (
            self.at(left, Joint::LeftElbow)?,
            self.at(left, Joint::LeftWrist)?,
        );
        let bulk = looks.bulk;
        let upper: &[(f32, f32)] = &[(0.0, 0.056), (0.25, 0.052), (0.6, 0.046), (1.0, 0.038)];
        let lower: &[(f32, f32)] = &[(0.0, 0.039), (0.25, 0.042), (0.7, 0.032), (1.0, 0.026)];
        self.limb(shoulder, elbow, upper, bulk, 1.0, Material::Skin);
        self.limb(elbow, wrist, lower, bulk, 1.0, Material::Skin);
        // A sleeve ends somewhere between the shoulder (0) and the wrist (2).
        let sleeve = looks.sleeve;
        let swell = bulk * 1.1 + looks.loose * 8.0;
        if sleeve > 0.05 {
            let end = shoulder.lerp(elbow, sleeve.min(1.0));
            self.limb(
                shoulder,
                end,
                &cut(upper, sleeve),
                swell,
                1.0,
                looks.of_top(),
            );
        }
        if sleeve > 1.05 {
            let end = elbow.lerp(wrist, (sleeve - 1.0).min(0.97));
            self.limb(
                elbow,
                end,
                &cut(lower, sleeve - 1.0),
                swell,
                1.0,
                looks.of_top(),
            );
        }
        use Joint::{LeftElbow, LeftIndex, LeftPinky, LeftShoulder, LeftWrist};
        self.hide(
            shoulder,
            elbow,
            0.045 * bulk,
            &of_side(left, &[LeftShoulder, LeftElbow]),
        );
        let own = of_side(left, &[LeftElbow, LeftWrist, LeftIndex, LeftPinky]);
        self.hide(elbow, wrist, 0.035 * bulk, &own);
        self.hand(left, looks)
    }

    fn hand(&mut self, left: bool, looks: &Looks) -> Option<()> {
        let wrist = self.at(left, Joint::LeftWrist)?;
        let (index, pinky) = (
            self.at(left, Joint::LeftIndex)?,
            self.at(left, Joint::LeftPinky)?,
        );
        let knuckles = (index + pinky) * 0.5;
        let along = (knuckles - wrist).normalize_or(Vec3::NEG_Y);
        let across = (index - pinky)
            .reject_from_normalized(along)
            .normalize_or(along.any_orthonormal_vector());
        // Fingers bend to the palm.
        let palm = along.cross(across) * if left { 1.0 } else { -1.0 };
        let size = wrist.distance(knuckles).clamp(0.05, 0.12);
        let half = index.distance(pinky) * 0.5 + 0.012;
        let ring = |t: f32, half: f32, thick: f32| Ring {
            middle: wrist + along * (size * t),
            across: across * half,
            ahead: palm * thick,
        };
        let rings = [
            ring(-0.15, 0.012, 0.008),
            ring(0.0, 0.027, 0.02),
            ring(0.5, half * 0.95, 0.018),
            ring(1.0, half, 0.014),
            ring(1.12, half * 0.7, 0.006),
        ];
        let skin = if looks.gloves {
            Material::Shoes
        } else {
            Material::Skin
        };
        self.add(&rings, skin);
        let finger = |from: Vec3, ahead: Vec3, curl: f32, length: f32| -> Vec<Ring> {
            let bend = |t: f32| ahead * (curl * t).cos() + palm * (curl * t).sin();
            let mut place = from;
            let mut rings = Vec::new();
            for n in 0..=6 {
                let toward = bend(n as f32 / 6.0);
                let radius = if n == 6 {
                    0.003
                } else {
                    0.0095 - 0.0004 * n as f32
                };
                let side = across.reject_from_normalized(toward).normalize_or(across);
                rings.push(Ring {
                    middle: place,
                    across: side * radius,
                    ahead: toward.cross(side) * radius,
                });
                place += toward * (length / 6.0);
            }
            rings
        };
        for n in 0..4 {
            let t = n as f32 / 3.0;
            let from = index.lerp(pinky, t);
            let spread = across * (looks.spread * (0.5 - t));
            let length = size * [0.9, 1.0, 0.93, 0.72][n];
            let rings = finger(
                from,
                (along + spread).normalize_or(along),
                looks.curl,
                length,
            );
            self.add(&rings, skin);
        }
        let root = wrist.lerp(index, 0.35) + across * 0.01;
        let thumb = finger(
            root,
            (along * 0.7 + across * 0.6).normalize_or(along),
            looks.curl * 0.5,
            size * 0.75,
        );
        self.add(&thumb, skin);
        Some(())
    }

    fn leg(&mut self, left: bool, looks: &Looks, trunk: Frame) -> Option<()> {
        use Joint::{LeftAnkle, LeftFootIndex, LeftHeel, LeftHip, LeftKnee};
        let hip = self.at(left, LeftHip)?;
        let (knee, ankle) = (self.at(left, LeftKnee)?, self.at(left, LeftAnkle)?);
        let bulk = looks.bulk;
        let thigh: &[(f32, f32)] = &[(0.0, 0.084), (0.3, 0.08), (0.7, 0.063), (1.0, 0.052)];
        let shin: &[(f32, f32)] = &[(0.0, 0.05), (0.25, 0.056), (0.6, 0.044), (1.0, 0.033)];
        self.limb(hip, knee, thigh, bulk, 1.0, Material::Skin);
        self.limb(knee, ankle, shin, bulk, 1.0, Material::Skin);
        let leg = looks.trouser;
        let swell = bulk * 1.06 + looks.loose * 5.0;
        let flare = 1.0 + looks.loose * 12.0;
        let end = hip.lerp(knee, leg.min(1.0));
        self.limb(
            hip,
            end,
            &cut(thigh, leg),
            swell,
            flare.min(1.2),
            Material::Trousers,
        );
        if leg > 1.05 {
            let end = knee.lerp(ankle, leg - 1.0);
            self.limb(
                knee,
                end,
                &cut(shin, leg - 1.0),
                swell * 1.1,
                flare,
                Material::Trousers,
            );
        }
        self.hide(
            hip,
            knee,
            0.065 * bulk,
            &of_side(left, &[LeftHip, LeftKnee]),
        );
        let own = of_side(left, &[LeftKnee, LeftAnkle, LeftHeel, LeftFootIndex]);
        self.hide(knee, ankle, 0.045 * bulk, &own);

        let (heel, toe) = (self.at(left, LeftHeel)?, self.at(left, LeftFootIndex)?);
        let along = (toe - heel).normalize_or(trunk.ahead);
        let up = (ankle - heel.midpoint(toe))
            .reject_from_normalized(along)
            .normalize_or(Vec3::Y);
        let across = along.cross(up);
        let length = heel.distance(toe);
        let ring = |t: f32, half: f32, high: f32| Ring {
            middle: heel + along * (length * t) + up * (high - 0.025),
            across: across * (half * looks.shoe),
            ahead: up * (high * looks.shoe),
        };
        let rings = [
            ring(-0.24, 0.012, 0.012),
            ring(-0.2, 0.028, 0.035),
            ring(0.0, 0.036, 0.05),
            ring(0.35, 0.038, 0.048),
            ring(0.75, 0.046, 0.034),
            ring(1.05, 0.044, 0.026),
            ring(1.22, 0.03, 0.018),
            ring(1.28, 0.01, 0.008),
        ];
        self.add(&rings, looks.of_feet());
        let cuff: &[(f32, f32)] = &[(0.0, 0.036), (1.0, 0.038)];
        self.limb(
            ankle.lerp(knee, looks.boot),
            heel.lerp(ankle, 0.5),
            cuff,
            bulk,
            1.0,
            looks.of_feet(),
        );
        Some(())
    }

    fn skirt(&mut self, looks: &Looks, trunk: Frame) -> Option<()> {
        let hips = self.middle(Joint::LeftHip)?;
        let (left, right) = (
            self.joints[Joint::LeftKnee]?,
            self.joints[Joint::RightKnee]?,
        );
        let knees = left.midpoint(right);
        let frame = Frame::new(
            self.joints[Joint::LeftHip]? - self.joints[Joint::RightHip]?,
            hips - knees,
        );
        let apart = left.distance(right) * 0.5 + 0.1;
        let wide = 0.17 * looks.bulk;
        let rings: Vec<Ring> = (0..=8)
            .map(|n| {
                let t = looks.skirt * n as f32 / 8.0;
                let half = wide.lerp(apart.max(wide), t.min(1.2));
                Ring {
                    middle: (hips + trunk.up * 0.06).lerp(knees, t),
                    across: frame.left * half,
                    ahead: frame.ahead * (0.13 + 0.07 * t),
                }
            })
            .collect();
        self.add(&rings, Material::Trousers);
        Some(())
    }

    /// A tube from one place to another with round ends; `profile` tells radii by the part of the way, which `swell` multiplies,
    /// and `flare` those at the far end.
    fn limb(
        &mut self,
        from: Vec3,
        to: Vec3,
        profile: &[(f32, f32)],
        swell: f32,
        flare: f32,
        material: Material,
    ) {
        let along = (to - from).normalize_or(Vec3::NEG_Y);
        let across = along.any_orthonormal_vector();
        let length = from.distance(to);
        let radius = |t: f32| interpolate(profile, t) * swell * (1.0 + (flare - 1.0) * t);
        let ring = |at: f32, radius: f32| Ring {
            middle: from + along * at,
            across: across * radius,
            ahead: along.cross(across) * radius,
        };
        let (first, last) = (radius(0.0), radius(1.0));
        let mut rings = vec![
            ring(-0.7 * first, 0.05 * first),
            ring(-0.5 * first, 0.65 * first),
        ];
        rings.extend((0..=8).map(|n| {
            let t = n as f32 / 8.0;
            ring(t * length, radius(t))
        }));
        rings.extend([
            ring(length + 0.4 * last, 0.7 * last),
            ring(length + 0.6 * last, 0.05 * last),
        ]);
        self.add(&rings, material);
    }
}

/// Joints of the left side, or those across from them.
fn of_side(left: bool, joints: &[Joint]) -> Vec<Joint> {
    let own = |joint: &Joint| if left { *joint } else { joint.mirror() };
    joints.iter().map(own).collect()
}

/// The least distance between two line segments.
fn segments_apart((a, b): (Vec3, Vec3), (c, d): (Vec3, Vec3)) -> f32 {
    let (u, v, w) = (b - a, d - c, a - c);
    let (uu, uv, vv, uw, vw) = (u.dot(u), u.dot(v), v.dot(v), u.dot(w), v.dot(w));
    let bottom = (uu * vv - uv * uv).max(1e-9);
    let s = ((uv * vw - vv * uw) / bottom).clamp(0.0, 1.0);
    let t = ((uv * s + vw) / vv.max(1e-9)).clamp(0.0, 1.0);
    let s = ((uv * t - uw) / uu.max(1e-9)).clamp(0.0, 1.0);
    (a + u * s).distance(c + v * t)
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use bevy_pose_capture::source::synthetic::Random;

    /// Somebody who stands upright and faces +z, their arms spread.
    pub fn standing() -> Places {
        let mut joints = JointMap::default();
        joints[Joint::Nose] = Some(Vec3::new(0.0, 1.6, 0.12));
        for (joint, place) in [
            (Joint::LeftEar, [0.073, 1.62, 0.02]),
            (Joint::LeftShoulder, [0.17, 1.42, 0.0]),
            (Joint::LeftElbow, [0.46, 1.42, 0.0]),
            (Joint::LeftWrist, [0.72, 1.42, 0.0]),
            (Joint::LeftIndex, [0.8, 1.42, 0.03]),
            (Joint::LeftPinky, [0.8, 1.42, -0.03]),
            (Joint::LeftHip, [0.09, 0.92, 0.0]),
            (Joint::LeftKnee, [0.09, 0.5, 0.0]),
            (Joint::LeftAnkle, [0.09, 0.09, 0.0]),
            (Joint::LeftHeel, [0.09, 0.03, -0.05]),
            (Joint::LeftFootIndex, [0.09, 0.03, 0.15]),
        ] {
            let [x, y, z] = place;
            joints[joint] = Some(Vec3::new(x, y, z));
            joints[joint.mirror()] = Some(Vec3::new(-x, y, z));
        }
        joints
    }

    #[test]
    fn what_is_behind_a_trunk_or_a_head_is_hidden() {
        let mut joints = standing();
        // The right hand is held behind the back.
        joints[Joint::RightWrist] = Some(Vec3::new(0.02, 1.1, -0.2));
        let looks = Looks::random(&mut Random::new(1));
        let Some(body) = Body::new(joints, &looks) else {
            panic!("no joint is missing");
        };
        let seen = |joint, z| body.is_seen(joint, Vec3::new(0.0, 1.3, z));
        for joint in [Joint::Nose, Joint::LeftEye, Joint::RightEye] {
            assert!(seen(joint, 3.0) && !seen(joint, -3.0), "{joint:?}");
        }
        assert!(!seen(Joint::RightWrist, 3.0) && seen(Joint::RightWrist, -3.0));
        for joint in [
            Joint::LeftElbow,
            Joint::LeftKnee,
            Joint::RightHip,
            Joint::RightHeel,
        ] {
            assert!(seen(joint, 3.0), "{joint:?}");
        }
        // From above the left arm, which is spread.
        let aside = Vec3::new(4.0, 2.0, 0.3);
        assert!(body.is_seen(Joint::LeftEar, aside) && !body.is_seen(Joint::RightEar, aside));
        for hidden in [Joint::RightKnee, Joint::RightShoulder] {
            assert!(!body.is_seen(hidden, aside) && body.is_seen(hidden.mirror(), aside));
        }
    }

    #[test]
    fn nobody_is_put_together_of_joints_that_are_not_known() {
        let mut joints = standing();
        joints[Joint::LeftHeel] = None;
        assert!(Body::new(joints, &Looks::random(&mut Random::new(1))).is_none());
    }
}
