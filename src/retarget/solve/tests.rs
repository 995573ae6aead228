use super::*;
use crate::skeleton::{Joint3d, Origin, derive_middle};
use bevy::transform::components::Transform;

/// A model in T-pose whose local axes are turned by `twist` at every node, facing +z or, turned, -z.
pub(crate) fn model(twist: Quat, facing: f32) -> Option<Rig> {
    model_with_arms(twist, facing, Vec3::X)
}

/// The same, whose left arm points there at rest, and the right one as in a mirror.
fn model_with_arms(twist: Quat, facing: f32, arm: Vec3) -> Option<Rig> {
    let along = |far: f32, out: f32| {
        let at = Vec3::new(0.2, 1.45, 0.0) + arm * far;
        [at.x * out, at.y, at.z]
    };
    let mut skeleton = RestSkeleton::default();
    let mut index = HashMap::<&str, usize>::new();
    let nodes: &[(&str, &str, [f32; 3])] = &[
        ("hips", "", [0.0, 1.0, 0.0]),
        ("spine", "hips", [0.0, 1.1, 0.0]),
        ("chest", "spine", [0.0, 1.3, 0.0]),
        ("neck", "chest", [0.0, 1.5, 0.0]),
        ("head", "neck", [0.0, 1.6, 0.0]),
        ("leftUpperArm", "chest", [0.2, 1.45, 0.0]),
        ("leftLowerArm", "leftUpperArm", along(0.3, 1.0)),
        ("leftHand", "leftLowerArm", along(0.55, 1.0)),
        ("rightUpperArm", "chest", [-0.2, 1.45, 0.0]),
        ("rightLowerArm", "rightUpperArm", along(0.3, -1.0)),
        ("rightHand", "rightLowerArm", along(0.55, -1.0)),
        ("leftUpperLeg", "hips", [0.1, 0.95, 0.0]),
        ("leftLowerLeg", "leftUpperLeg", [0.1, 0.5, 0.0]),
        ("leftFoot", "leftLowerLeg", [0.1, 0.08, 0.0]),
        // Turned out by 22 degrees.
        ("leftToes", "leftFoot", [0.15, 0.02, 0.12]),
        ("rightUpperLeg", "hips", [-0.1, 0.95, 0.0]),
        ("rightLowerLeg", "rightUpperLeg", [-0.1, 0.5, 0.0]),
        ("rightFoot", "rightLowerLeg", [-0.1, 0.08, 0.0]),
        ("rightToes", "rightFoot", [-0.15, 0.02, 0.12]),
    ];
    for (name, parent, [x, y, z]) in nodes {
        let parent = index.get(parent).copied();
        let world = Transform::from_xyz(x * facing, *y, z * facing).with_rotation(twist);
        let local = parent.map_or(world, |parent: usize| {
            Transform::from_matrix(
                skeleton.nodes[parent].rest.to_matrix().inverse() * world.to_matrix(),
            )
        });
        index.insert(name, skeleton.push(name, parent, local, None));
    }
    let table = index
        .keys()
        .map(|name| (name.to_string(), name.to_string()))
        .collect();
    let humanoid = Humanoid::find(&skeleton, None, &table).ok()?;
    Rig::new(skeleton, humanoid).ok()
}

/// Where the model's bones end up.
pub(crate) fn places(rig: &Rig, solution: &Solution) -> HashMap<HumanBone, Vec3> {
    let (skeleton, humanoid) = rig.skeleton();
    let mut world: Vec<Transform> = Vec::new();
    for (index, node) in skeleton.nodes.iter().enumerate() {
        let mut local = node.local;
        if let Some((_, rotation)) = solution.rotations.iter().find(|(n, _)| *n == index) {
            local.rotation = *rotation;
        }
        if let Some((_, translation)) = solution.hips.filter(|(n, _)| *n == index) {
            local.translation = translation;
        }
        world.push(node.parent.map_or(local, |parent| world[parent] * local));
    }
    HumanBone::ALL
        .iter()
        .filter_map(|&bone| Some((bone, world[humanoid.node(bone)?].translation)))
        .collect()
}

fn pose(joints: &[(Joint, [f32; 3])]) -> Pose3d {
    let mut pose = Pose3d::default();
    for &(joint, at) in joints {
        pose[joint] = Some(Joint3d {
            position: at.into(),
            sigma: 0.02,
            origin: Origin::Lifted,
        });
    }
    derive_middle(&mut pose);
    pose
}

/// Left arm up and bent, right arm down, left knee lifted, facing +z.
pub(crate) fn waving() -> Pose3d {
    use Joint::*;
    pose(&[
        (Nose, [0.0, 1.62, 0.12]),
        (LeftEar, [0.07, 1.64, 0.0]),
        (RightEar, [-0.07, 1.64, 0.0]),
        (LeftShoulder, [0.18, 1.45, 0.0]),
        (LeftElbow, [0.45, 1.5, 0.05]),
        (LeftWrist, [0.5, 1.75, 0.08]),
        (LeftIndex, [0.49, 1.83, 0.1]),
        (LeftPinky, [0.53, 1.82, 0.08]),
        (RightShoulder, [-0.18, 1.45, 0.0]),
        (RightElbow, [-0.22, 1.17, 0.0]),
        (RightWrist, [-0.23, 0.95, 0.06]),
        (RightIndex, [-0.22, 0.86, 0.1]),
        (RightPinky, [-0.24, 0.86, 0.04]),
        (LeftHip, [0.09, 0.95, 0.0]),
        (LeftKnee, [0.1, 0.9, 0.42]),
        (LeftAnkle, [0.1, 0.5, 0.3]),
        (LeftHeel, [0.1, 0.43, 0.27]),
        (LeftFootIndex, [0.12, 0.43, 0.47]),
        (RightHip, [-0.09, 0.95, 0.0]),
        (RightKnee, [-0.1, 0.5, 0.02]),
        (RightAnkle, [-0.1, 0.09, 0.0]),
        (RightHeel, [-0.1, 0.03, -0.04]),
        (RightFootIndex, [-0.11, 0.03, 0.17]),
    ])
}

#[test]
fn limbs_point_where_the_persons_point_whatever_the_models_axes_and_facing() {
    let wanted = waving();
    let twists = [
        Quat::IDENTITY,
        Quat::from_euler(bevy::math::EulerRot::XYZ, 0.4, -1.2, 2.0),
    ];
    for (twist, facing) in [(twists[0], 1.0), (twists[1], 1.0), (twists[0], -1.0)] {
        let Some(mut rig) = model(twist, facing) else {
            panic!("the model is whole")
        };
        let solution = rig.solve(&wanted, Vec3::new(0.0, 1.0, 0.0));
        let got = places(&rig, &solution);
        use Joint::*;
        for (from, to, a, b) in [
            (
                HumanBone::LeftUpperArm,
                HumanBone::LeftLowerArm,
                LeftShoulder,
                LeftElbow,
            ),
            (
                HumanBone::LeftLowerArm,
                HumanBone::LeftHand,
                LeftElbow,
                LeftWrist,
            ),
            (
                HumanBone::RightUpperArm,
                HumanBone::RightLowerArm,
                RightShoulder,
                RightElbow,
            ),
            (
                HumanBone::LeftUpperLeg,
                HumanBone::LeftLowerLeg,
                LeftHip,
                LeftKnee,
            ),
            (
                HumanBone::LeftLowerLeg,
                HumanBone::LeftFoot,
                LeftKnee,
                LeftAnkle,
            ),
            (
                HumanBone::RightLowerLeg,
                HumanBone::RightFoot,
                RightKnee,
                RightAnkle,
            ),
        ] {
            let (Some(p), Some(q)) = (wanted[a], wanted[b]) else {
                panic!("{a:?}, {b:?}")
            };
            let wanted = (q.position - p.position).normalize();
            let found = (got[&to] - got[&from]).normalize();
            let off = found.angle_between(wanted).to_degrees();
            assert!(off < 1.0, "{to:?} is off by {off:.1}° (facing {facing})");
        }
        let joints = (got[&HumanBone::LeftUpperLeg] + got[&HumanBone::RightUpperLeg]) * 0.5;
        assert!(joints.distance(Vec3::new(0.0, 1.0, 0.0)) < 1e-4, "{joints}");
    }
}

#[test]
fn standing_as_the_model_does_leaves_it_as_it_is() {
    let Some(mut rig) = model(Quat::from_rotation_x(0.7), 1.0) else {
        panic!("the model is whole")
    };
    use Joint::*;
    let t_pose = pose(&[
        (LeftShoulder, [0.2, 1.45, 0.0]),
        (LeftElbow, [0.5, 1.45, 0.0]),
        (LeftWrist, [0.75, 1.45, 0.0]),
        (RightShoulder, [-0.2, 1.45, 0.0]),
        (RightElbow, [-0.5, 1.45, 0.0]),
        (RightWrist, [-0.75, 1.45, 0.0]),
        (LeftHip, [0.1, 0.95, 0.0]),
        (LeftKnee, [0.1, 0.5, 0.0]),
        (LeftAnkle, [0.1, 0.08, 0.0]),
        (RightHip, [-0.1, 0.95, 0.0]),
        (RightKnee, [-0.1, 0.5, 0.0]),
        (RightAnkle, [-0.1, 0.08, 0.0]),
    ]);
    let solution = rig.solve(&t_pose, Vec3::new(0.0, 1.0, 0.0));
    for (node, rotation) in &solution.rotations {
        let off = rotation
            .angle_between(rig.skeleton().0.nodes[*node].local.rotation)
            .to_degrees();
        assert!(
            off < 0.5,
            "{} turns by {off:.2}°",
            rig.skeleton().0.nodes[*node].name
        );
    }
}

#[test]
fn feet_point_where_the_persons_do_though_the_models_are_turned_out() {
    let posed = waving();
    for facing in [1.0, -1.0] {
        let Some(mut rig) = model(Quat::IDENTITY, facing) else {
            panic!("the model is whole")
        };
        let solution = rig.solve(&posed, Vec3::Y);
        let at = places(&rig, &solution);
        for (foot, toes, heel, toe) in [
            (LeftFoot, LeftToes, Joint::LeftHeel, Joint::LeftFootIndex),
            (
                RightFoot,
                RightToes,
                Joint::RightHeel,
                Joint::RightFootIndex,
            ),
        ] {
            let place = |joint: Joint| posed[joint].map_or(Vec3::ZERO, |p| p.position);
            let wanted = (place(toe) - place(heel)).with_y(0.0);
            let off = (at[&toes] - at[&foot]).with_y(0.0).angle_between(wanted);
            assert!(
                off.to_degrees() < 5.0,
                "{foot:?}: {} degrees",
                off.to_degrees()
            );
        }
    }
}

#[test]
fn hands_and_feet_turn_back_by_degrees_as_the_network_becomes_less_sure_of_them() {
    use Joint::*;
    let mut turns: Vec<[Quat; 2]> = Vec::new();
    for step in 0..=40 {
        // Its memory would hide a jump.
        let Some(mut rig) = model(Quat::IDENTITY, 1.0) else {
            panic!("the model is whole")
        };
        let mut posed = waving();
        for (joint, shift) in [
            (LeftIndex, Vec3::new(0.0, -0.05, 0.08)),
            (LeftPinky, Vec3::new(0.05, -0.05, -0.04)),
            (RightFootIndex, Vec3::new(-0.1, 0.15, -0.05)),
            (RightHeel, Vec3::ZERO),
        ] {
            if let Some(point) = &mut posed[joint] {
                point.position += shift;
                point.sigma = 0.05 + 0.002 * step as f32;
            }
        }
        let solution = rig.solve(&posed, Vec3::Y);
        turns.push([LeftHand, RightFoot].map(|bone| turn_of(&rig, &solution, bone)));
    }
    for part in 0..2 {
        let all = turns[0][part].angle_between(turns[40][part]).to_degrees();
        let steps = turns.windows(2);
        let steps = steps.map(|pair| pair[0][part].angle_between(pair[1][part]).to_degrees());
        let most = steps.fold(0.0, f32::max);
        assert!(
            all > 20.0 && most < 0.2 * all,
            "{most} of {all} degrees at once"
        );
    }
}

#[test]
fn an_arm_held_overhead_does_not_spin_however_the_model_holds_its_own() {
    use Joint::*;
    for rest in [Vec3::X, Vec3::new(0.7, -0.7, 0.0), Vec3::NEG_Y] {
        let turns = [0.0, 90.0, 180.0, 270.0].map(|aside: f32| {
            let Some(mut rig) = model_with_arms(Quat::IDENTITY, 1.0, rest) else {
                panic!("the model is whole")
            };
            let lean = Quat::from_rotation_y(aside.to_radians()) * Quat::from_rotation_z(0.14);
            let mut posed = waving();
            for (joint, far) in [(LeftElbow, 0.3), (LeftWrist, 0.55)] {
                if let Some(point) = &mut posed[joint] {
                    point.position = Vec3::new(0.18, 1.45, 0.0) + lean * Vec3::Y * far;
                }
            }
            let solution = rig.solve(&posed, Vec3::Y);
            turn_of(&rig, &solution, LeftUpperArm)
        });
        for turn in turns {
            let off = turn.angle_between(turns[0]).to_degrees();
            assert!(off < 40.0, "{rest}: {off} degrees");
        }
    }
}

#[test]
fn a_pose_without_a_body_moves_nothing_and_does_not_panic() {
    let Some(mut rig) = model(Quat::IDENTITY, 1.0) else {
        panic!("the model is whole")
    };
    assert!(rig.solve(&Pose3d::default(), Vec3::Y).rotations.is_empty());
    let same = Some(Joint3d {
        position: Vec3::ZERO,
        sigma: 0.1,
        origin: Origin::Predicted,
    });
    let mut collapsed = Pose3d::default();
    Joint::ALL.iter().for_each(|&joint| collapsed[joint] = same);
    assert!(
        rig.solve(&collapsed, Vec3::Y)
            .rotations
            .iter()
            .all(|(_, q)| q.is_finite())
    );
}

/// What a solution turns a bone's node by, in model space, from its rest pose.
fn turn_of(rig: &Rig, solution: &Solution, wanted: HumanBone) -> Quat {
    let (skeleton, humanoid) = rig.skeleton();
    let mut world: Vec<Quat> = Vec::new();
    for (index, node) in skeleton.nodes.iter().enumerate() {
        let turned = solution.rotations.iter().find(|(n, _)| *n == index);
        let local = turned.map_or(node.local.rotation, |(_, rotation)| *rotation);
        world.push(node.parent.map_or(local, |parent| world[parent] * local));
    }
    let node = humanoid.node(wanted).unwrap_or(0);
    world[node] * skeleton.nodes[node].rest.rotation.inverse()
}

#[test]
fn a_bent_elbow_keeps_its_axis_wherever_the_hand_goes_even_behind_the_head() {
    let Some(mut rig) = model(Quat::IDENTITY, 1.0) else {
        panic!("the model is whole")
    };
    use Joint::*;
    let shoulder = Vec3::new(0.2, 1.45, 0.0);
    let upper = Vec3::new(0.86, 0.51, 0.0).normalize();
    let elbow = shoulder + upper * 0.3;
    let mut before: Option<Quat> = None;
    // The forearm, at a right angle to the upper arm, swings from straight ahead over upwards to behind the head.
    for step in 0..=40 {
        let swing = Quat::from_axis_angle(-upper, (step as f32 * 4.0).to_radians());
        let lower = swing * (-Vec3::Z).cross(upper).cross(upper).normalize() * 0.25;
        let mut posed = waving();
        for (joint, at) in [
            (LeftShoulder, shoulder),
            (LeftElbow, elbow),
            (LeftWrist, elbow + lower),
        ] {
            if let Some(point) = &mut posed[joint] {
                point.position = at;
            }
        }
        let solution = rig.solve(&posed, Vec3::Y);
        // In T-pose the elbow's axis, across the arm and the way ahead, is up or down.
        let rest_axis = Vec3::X.cross(Vec3::Z);
        let turn = turn_of(&rig, &solution, HumanBone::LeftUpperArm);
        let axis = upper.cross(lower).normalize();
        let off = (turn * rest_axis).angle_between(axis).to_degrees();
        assert!(
            off < 15.0,
            "step {step}: the axis is off by {off:.0} degrees"
        );
        if let Some(before) = before {
            let jump = turn.angle_between(before).to_degrees();
            assert!(
                jump < 12.0,
                "step {step}: the arm jumps by {jump:.0} degrees"
            );
        }
        before = Some(turn);
    }
}
