//! A model's skeleton as it stands before anybody moves it, in the model's own space.

use bevy::math::{Affine3A, Mat4, Quat, Vec3};
use bevy::transform::components::Transform;
use serde_json::Value;

/// One node of a model.
#[derive(Clone, Debug)]
pub struct RestNode {
    /// Its name.
    pub name: String,
    /// Index of its parent; parents come before their children.
    pub parent: Option<usize>,
    /// Those whose parent it is.
    pub children: Vec<usize>,
    /// Its transform to its parent, as the file has it.
    pub local: Transform,
    /// Rotation and place in model space, in the rest pose.
    pub rest: Transform,
    /// Its index in the glTF file, where known.
    pub gltf_node: Option<usize>,
    /// Whether a skin moves with it.
    pub moves_skin: bool,
}

/// All nodes of a model, parents first.
#[derive(Clone, Debug, Default)]
pub struct RestSkeleton {
    /// The nodes.
    pub nodes: Vec<RestNode>,
}

impl RestSkeleton {
    /// Adds a node below `parent`, which is already there; returns its index.
    pub fn push(
        &mut self,
        name: &str,
        parent: Option<usize>,
        local: Transform,
        gltf_node: Option<usize>,
    ) -> usize {
        let rest = parent.map_or(local, |parent| self.nodes[parent].rest * local);
        let index = self.nodes.len();
        if let Some(parent) = parent {
            self.nodes[parent].children.push(index);
        }
        self.nodes.push(RestNode {
            name: name.into(),
            parent,
            children: Vec::new(),
            local,
            rest,
            gltf_node,
            moves_skin: false,
        });
        index
    }

    /// A node and all below it.
    pub fn subtree(&self, node: usize) -> Vec<usize> {
        let mut found = vec![node];
        let mut next = 0;
        while next < found.len() {
            found.extend(&self.nodes[found[next]].children);
            next += 1;
        }
        found
    }

    /// Takes the rest pose from a skin's inverse bind matrices, given as (node, matrix): the pose in which the model was
    /// modelled, whatever pose it was saved in. Bind matrices are known up to a common factor; the first joint sets it.
    pub fn bind(&mut self, skin: &[(usize, Mat4)]) {
        let Some(&(first, first_inverse)) = skin.first() else {
            return;
        };
        let common = Affine3A::from_mat4(self.nodes[first].rest.to_matrix() * first_inverse);
        for &(node, inverse) in skin {
            self.nodes[node].moves_skin = true;
            if inverse.determinant().abs() < 1e-12 {
                continue;
            }
            let (scale, rotation, translation) =
                Mat4::from(common * Affine3A::from_mat4(inverse.inverse()))
                    .to_scale_rotation_translation();
            if rotation.is_finite() && translation.is_finite() {
                self.nodes[node].rest = Transform {
                    translation,
                    rotation: rotation.normalize(),
                    scale,
                };
            }
        }
    }

    /// Reads the nodes of a glTF file's JSON.
    pub fn from_gltf(json: &Value) -> RestSkeleton {
        let empty = Vec::new();
        let nodes = json["nodes"].as_array().unwrap_or(&empty);
        let mut parents = vec![None; nodes.len()];
        for (parent, node) in nodes.iter().enumerate() {
            for child in children_of(node) {
                if let Some(slot) = parents.get_mut(child) {
                    *slot = Some(parent);
                }
            }
        }
        let mut skeleton = RestSkeleton::default();
        let mut index_of = vec![None; nodes.len()];
        let mut waiting: Vec<usize> = (0..nodes.len())
            .filter(|&node| parents[node].is_none())
            .rev()
            .collect();
        while let Some(node) = waiting.pop() {
            if index_of[node].is_some() {
                continue;
            }
            let parent = parents[node].and_then(|parent: usize| index_of[parent]);
            let name = nodes[node]["name"].as_str().unwrap_or_default();
            index_of[node] = Some(skeleton.push(name, parent, local_of(&nodes[node]), Some(node)));
            waiting.extend(children_of(&nodes[node]).filter(|child| *child < nodes.len()));
        }
        skeleton
    }

    /// The index of a node of the glTF file.
    pub fn of_gltf_node(&self, node: usize) -> Option<usize> {
        self.nodes
            .iter()
            .position(|candidate| candidate.gltf_node == Some(node))
    }
}

fn children_of(node: &Value) -> impl Iterator<Item = usize> {
    let children = node["children"].as_array().into_iter().flatten();
    children
        .filter_map(Value::as_u64)
        .map(|child| child as usize)
}

fn local_of(node: &Value) -> Transform {
    let numbers = |key: &str| -> Option<Vec<f32>> {
        node[key].as_array().map(|list| {
            list.iter()
                .filter_map(Value::as_f64)
                .map(|v| v as f32)
                .collect()
        })
    };
    if let Some(matrix) = numbers("matrix").filter(|m| m.len() == 16) {
        let mut columns = [0.0; 16];
        columns.copy_from_slice(&matrix);
        return Transform::from_matrix(Mat4::from_cols_array(&columns));
    }
    let vector = |key: &str| {
        numbers(key)
            .filter(|v| v.len() == 3)
            .map(|v| Vec3::new(v[0], v[1], v[2]))
    };
    let rotation = numbers("rotation")
        .filter(|q| q.len() == 4)
        .map(|q| Quat::from_xyzw(q[0], q[1], q[2], q[3]));
    Transform {
        translation: vector("translation").unwrap_or(Vec3::ZERO),
        rotation: rotation.unwrap_or(Quat::IDENTITY),
        scale: vector("scale").unwrap_or(Vec3::ONE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_come_parents_first_whatever_the_order_in_the_file() {
        let json = serde_json::json!({"nodes": [
            {"name": "hand", "translation": [1.0, 0.0, 0.0]},
            {"name": "root", "children": [2], "rotation": [0.0, 0.0, 0.70710677, 0.70710677]},
            {"name": "arm", "children": [0], "translation": [1.0, 0.0, 0.0]},
        ]});
        let skeleton = RestSkeleton::from_gltf(&json);
        let names: Vec<_> = skeleton
            .nodes
            .iter()
            .map(|node| node.name.as_str())
            .collect();
        assert_eq!(names, ["root", "arm", "hand"]);
        let hand = skeleton.nodes[2].rest.translation;
        assert!(
            hand.distance(Vec3::new(0.0, 2.0, 0.0)) < 1e-5,
            "the root's quarter turn lifts the arm: {hand}"
        );
    }

    #[test]
    fn the_rest_pose_is_the_skins_and_not_the_one_saved() {
        let mut skeleton = RestSkeleton::default();
        let root = skeleton.push("root", None, Transform::from_xyz(0.0, 1.0, 0.0), None);
        let bent = Transform::from_xyz(0.0, 1.0, 0.0).with_rotation(Quat::from_rotation_z(1.0));
        let arm = skeleton.push("arm", Some(root), bent, None);
        let inverse = |y: f32| Mat4::from_translation(Vec3::new(0.0, -y, 0.0));
        skeleton.bind(&[(root, inverse(1.0)), (arm, inverse(2.0))]);
        assert!(
            skeleton.nodes[arm]
                .rest
                .rotation
                .angle_between(Quat::IDENTITY)
                < 1e-5
        );
        assert!(
            skeleton.nodes[arm]
                .rest
                .translation
                .distance(Vec3::new(0.0, 2.0, 0.0))
                < 1e-5
        );
    }
}
