"""Joint names shared by every recipe; the order is the channel order of the shipped networks.

Left and right are the person's. The names are those of `src/skeleton.rs`.
"""

COCO17 = [
    "nose", "left_eye", "right_eye", "left_ear", "right_ear",
    "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
    "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
]

BODY25 = COCO17 + [
    "left_heel", "right_heel", "left_foot_index", "right_foot_index",
    "left_pinky", "right_pinky", "left_index", "right_index",
]

BLAZEPOSE33 = [
    "nose", "left_eye_inner", "left_eye", "left_eye_outer", "right_eye_inner", "right_eye", "right_eye_outer",
    "left_ear", "right_ear", "mouth_left", "mouth_right",
    "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
    "left_pinky", "right_pinky", "left_index", "right_index", "left_thumb", "right_thumb",
    "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
    "left_heel", "right_heel", "left_foot_index", "right_foot_index",
]


def mirror_of(names):
    """For each joint, the index of the joint that it becomes in a mirrored picture."""
    swap = {"left": "right", "right": "left"}
    out = []
    for name in names:
        side, _, rest = name.partition("_")
        out.append(names.index(f"{swap[side]}_{rest}") if side in swap else names.index(name))
    return out
