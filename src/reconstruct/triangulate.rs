//! One joint from the rays along which several cameras see it: consensus over pairs of views, then robust refinement.
//!
//! Errors are told in metres at the joint, not in pixels: a network that looks at a person's crop is wrong by a part of the
//! person's size, however far away the person is. So near and far cameras, and sharp and coarse ones, count alike, and one
//! threshold serves every room. Only what a pixel is worth at that distance is added ([`Noise::pixels`]).

use bevy::math::{DMat3, DVec3};

use crate::camera::Ray;

/// A joint as one camera sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sight {
    /// The half line on which it lies.
    pub ray: Ray,
    /// How much it counts, 0–1: the keypoint's confidence.
    pub weight: f64,
    /// Radians that a pixel spans in that camera.
    pub pixel: f64,
}

/// How far off sightings usually are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Noise {
    /// Standard deviation at the joint, in metres.
    pub metres: f64,
    /// Standard deviation of the picture itself, in pixels.
    pub pixels: f64,
    /// Sightings off by more standard deviations than this have hardly any say.
    pub outlier: f64,
}

impl Default for Noise {
    fn default() -> Self {
        Noise {
            metres: 0.025,
            pixels: 1.0,
            outlier: 3.0,
        }
    }
}

impl Noise {
    /// The variance of a sighting across its ray, at a point, in square metres.
    pub fn variance(&self, sight: &Sight, point: DVec3) -> f64 {
        let shaking = self.pixels * sight.pixel * sight.ray.depth(point).max(0.0);
        self.metres * self.metres + shaking * shaking
    }

    /// Squared distance of a point from a ray, in standard deviations.
    pub fn error_squared(&self, sight: &Sight, point: DVec3) -> f64 {
        sight.ray.offset(point).length_squared() / self.variance(sight, point)
    }

    /// What is left of a sighting's say when it is off by that many standard deviations, squared (Geman and McClure).
    pub fn trust(&self, error_squared: f64) -> f64 {
        let scale = self.outlier * self.outlier;
        let ratio = scale / (scale + error_squared);
        ratio * ratio
    }
}

/// A joint in space.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Where it is, in metres of the world.
    pub position: DVec3,
    /// How sure that is: the covariance of the position, in square metres.
    pub covariance: DMat3,
    /// Which sightings agree, as bits in their order; of the first 32.
    pub agreeing: u32,
}

/// The information that a sighting gives about a point, as the matrix `w (I − d dᵀ)`.
pub fn information(ray: &Ray, weight: f64) -> DMat3 {
    let d = ray.direction;
    let along = DMat3::from_cols(d * d.x, d * d.y, d * d.z);
    (DMat3::IDENTITY - along) * weight
}

/// Finds a joint from two or more sightings; `None` where fewer than two agree.
///
/// Every pair of rays proposes a point, the one on which most of the weight agrees is refined by Gauss–Newton with weights
/// that fade with the error (which is exact here: the offset from a ray is linear in the point).
pub fn triangulate(sights: &[Sight], noise: &Noise) -> Option<Point> {
    let start = consensus(sights, noise)?;
    refine(sights, noise, start)
}

/// The midpoint between two rays on which most sightings agree (a truncated sum of squares, as in MSAC; Torr and Zisserman 2000).
fn consensus(sights: &[Sight], noise: &Noise) -> Option<DVec3> {
    let limit = noise.outlier * noise.outlier;
    let mut best: Option<(f64, DVec3)> = None;
    for (n, one) in sights.iter().enumerate() {
        for two in &sights[n + 1..] {
            let Some((p, q)) = one.ray.nearest_points(&two.ray) else {
                continue;
            };
            let middle = (p + q) * 0.5;
            let apart = noise
                .error_squared(one, middle)
                .max(noise.error_squared(two, middle));
            if apart > limit {
                continue;
            }
            let gain: f64 = sights
                .iter()
                .map(|sight| {
                    sight.weight * (1.0 - noise.error_squared(sight, middle) / limit).max(0.0)
                })
                .sum();
            if best.is_none_or(|(most, _)| gain > most) {
                best = Some((gain, middle));
            }
        }
    }
    best.map(|(_, middle)| middle)
}

/// Robust least squares from a first guess.
fn refine(sights: &[Sight], noise: &Noise, start: DVec3) -> Option<Point> {
    let mut position = start;
    let mut normal = DMat3::ZERO;
    for _ in 0..5 {
        normal = DMat3::ZERO;
        let mut right = DVec3::ZERO;
        for sight in sights {
            let variance = noise.variance(sight, position);
            let error = sight.ray.offset(position).length_squared() / variance;
            let weight = sight.weight * noise.trust(error) / variance;
            let known = information(&sight.ray, weight);
            normal += known;
            right += known * sight.ray.origin;
        }
        let step = normal.inverse() * right - position;
        if !step.is_finite() {
            return None;
        }
        position += step;
        if step.length_squared() < 1e-10 {
            break;
        }
    }
    let limit = noise.outlier * noise.outlier;
    let agreeing = sights.iter().enumerate().fold(0, |bits, (n, sight)| {
        let agrees =
            sight.ray.depth(position) > 0.0 && noise.error_squared(sight, position) < limit;
        bits | (u32::from(agrees).checked_shl(n as u32).unwrap_or(0))
    });
    (agreeing.count_ones() >= 2).then(|| Point {
        position,
        covariance: normal.inverse(),
        agreeing,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const EYES: [DVec3; 5] = [
        DVec3::new(3.0, 1.5, 3.0),
        DVec3::new(-3.0, 1.5, 3.0),
        DVec3::new(3.0, 2.0, -3.0),
        DVec3::new(-3.0, 2.5, -3.0),
        DVec3::new(0.0, 2.5, 4.0),
    ];

    fn seen(origin: DVec3, point: DVec3) -> Sight {
        Sight {
            ray: Ray {
                origin,
                direction: (point - origin).normalize(),
            },
            weight: 0.8,
            pixel: 0.001,
        }
    }

    proptest! {
        #[test]
        fn a_point_is_found_though_one_view_of_five_sees_something_else(
            x in -1f64..1.0, y in 0f64..2.0, z in -1f64..1.0, wrong in 0usize..5, off in 0.2f64..1.5
        ) {
            let point = DVec3::new(x, y, z);
            let mut sights = EYES.map(|eye| seen(eye, point));
            sights[wrong] = seen(EYES[wrong], point + DVec3::new(0.0, off, 0.0));
            let found = triangulate(&sights, &Noise::default());
            prop_assert!(found.is_some_and(|p| p.position.distance(point) < 0.03), "{found:?}");
            prop_assert!(found.is_some_and(|p| p.agreeing == 0b11111 & !(1 << wrong)));
        }
    }

    #[test]
    fn one_view_or_two_that_disagree_say_nothing() {
        let one = seen(EYES[0], DVec3::Y);
        assert_eq!(triangulate(&[one], &Noise::default()), None);
        let other = seen(EYES[1], DVec3::Y * 2.0);
        assert_eq!(triangulate(&[one, other], &Noise::default()), None);
        assert_eq!(triangulate(&[], &Noise::default()), None);
    }

    #[test]
    fn the_covariance_is_that_of_repeated_noisy_sightings() {
        // Two cameras side by side: depth (z) is less sure than what lies across.
        let eyes = [DVec3::new(0.4, 1.0, 4.0), DVec3::new(-0.4, 1.0, 4.0)];
        let point = DVec3::new(0.0, 1.0, 0.0);
        let noise = Noise {
            metres: 0.01,
            pixels: 0.0,
            outlier: 10.0,
        };
        let mut seed = 7_u32;
        let mut gaussian = || {
            // Sum of twelve uniform numbers (Irwin and Hall), good enough to two digits.
            (0..12).fold(-6.0, |sum, _| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                sum + f64::from(seed >> 8) / f64::from(1_u32 << 24)
            })
        };
        let (mut squares, mut told, runs) = (DVec3::ZERO, DVec3::ZERO, 2000);
        for _ in 0..runs {
            let sights = eyes.map(|eye| {
                let shake = DVec3::new(gaussian(), gaussian(), 0.0) * 0.01;
                Sight {
                    weight: 1.0,
                    ..seen(eye, point + shake)
                }
            });
            if let Some(found) = triangulate(&sights, &noise) {
                let error = found.position - point;
                squares += error * error;
                let c = found.covariance;
                told += DVec3::new(c.x_axis.x, c.y_axis.y, c.z_axis.z);
            }
        }
        let ratio = squares / told;
        assert!(told.z > 20.0 * told.x, "{told}");
        assert!(
            (ratio - DVec3::ONE).abs().max_element() < 0.2,
            "measured {squares} against told {told}"
        );
    }
}
