//! Surfaces through rings.

use std::f32::consts::{PI, TAU};

use bevy::asset::RenderAssetUsages;
use bevy::mesh::{Indices, Mesh, PrimitiveTopology};
use bevy::prelude::*;

/// Vertices around the rings of what is nowhere wider than so many metres on each side: fingers need fewer than trunks.
const AROUND: [(f32, u32); 2] = [(0.016, 8), (0.045, 12)];
/// Vertices around those of all others.
const MOST_AROUND: u32 = 18;
/// Metres of cloth that a texture covers.
const CLOTH: f32 = 0.45;

/// An ellipse across a limb.
#[derive(Clone, Copy)]
pub struct Ring {
    pub middle: Vec3,
    pub across: Vec3,
    pub ahead: Vec3,
}

/// The part of a profile up to `end`, which becomes its 1.
pub fn cut(profile: &[(f32, f32)], end: f32) -> Vec<(f32, f32)> {
    let end = end.clamp(0.01, 1.0);
    (0..=4)
        .map(|n| n as f32 / 4.0)
        .map(|t| (t, interpolate(profile, t * end)))
        .collect()
}

pub fn interpolate(profile: &[(f32, f32)], t: f32) -> f32 {
    let after = profile
        .iter()
        .position(|(at, _)| *at >= t)
        .unwrap_or(profile.len() - 1)
        .max(1);
    let ((t0, r0), (t1, r1)) = (profile[after - 1], profile[after]);
    r0 + (r1 - r0) * ((t - t0) / (t1 - t0).max(1e-6)).clamp(0.0, 1.0)
}

pub fn key_at(keys: &[(f32, f32, f32, f32)], t: f32) -> (f32, f32, f32, f32) {
    let of = |pick: fn(&(f32, f32, f32, f32)) -> f32| {
        let profile: Vec<(f32, f32)> = keys.iter().map(|key| (key.0, pick(key))).collect();
        interpolate(&profile, t)
    };
    (t, of(|key| key.1), of(|key| key.2), of(|key| key.3))
}

pub fn ellipsoid(middle: Vec3, across: Vec3, up: Vec3, ahead: Vec3) -> Vec<Ring> {
    (0..=10)
        .map(|n| {
            let angle = PI * n as f32 / 10.0;
            let radius = angle.sin().max(0.02);
            Ring {
                middle: middle - up * angle.cos(),
                across: across * radius,
                ahead: ahead * radius,
            }
        })
        .collect()
}

/// A surface through rings.
pub fn loft(rings: &[Ring]) -> Mesh {
    let (mut places, mut textured, mut triangles) = (Vec::new(), Vec::new(), Vec::new());
    let wide = rings.iter().map(|ring| ring.across.length());
    let wide = wide.fold(0.0, f32::max);
    let around = AROUND.iter().find(|(most, _)| wide < *most);
    let around = around.map_or(MOST_AROUND, |&(_, around)| around);
    let mut along = 0.0;
    for (row, ring) in rings.iter().enumerate() {
        if row > 0 {
            along += ring.middle.distance(rings[row - 1].middle);
        }
        let girth = TAU * ring.across.length().max(0.03);
        for n in 0..=around {
            let share = n as f32 / around as f32;
            let (sin, cos) = (TAU * share).sin_cos();
            places.push((ring.middle + ring.across * cos + ring.ahead * sin).to_array());
            textured.push([share * girth / CLOTH, along / CLOTH]);
        }
    }
    let row = around + 1;
    // Rings go up where ahead is across x up, down elsewhere: triangles face outward either way.
    let (first, last) = (rings[0], rings[rings.len() - 1]);
    let middle = rings[rings.len() / 2];
    let outward = middle
        .across
        .cross(middle.ahead)
        .dot(last.middle - first.middle)
        > 0.0;
    for a in 0..rings.len() as u32 - 1 {
        for n in 0..around {
            let (p, q) = (a * row + n, (a + 1) * row + n);
            let quad = [p, p + 1, q, p + 1, q + 1, q];
            if outward {
                triangles.extend(quad);
            } else {
                triangles.extend([quad[0], quad[2], quad[1], quad[3], quad[5], quad[4]]);
            }
        }
    }
    Mesh::new(
        PrimitiveTopology::TriangleList,
        RenderAssetUsages::default(),
    )
    .with_inserted_attribute(Mesh::ATTRIBUTE_POSITION, places)
    .with_inserted_attribute(Mesh::ATTRIBUTE_UV_0, textured)
    .with_inserted_indices(Indices::U32(triangles))
    .with_computed_smooth_normals()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bevy::mesh::VertexAttributeValues;

    #[test]
    fn surfaces_face_outward_whichever_way_their_rings_run() {
        let ball = |size: f32, up: Vec3| {
            loft(&ellipsoid(
                Vec3::ZERO,
                Vec3::X * size,
                up * size,
                Vec3::Z * size,
            ))
        };
        let sizes = [0.01, 0.03, 1.0];
        let both = sizes.map(|size| [ball(size, Vec3::Y), ball(size, Vec3::NEG_Y)]);
        for mesh in both.into_iter().flatten() {
            let places = mesh.attribute(Mesh::ATTRIBUTE_POSITION);
            let Some(VertexAttributeValues::Float32x3(places)) = places else {
                panic!("no places");
            };
            let corners: Vec<usize> = mesh.indices().into_iter().flat_map(Indices::iter).collect();
            for &[a, b, c] in corners.as_chunks::<3>().0 {
                let [a, b, c] = [a, b, c].map(|corner| Vec3::from(places[corner]));
                let normal = (b - a).cross(c - a);
                assert!(normal.dot(a + b + c) > -1e-6, "{a} {b} {c}");
            }
        }
    }
}
