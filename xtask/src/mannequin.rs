//! Models the default avatar and writes it as `assets/avatars/mannequin.glb`: a dressed figure of 1.76 m in T-pose, facing
//! +z, whose bones bear VRM's names.

use std::f32::consts::TAU;
use std::path::Path;

use serde_json::{Value, json};

type Vec3 = [f32; 3];

/// Bones: name, parent, place in metres. Mirrored bones are made from those that begin with `left`.
const MIDDLE: &[(&str, &str, Vec3)] = &[
    ("hips", "", [0.0, 0.95, 0.0]),
    ("spine", "hips", [0.0, 1.06, -0.005]),
    ("chest", "spine", [0.0, 1.20, -0.01]),
    ("neck", "chest", [0.0, 1.465, -0.02]),
    ("head", "neck", [0.0, 1.555, 0.0]),
];
const LEFT: &[(&str, &str, Vec3)] = &[
    ("leftShoulder", "chest", [0.035, 1.42, -0.01]),
    ("leftUpperArm", "leftShoulder", [0.175, 1.42, -0.015]),
    ("leftLowerArm", "leftUpperArm", [0.465, 1.42, -0.015]),
    ("leftHand", "leftLowerArm", [0.725, 1.42, -0.01]),
    ("leftUpperLeg", "hips", [0.095, 0.925, 0.0]),
    ("leftLowerLeg", "leftUpperLeg", [0.095, 0.50, 0.005]),
    ("leftFoot", "leftLowerLeg", [0.095, 0.085, -0.02]),
    ("leftToes", "leftFoot", [0.095, 0.025, 0.125]),
];

const MATERIALS: &[(&str, Vec3, f32)] = &[
    ("skin", [0.80, 0.58, 0.46], 0.7),
    ("shirt", [0.16, 0.33, 0.62], 0.85),
    ("trousers", [0.17, 0.17, 0.20], 0.85),
    ("shoes", [0.75, 0.74, 0.72], 0.6),
    ("hair", [0.13, 0.08, 0.06], 0.8),
    ("eyes", [0.04, 0.04, 0.05], 0.3),
];
const SKIN: usize = 0;
const SHIRT: usize = 1;
const TROUSERS: usize = 2;
const SHOES: usize = 3;
const HAIR: usize = 4;
const EYES: usize = 5;

/// Up to two bones and how the weight is shared.
type Weights = [(usize, f32); 2];

#[derive(Default, Clone)]
struct Surface {
    positions: Vec<Vec3>,
    normals: Vec<Vec3>,
    weights: Vec<Weights>,
    triangles: Vec<u32>,
}

/// An ellipse across a limb: middle, half axes, weights.
struct Ring {
    middle: Vec3,
    across: Vec3,
    ahead: Vec3,
    weights: Weights,
}

fn add(a: Vec3, b: Vec3) -> Vec3 {
    [a[0] + b[0], a[1] + b[1], a[2] + b[2]]
}
fn scale(a: Vec3, s: f32) -> Vec3 {
    a.map(|v| v * s)
}
fn subtract(a: Vec3, b: Vec3) -> Vec3 {
    add(a, scale(b, -1.0))
}
fn cross(a: Vec3, b: Vec3) -> Vec3 {
    [
        a[1] * b[2] - a[2] * b[1],
        a[2] * b[0] - a[0] * b[2],
        a[0] * b[1] - a[1] * b[0],
    ]
}
fn normalize(a: Vec3) -> Vec3 {
    let length = a.iter().map(|v| v * v).sum::<f32>().sqrt();
    scale(a, 1.0 / length.max(1e-9))
}

const AROUND: usize = 20;

impl Surface {
    /// A tube through rings, closed by a point at both ends.
    fn tube(&mut self, rings: &[Ring]) {
        let first = self.positions.len() as u32;
        for ring in rings {
            for n in 0..AROUND {
                let (sin, cos) = (n as f32 / AROUND as f32 * TAU).sin_cos();
                self.positions.push(add(
                    ring.middle,
                    add(scale(ring.across, cos), scale(ring.ahead, sin)),
                ));
                self.weights.push(ring.weights);
            }
        }
        let around = AROUND as u32;
        let at = |ring: u32, n: u32| first + ring * around + n % around;
        for ring in 0..rings.len() as u32 - 1 {
            for n in 0..around {
                let (a, b, c, d) = (
                    at(ring, n),
                    at(ring, n + 1),
                    at(ring + 1, n),
                    at(ring + 1, n + 1),
                );
                self.triangles.extend([a, c, b, b, c, d]);
            }
        }
        for (ring, end) in [
            (0, &rings[0]),
            (rings.len() as u32 - 1, &rings[rings.len() - 1]),
        ] {
            let tip = self.positions.len() as u32;
            self.positions.push(end.middle);
            self.weights.push(end.weights);
            for n in 0..around {
                let (a, b) = (at(ring, n), at(ring, n + 1));
                self.triangles
                    .extend(if ring == 0 { [a, b, tip] } else { [b, a, tip] });
            }
        }
    }

    /// An ellipsoid that one bone moves.
    fn ball(&mut self, middle: Vec3, radii: Vec3, bone: usize) {
        let rings: Vec<Ring> = (0..=12)
            .map(|n| {
                let (sin, cos) = (n as f32 / 12.0 * TAU / 2.0).sin_cos();
                let sin = sin.max(0.02);
                Ring {
                    middle: add(middle, [0.0, -radii[1] * cos, 0.0]),
                    across: [radii[0] * sin, 0.0, 0.0],
                    ahead: [0.0, 0.0, radii[2] * sin],
                    weights: [(bone, 1.0), (0, 0.0)],
                }
            })
            .collect();
        self.tube(&rings);
    }

    /// Normals as the mean of the triangles around each vertex; triangles are turned to face outwards by `tube`.
    fn smooth(&mut self) {
        self.normals = vec![[0.0; 3]; self.positions.len()];
        for triangle in self.triangles.chunks_exact(3) {
            let [a, b, c] =
                [triangle[0], triangle[1], triangle[2]].map(|n| self.positions[n as usize]);
            let normal = cross(subtract(b, a), subtract(c, a));
            for &n in triangle {
                self.normals[n as usize] = add(self.normals[n as usize], normal);
            }
        }
        self.normals
            .iter_mut()
            .for_each(|normal| *normal = normalize(*normal));
    }
}

struct Model {
    bones: Vec<(String, Option<usize>, Vec3)>,
    surfaces: Vec<Surface>,
}

impl Model {
    fn bone(&self, name: &str) -> usize {
        self.bones
            .iter()
            .position(|bone| bone.0 == name)
            .unwrap_or(0)
    }

    fn place(&self, name: &str) -> Vec3 {
        self.bones[self.bone(name)].2
    }

    /// A limb along bones: (share of the way, half width, half depth) from the first end over the hinge to the last. Its
    /// first few centimetres follow `root`, so that it does not stand out where it leaves the trunk.
    fn limb(
        &mut self,
        material: usize,
        root: &str,
        bones: [&str; 2],
        ends: [Vec3; 3],
        profile: &[(f32, f32, f32)],
        axes: (Vec3, Vec3),
    ) {
        let root = self.bone(root);
        let [upper, lower] = bones.map(|name| self.bone(name));
        let lengths = [length(ends[0], ends[1]), length(ends[1], ends[2])];
        let total = lengths[0] + lengths[1];
        let rings: Vec<Ring> = profile
            .iter()
            .map(|&(share, width, depth)| {
                let along = share * total;
                let (from, to, part) = if along <= lengths[0] {
                    (ends[0], ends[1], along / lengths[0])
                } else {
                    (ends[1], ends[2], (along - lengths[0]) / lengths[1])
                };
                // Around the hinge the two bones share: within 5 cm.
                let lower_share = ((along - lengths[0]) / 0.10 + 0.5).clamp(0.0, 1.0);
                let root_share = (1.0 - along / 0.09).clamp(0.0, 1.0);
                let weights = if root_share > 0.0 {
                    [(root, root_share), (upper, 1.0 - root_share)]
                } else {
                    [(upper, 1.0 - lower_share), (lower, lower_share)]
                };
                Ring {
                    middle: add(from, scale(subtract(to, from), part)),
                    across: scale(axes.0, width),
                    ahead: scale(axes.1, depth),
                    weights,
                }
            })
            .collect();
        self.surfaces[material].tube(&rings);
    }
}

fn length(a: Vec3, b: Vec3) -> f32 {
    subtract(a, b).iter().map(|v| v * v).sum::<f32>().sqrt()
}

fn build() -> Model {
    let mut model = Model {
        bones: Vec::new(),
        surfaces: vec![Surface::default(); MATERIALS.len()],
    };
    let mirrored = LEFT.iter().map(|(name, parent, [x, y, z])| {
        (
            name.replace("left", "right"),
            parent.replace("left", "right"),
            [-x, *y, *z],
        )
    });
    let sided = LEFT
        .iter()
        .map(|(name, parent, place)| (name.to_string(), parent.to_string(), *place));
    let middle = MIDDLE
        .iter()
        .map(|(name, parent, place)| (name.to_string(), parent.to_string(), *place));
    for (name, parent, place) in middle.chain(sided).chain(mirrored) {
        let parent = model.bones.iter().position(|bone| bone.0 == parent);
        model.bones.push((name, parent, place));
    }

    // The trunk, from the crotch to the base of the neck: height, half width, half depth, how far back.
    let (hips, spine, chest) = (model.bone("hips"), model.bone("spine"), model.bone("chest"));
    let trunk = |rows: &[(f32, f32, f32, f32)]| -> Vec<Ring> {
        rows.iter()
            .map(|&(y, width, depth, z)| {
                let weights = if y < 1.10 {
                    let share = ((y - 0.98) / 0.12).clamp(0.0, 1.0);
                    [(hips, 1.0 - share), (spine, share)]
                } else {
                    let share = ((y - 1.12) / 0.12).clamp(0.0, 1.0);
                    [(spine, 1.0 - share), (chest, share)]
                };
                Ring {
                    middle: [0.0, y, z],
                    across: [width, 0.0, 0.0],
                    ahead: [0.0, 0.0, depth],
                    weights,
                }
            })
            .collect()
    };
    let lower = trunk(&[
        (0.86, 0.06, 0.06, 0.0),
        (0.875, 0.13, 0.09, 0.0),
        (0.92, 0.165, 0.115, -0.01),
        (0.97, 0.165, 0.115, -0.01),
        (1.02, 0.15, 0.105, -0.005),
        (1.05, 0.14, 0.10, 0.0),
    ]);
    model.surfaces[TROUSERS].tube(&lower);
    let upper = trunk(&[
        (0.98, 0.155, 0.115, -0.005),
        (1.02, 0.152, 0.11, -0.003),
        (1.10, 0.138, 0.102, 0.0),
        (1.18, 0.145, 0.107, 0.0),
        (1.27, 0.165, 0.118, -0.003),
        (1.35, 0.178, 0.115, -0.01),
        (1.41, 0.165, 0.095, -0.015),
        (1.45, 0.11, 0.075, -0.02),
        (1.475, 0.06, 0.058, -0.02),
    ]);
    model.surfaces[SHIRT].tube(&upper);

    let (neck, head) = (model.bone("neck"), model.bone("head"));
    let throat: Vec<Ring> = [
        (1.44, 0.056, neck),
        (1.50, 0.052, neck),
        (1.56, 0.052, head),
        (1.60, 0.055, head),
    ]
    .iter()
    .map(|&(y, radius, bone)| Ring {
        middle: [0.0, y, -0.015 + (y - 1.44) * 0.1],
        across: [radius, 0.0, 0.0],
        ahead: [0.0, 0.0, radius],
        weights: [(bone, 1.0), (0, 0.0)],
    })
    .collect();
    model.surfaces[SKIN].tube(&throat);
    model.surfaces[SKIN].ball([0.0, 1.655, 0.012], [0.073, 0.105, 0.09], head);
    model.surfaces[SKIN].ball([0.0, 1.595, 0.045], [0.045, 0.04, 0.05], head);
    model.surfaces[SKIN].ball([0.0, 1.640, 0.103], [0.013, 0.022, 0.022], head);
    model.surfaces[HAIR].ball([0.0, 1.682, -0.008], [0.081, 0.088, 0.094], head);
    for side in [1.0, -1.0] {
        model.surfaces[EYES].ball([side * 0.029, 1.665, 0.092], [0.012, 0.008, 0.008], head);
        model.surfaces[HAIR].ball([side * 0.030, 1.685, 0.093], [0.019, 0.004, 0.006], head);
        model.surfaces[SKIN].ball([side * 0.076, 1.650, 0.0], [0.012, 0.028, 0.018], head);
    }

    for side in ["left", "right"] {
        let name = |part: &str| format!("{side}{part}");
        let sign = if side == "left" { 1.0 } else { -1.0 };
        let (shoulder, elbow, wrist) = (
            model.place(&name("UpperArm")),
            model.place(&name("LowerArm")),
            model.place(&name("Hand")),
        );
        let collar = name("Shoulder");
        let (arm, forearm, hand) = (name("UpperArm"), name("LowerArm"), name("Hand"));
        let axes = ([0.0, sign, 0.0], [0.0, 0.0, 1.0]);
        let inner = add(shoulder, [-0.045 * sign, -0.005, 0.0]);
        model.limb(
            SHIRT,
            &collar,
            [&arm, &forearm],
            [inner, elbow, wrist],
            &[
                (0.0, 0.05, 0.05),
                (0.05, 0.066, 0.062),
                (0.12, 0.066, 0.062),
                (0.3, 0.056, 0.055),
                (0.5, 0.048, 0.048),
                (0.56, 0.045, 0.045),
            ],
            axes,
        );
        model.limb(
            SKIN,
            &collar,
            [&arm, &forearm],
            [inner, elbow, wrist],
            &[
                (0.52, 0.038, 0.038),
                (0.58, 0.041, 0.041),
                (0.66, 0.044, 0.042),
                (0.8, 0.036, 0.034),
                (0.95, 0.026, 0.029),
                (1.0, 0.024, 0.03),
            ],
            axes,
        );
        let hand = model.bone(&hand);
        model.surfaces[SKIN].ball(
            add(wrist, [0.05 * sign, 0.0, 0.0]),
            [0.055, 0.016, 0.042],
            hand,
        );
        model.surfaces[SKIN].ball(
            add(wrist, [0.13 * sign, -0.002, 0.0]),
            [0.055, 0.011, 0.036],
            hand,
        );
        model.surfaces[SKIN].ball(
            add(wrist, [0.06 * sign, -0.005, 0.05]),
            [0.04, 0.012, 0.014],
            hand,
        );

        let (hip, knee, ankle) = (
            model.place(&name("UpperLeg")),
            model.place(&name("LowerLeg")),
            model.place(&name("Foot")),
        );
        let (thigh, shank) = (name("UpperLeg"), name("LowerLeg"));
        model.limb(
            TROUSERS,
            "hips",
            [&thigh, &shank],
            [hip, knee, ankle],
            &[
                (0.0, 0.07, 0.075),
                (0.03, 0.09, 0.095),
                (0.12, 0.092, 0.095),
                (0.3, 0.078, 0.08),
                (0.46, 0.062, 0.064),
                (0.52, 0.058, 0.06),
                (0.6, 0.057, 0.06),
                (0.72, 0.054, 0.056),
                (0.9, 0.046, 0.047),
                (0.97, 0.045, 0.046),
            ],
            ([-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]),
        );
        let (foot, toes) = (model.bone(&name("Foot")), model.bone(&name("Toes")));
        model.surfaces[SHOES].ball(add(ankle, [0.0, -0.03, -0.005]), [0.045, 0.052, 0.06], foot);
        model.surfaces[SHOES].ball([ankle[0], 0.042, 0.055], [0.046, 0.04, 0.10], foot);
        model.surfaces[SHOES].ball([ankle[0], 0.032, 0.145], [0.046, 0.032, 0.065], toes);
    }
    model.surfaces.iter_mut().for_each(Surface::smooth);
    model
}

/// Writes the model as binary glTF.
pub fn write(path: &Path) -> std::io::Result<()> {
    let model = build();
    let mut bin: Vec<u8> = Vec::new();
    let (mut views, mut accessors) = (Vec::new(), Vec::new());
    let mut store = |bytes: Vec<u8>,
                     count: usize,
                     component: u32,
                     kind: &str,
                     target: Option<u32>,
                     bounds: Option<[Vec3; 2]>| {
        let mut view = json!({"buffer": 0, "byteOffset": bin.len(), "byteLength": bytes.len()});
        if let Some(target) = target {
            view["target"] = target.into();
        }
        views.push(view);
        let mut accessor = json!({"bufferView": views.len() - 1, "componentType": component, "count": count, "type": kind});
        if let Some([low, high]) = bounds {
            (accessor["min"], accessor["max"]) = (json!(low), json!(high));
        }
        accessors.push(accessor);
        bin.extend(bytes);
        bin.resize(bin.len().next_multiple_of(4), 0);
        accessors.len() - 1
    };
    let floats = |values: &mut dyn Iterator<Item = f32>| {
        values.flat_map(f32::to_le_bytes).collect::<Vec<u8>>()
    };

    let mut primitives = Vec::new();
    for (material, surface) in model.surfaces.iter().enumerate() {
        let count = surface.positions.len();
        let extreme = |pick: fn(f32, f32) -> f32| {
            surface.positions.iter().fold(surface.positions[0], |a, b| {
                [pick(a[0], b[0]), pick(a[1], b[1]), pick(a[2], b[2])]
            })
        };
        let bounds = [extreme(f32::min), extreme(f32::max)];
        let position = store(
            floats(&mut surface.positions.iter().flatten().copied()),
            count,
            5126,
            "VEC3",
            Some(34962),
            Some(bounds),
        );
        let normal = store(
            floats(&mut surface.normals.iter().flatten().copied()),
            count,
            5126,
            "VEC3",
            Some(34962),
            None,
        );
        // A bone without weight must be bone 0 for the file to be valid.
        let joints = surface.weights.iter().flat_map(|w| {
            [
                if w[0].1 > 0.0 { w[0].0 } else { 0 },
                if w[1].1 > 0.0 { w[1].0 } else { 0 },
                0,
                0,
            ]
        });
        let joints = store(
            joints.map(|n| n as u8).collect(),
            count,
            5121,
            "VEC4",
            Some(34962),
            None,
        );
        let weights = surface
            .weights
            .iter()
            .flat_map(|w| [w[0].1, w[1].1, 0.0, 0.0]);
        let weights = store(
            floats(&mut weights.into_iter()),
            count,
            5126,
            "VEC4",
            Some(34962),
            None,
        );
        let indices = surface
            .triangles
            .iter()
            .flat_map(|&n| (n as u16).to_le_bytes())
            .collect();
        let indices = store(
            indices,
            surface.triangles.len(),
            5123,
            "SCALAR",
            Some(34963),
            None,
        );
        primitives.push(json!({"attributes": {"POSITION": position, "NORMAL": normal, "JOINTS_0": joints, "WEIGHTS_0": weights}, "indices": indices, "material": material}));
    }
    let inverse = model.bones.iter().flat_map(|(_, _, [x, y, z])| {
        [
            1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, -x, -y, -z, 1.0,
        ]
    });
    let inverse = store(
        floats(&mut inverse.into_iter()),
        model.bones.len(),
        5126,
        "MAT4",
        None,
        None,
    );

    let mut nodes: Vec<Value> = model
        .bones
        .iter()
        .map(|(name, parent, place)| {
            let from = parent.map_or([0.0; 3], |parent| model.bones[parent].2);
            json!({"name": name, "translation": subtract(*place, from)})
        })
        .collect();
    for (bone, node) in nodes.iter_mut().enumerate() {
        let children: Vec<usize> = (0..model.bones.len())
            .filter(|&child| model.bones[child].1 == Some(bone))
            .collect();
        if !children.is_empty() {
            node["children"] = json!(children);
        }
    }
    let body = nodes.len();
    nodes.push(json!({"name": "body", "mesh": 0, "skin": 0}));
    let materials: Vec<Value> = MATERIALS
        .iter()
        .map(|(name, [r, g, b], roughness)| {
            json!({"name": name, "pbrMetallicRoughness": {"baseColorFactor": [r, g, b, 1.0], "metallicFactor": 0.0, "roughnessFactor": roughness}})
        })
        .collect();
    let joints: Vec<usize> = (0..model.bones.len()).collect();
    let root = json!({
        "asset": {"version": "2.0", "generator": "cargo xtask mannequin", "copyright": "bevy_pose_capture, MIT OR Apache-2.0"},
        "scene": 0, "scenes": [{"name": "mannequin", "nodes": [0, body]}], "nodes": nodes, "materials": materials,
        "meshes": [{"name": "body", "primitives": primitives}],
        "skins": [{"joints": joints, "inverseBindMatrices": inverse, "skeleton": 0}],
        "accessors": accessors, "bufferViews": views, "buffers": [{"byteLength": bin.len()}],
    });
    let mut text = root.to_string().into_bytes();
    text.resize(text.len().next_multiple_of(4), b' ');
    let mut file = Vec::new();
    let total = 12 + 8 + text.len() + 8 + bin.len();
    for word in [0x46546C67, 2, total as u32, text.len() as u32, 0x4E4F534A] {
        file.extend(u32::to_le_bytes(word));
    }
    file.extend(text);
    file.extend((bin.len() as u32).to_le_bytes());
    file.extend(0x004E4942u32.to_le_bytes());
    file.extend(bin);
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, file)
}
