//! A take on a model: rotations of its bones over time.

use bevy::math::{Quat, Vec3};

use super::take::Take;
use crate::retarget::contact::Ground;
use crate::retarget::solve::{Rig, hips_of};
use crate::skeleton::Pose3d;
use crate::skeleton::convert::{bevy_from_opencv, with_bevy_axes};

/// A model's animation: what each node does at each time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Animation {
    /// Seconds, from 0.
    pub times: Vec<f32>,
    /// Node and its rotation at each time.
    pub rotations: Vec<(usize, Vec<Quat>)>,
    /// The hips' node and its translation at each time.
    pub hips: Option<(usize, Vec<Vec3>)>,
}

/// Puts one person of a take, under all the numbers that they had, on a model. Two passes over the take tell where up and
/// the floor are, so that its beginning is as good as its end.
pub fn bake(take: &Take, ids: &[u32], rig: &mut Rig) -> Animation {
    rig.forget();
    let poses: Vec<(f64, Pose3d, Option<Vec3>)> = take
        .frames
        .iter()
        .filter(|frame| ids.contains(&frame.id))
        .map(|frame| {
            let up = frame.up.map(|up| bevy_from_opencv(Vec3::from_array(up)));
            (frame.time, with_bevy_axes(&frame.pose()), up)
        })
        .collect();
    let Some(&(start, ..)) = poses.first() else {
        return Animation::default();
    };
    let mut ground = Ground::default();
    let mut legs: Vec<f32> = Vec::new();
    for pass in 0..2 {
        let mut last = start;
        for (time, pose, up) in &poses {
            ground.learn(pose, *up, ((time - last) as f32).clamp(0.0, 0.2));
            last = *time;
            if pass == 0 {
                legs.extend(Rig::leg_length_of(pose));
            }
        }
    }
    legs.sort_by(f32::total_cmp);
    let ratio = legs
        .get(legs.len() / 2)
        .map_or(1.0, |leg| rig.leg_length() / leg.max(0.1));
    let origin = hips_of(&ground.place(&poses[0].1))
        .unwrap_or(Vec3::ZERO)
        .with_y(0.0);

    let mut animation = Animation::default();
    for (time, pose, _) in &poses {
        if animation
            .times
            .last()
            .is_some_and(|last| (time - start) as f32 <= *last)
        {
            continue; // keys must advance
        }
        let placed = ground.place(pose);
        let hips =
            hips_of(&placed).map_or(Vec3::Y * rig.hips_height(), |hips| (hips - origin) * ratio);
        let solution = rig.solve(&placed, hips);
        let count = animation.times.len();
        animation.times.push((time - start) as f32);
        for (node, mut rotation) in solution.rotations {
            match animation.rotations.iter_mut().find(|(n, _)| *n == node) {
                Some((_, track)) => {
                    // Neighbouring keys on the same half of the sphere, so that players take the short way.
                    if track
                        .last()
                        .is_some_and(|before| before.dot(rotation) < 0.0)
                    {
                        rotation = -rotation;
                    }
                    track.push(rotation);
                }
                None => animation.rotations.push((node, vec![rotation; count + 1])),
            }
        }
        for (_, track) in &mut animation.rotations {
            // A bone that this frame says nothing of stays.
            if let (true, Some(&last)) = (track.len() <= count, track.last()) {
                track.push(last);
            }
        }
        if let Some((node, translation)) = solution.hips {
            animation
                .hips
                .get_or_insert_with(|| (node, Vec::new()))
                .1
                .push(translation);
        }
    }
    animation
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::take::TakeFrame;
    use crate::retarget::solve::tests::model;
    use crate::skeleton::{Joint, Origin};

    /// Somebody who stands three metres before a camera 1.4 m high and walks to their left.
    fn walking() -> Take {
        let mut take = Take::new("test", (640, 480));
        use Joint::*;
        for n in 0..60 {
            let shift = n as f32 * 0.02;
            let lifted = [
                (LeftShoulder, 0.2, 1.45),
                (RightShoulder, -0.2, 1.45),
                (LeftElbow, 0.25, 1.15),
                (RightElbow, -0.25, 1.15),
                (LeftWrist, 0.25, 0.9),
                (RightWrist, -0.25, 0.9),
                (LeftHip, 0.1, 0.95),
                (RightHip, -0.1, 0.95),
                (LeftKnee, 0.1, 0.5),
                (RightKnee, -0.1, 0.5),
                (LeftAnkle, 0.1, 0.08),
                (RightAnkle, -0.1, 0.08),
                (LeftHeel, 0.1, 0.0),
                (RightHeel, -0.1, 0.0),
            ];
            let place = |(joint, x, y): (Joint, f32, f32)| {
                (joint, x + shift, 1.4 - y, 3.0, 0.02, Origin::Lifted)
            };
            let lifted = lifted.map(place).to_vec();
            take.frames.push(TakeFrame {
                time: f64::from(n) / 30.0,
                id: 7,
                seen: Vec::new(),
                lifted,
                up: None,
                unseen: None,
            });
        }
        take
    }

    #[test]
    fn the_model_walks_as_far_as_its_legs_are_long_and_stands_on_the_floor() {
        let Some(mut rig) = model(Quat::IDENTITY, 1.0) else {
            panic!("the model is whole")
        };
        let animation = bake(&walking(), &[7], &mut rig);
        let Some((_, hips)) = &animation.hips else {
            panic!("the hips move")
        };
        assert_eq!((animation.times.len(), hips.len()), (60, 60));
        assert!((hips[0].y - 1.0).abs() < 0.03, "hips at {}", hips[0]);
        let walked = hips[59] - hips[0];
        assert!(
            (walked.x - 59.0 * 0.02).abs() < 0.03 && walked.z.abs() < 0.01,
            "{walked}"
        );
    }

    /// The same before a camera that looks up by so many degrees, which knows of `up`, in its frame.
    fn tilted(degrees: f32, up: impl Fn(Quat) -> Option<Vec3>) -> Take {
        let (mut take, turn) = (walking(), Quat::from_rotation_x(degrees.to_radians()));
        for frame in &mut take.frames {
            for (_, x, y, z, ..) in &mut frame.lifted {
                [*x, *y, *z] = (turn * Vec3::new(*x, *y, *z)).to_array();
            }
            frame.up = up(turn).map(|up| up.to_array());
        }
        take
    }

    #[test]
    fn who_leans_before_a_camera_that_knows_up_leans_and_who_stands_before_a_tilted_one_stands() {
        let Some(mut rig) = model(Quat::IDENTITY, 1.0) else {
            panic!("the model is whole")
        };
        let mut height = |take: &Take| {
            let animation = bake(take, &[7], &mut rig);
            animation.hips.map_or(f32::NAN, |(_, hips)| hips[30].y)
        };
        let upright = height(&walking());
        let stands = height(&tilted(25.0, |turn| Some(turn * Vec3::NEG_Y)));
        assert!((stands - upright).abs() < 0.01, "{stands} {upright}");
        let leans = height(&tilted(25.0, |_| Some(Vec3::NEG_Y)));
        assert!(
            (leans - upright * 25_f32.to_radians().cos()).abs() < 0.03,
            "{leans}"
        );
        // Where nobody knows, whoever is straight is upright.
        let unknown = height(&tilted(25.0, |_| None));
        assert!((unknown - upright).abs() < 0.03, "{unknown}");
    }

    #[test]
    fn the_same_take_gives_the_same_animation_bit_by_bit() {
        let Some(mut rig) = model(Quat::IDENTITY, 1.0) else {
            panic!("the model is whole")
        };
        let first = bake(&walking(), &[7], &mut rig);
        assert_eq!(first, bake(&walking(), &[7], &mut rig));
        assert!(first.rotations.iter().all(|(_, track)| track.len() == 60));
    }

    #[test]
    fn a_person_with_two_numbers_is_one_animation() {
        let mut take = walking();
        for frame in &mut take.frames[40..] {
            frame.id = 9;
        }
        let Some(mut rig) = model(Quat::IDENTITY, 1.0) else {
            panic!("the model is whole")
        };
        let whole = bake(&walking(), &[7], &mut rig);
        assert_eq!(bake(&take, &[7, 9], &mut rig), whole);
        assert_eq!(bake(&take, &[7], &mut rig).times.len(), 40);
    }

    #[test]
    fn a_person_who_is_not_in_the_take_gives_an_empty_animation() {
        let Some(mut rig) = model(Quat::IDENTITY, 1.0) else {
            panic!("the model is whole")
        };
        assert_eq!(bake(&walking(), &[8], &mut rig), Animation::default());
    }
}
