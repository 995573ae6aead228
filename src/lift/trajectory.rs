//! Where the hips are: the translation at which a body about its hips projects onto the joints that were seen.

use bevy::math::{Vec2, Vec3};
use nalgebra::{Matrix3, Vector3};

/// A joint seen along a ray (x/z, y/z in the camera frame), its place about the hips, and how much it counts.
#[derive(Clone, Copy, Debug)]
pub struct Sighting {
    /// Where it was seen.
    pub ray: Vec2,
    /// Its place about the hips, in metres, in camera axes.
    pub place: Vec3,
    /// Its weight.
    pub weight: f32,
}

/// The hips in the camera frame, in metres; `None` where the sightings do not say.
///
/// Every sighting gives two equations that are linear in the translation t: `(X + t)_x = u (X + t)_z`, likewise for y.
/// They are solved by least squares, three times, each time with less weight on what did not fit (Huber).
pub fn root(sightings: &[Sighting]) -> Option<Vec3> {
    let mut translation: Option<Vec3> = None;
    for _ in 0..3 {
        let mut normal = Matrix3::<f64>::zeros();
        let mut right = Vector3::<f64>::zeros();
        let errors: Vec<f32> = sightings
            .iter()
            .map(|s| translation.map_or(0.0, |t| off_by(s, t)))
            .collect();
        let mut sorted = errors.clone();
        sorted.sort_by(f32::total_cmp);
        let usual = sorted
            .get(sorted.len() / 2)
            .copied()
            .unwrap_or(0.0)
            .max(1e-4)
            * 1.5;
        for (sighting, error) in sightings.iter().zip(&errors) {
            let weight = f64::from(sighting.weight * (usual / error.max(usual)));
            for (axis, along) in [(0, sighting.ray.x), (1, sighting.ray.y)] {
                let mut row = Vector3::<f64>::zeros();
                row[axis] = 1.0;
                row[2] = -f64::from(along);
                let value = f64::from(along * sighting.place.z - sighting.place[axis]);
                normal += row * row.transpose() * weight;
                right += row * value * weight;
            }
        }
        let Some(factors) = normal.cholesky() else {
            return translation;
        };
        let solved = factors.solve(&right);
        let found = Vec3::new(solved.x as f32, solved.y as f32, solved.z as f32);
        if !found.is_finite() || found.z < 0.2 || found.z > 60.0 {
            return translation;
        }
        translation = Some(found);
    }
    translation
}

/// What a joint behind the camera is off by: more than any that is seen.
const BEHIND: f32 = 100.0;

/// Distance between where a joint was seen and where it would be.
fn off_by(sighting: &Sighting, translation: Vec3) -> f32 {
    let point = sighting.place + translation;
    if point.z < 0.05 {
        BEHIND
    } else {
        (point.truncate() / point.z).distance(sighting.ray)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seen(place: Vec3, truth: Vec3) -> Sighting {
        let point = place + truth;
        Sighting {
            ray: point.truncate() / point.z,
            place,
            weight: 0.8,
        }
    }

    const BODY: [Vec3; 6] = [
        Vec3::new(0.1, 0.0, 0.0),
        Vec3::new(-0.1, 0.0, 0.0),
        Vec3::new(0.2, -0.5, 0.1),
        Vec3::new(-0.2, -0.5, 0.05),
        Vec3::new(0.1, 0.9, -0.1),
        Vec3::new(-0.15, 0.85, 0.2),
    ];

    proptest! {
        #[test]
        fn the_hips_are_found_anywhere_in_the_room(x in -2f32..2.0, y in -1f32..1.0, z in 1.5f32..8.0) {
            let truth = Vec3::new(x, y, z);
            let found = root(&BODY.map(|place| seen(place, truth)));
            prop_assert!(found.is_some_and(|found| found.distance(truth) < 1e-3), "{found:?}");
        }
    }

    #[test]
    fn one_wrong_joint_does_little_harm() {
        let truth = Vec3::new(0.5, 0.1, 3.0);
        let mut sightings = BODY.map(|place| seen(place, truth));
        sightings[5].ray.x += 0.2;
        assert!(root(&sightings).is_some_and(|found| found.distance(truth) < 0.12));
    }

    #[test]
    fn nothing_seen_says_nothing() {
        assert_eq!(root(&[]), None);
    }
}
