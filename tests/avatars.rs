//! Avatars of many makers can be driven.

use std::collections::HashMap;
use std::path::Path;

use bevy_pose_capture::record::gltf::AvatarFile;
use bevy_pose_capture::retarget::humanoid::HumanBone;

#[test]
fn the_bones_of_other_peoples_avatars_are_found() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/avatars");
    if !folder.exists() {
        eprintln!("skipped: {} is not there", folder.display());
        return;
    }
    use HumanBone::*;
    // Node names as their makers gave them.
    let cases: [(&str, &[(HumanBone, &str)]); 5] = [
        (
            "cool_loops.vrm",
            &[
                (LeftUpperArm, "mixamorig:LeftArm"),
                (RightFoot, "mixamorig:RightFoot"),
                (UpperChest, "mixamorig:Spine2"),
            ],
        ),
        (
            "Godette_vrm_v4.vrm",
            &[
                (LeftLowerArm, "lowerarm.l_Armature"),
                (Hips, "pelvis_Armature"),
                (RightUpperLeg, "thigh.r_Armature"),
            ],
        ),
        (
            "VRMC_materials_mtoon_UV_Animation_Test.vrm",
            &[
                (LeftUpperArm, "upper_arm.L"),
                (RightLowerLeg, "lower_leg.R"),
            ],
        ),
        (
            "mannequiny.glb",
            &[
                (Hips, "pelvis"),
                (Spine, "spine_01"),
                (LeftLowerLeg, "calf.l"),
                (RightHand, "hand.r"),
            ],
        ),
        (
            "CesiumMan.glb",
            &[
                (Hips, "Skeleton_torso_joint_1"),
                (LeftLowerLeg, "leg_joint_L_2"),
                (RightUpperArm, "Skeleton_arm_joint_R"),
                (LeftLowerArm, "Skeleton_arm_joint_L__3_"),
            ],
        ),
    ];
    for (file, bones) in cases {
        let avatar = AvatarFile::open(&folder.join(file)).unwrap_or_else(|error| panic!("{error}"));
        let rig = avatar
            .rig(&HashMap::new())
            .unwrap_or_else(|error| panic!("{error}"));
        let (skeleton, humanoid) = rig.skeleton();
        for (bone, name) in bones {
            let found = humanoid
                .node(*bone)
                .map(|node| skeleton.nodes[node].name.as_str());
            assert_eq!(found, Some(*name), "{file}: {bone:?}");
        }
        assert!(
            (0.3..1.3).contains(&rig.leg_length()),
            "{file}: legs of {} m",
            rig.leg_length()
        );
    }
}
