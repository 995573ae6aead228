//! What the cameras see of a person: each joint, by those that see it, and how far they are from one another.

use bevy::math::{DVec2, DVec3};

use crate::calibrate::people::Moment;
use crate::calibrate::projection::median;
use crate::camera::View;
use crate::reconstruct::triangulate::{Noise, Sight, triangulate};
use crate::skeleton::{Joint, JointMap, Pose2d};

/// Keypoints less sure than this judge nothing.
const LEAST_CONFIDENCE: f32 = 0.3;

/// A joint as one view sees it: which view, on which ray, in which pixel.
type Look = (usize, Sight, DVec2);

/// A joint and the views that see it.
type Looks = (Joint, Vec<Look>);

/// Everything that is seen.
pub(super) struct Seen {
    /// By moment: joints that two views or more see.
    points: Vec<Vec<Looks>>,
    /// Height of the person in each view, in pixels.
    sizes: Vec<f64>,
}

impl Seen {
    pub fn collect(views: &[View], moments: &[Moment]) -> Seen {
        let mut sizes: Vec<Vec<f64>> = vec![Vec::new(); views.len()];
        let mut points = Vec::with_capacity(moments.len());
        for moment in moments {
            let poses: Vec<_> = moment.iter().take(views.len()).collect();
            for (view, pose) in poses.iter().enumerate() {
                let heights = pose.iter().flat_map(|pose| pose.present());
                let sure = heights
                    .filter(|(_, p)| p.confidence.get() >= LEAST_CONFIDENCE)
                    .map(|(_, p)| f64::from(p.position.y));
                let (low, high) = sure.fold((f64::MAX, f64::MIN), |(low, high), y| {
                    (low.min(y), high.max(y))
                });
                if high > low {
                    sizes[view].push(high - low);
                }
            }
            let of_joint = |&joint: &Joint| {
                let look = |(view, pose): (usize, &&Option<Pose2d>)| {
                    let point = pose.as_ref()?[joint]?;
                    (point.confidence.get() >= LEAST_CONFIDENCE).then(|| {
                        let sight = Sight {
                            ray: views[view].ray(point.position),
                            weight: f64::from(point.confidence.get()),
                            pixel: 1.0 / views[view].focal(),
                        };
                        (view, sight, point.position.as_dvec2())
                    })
                };
                (
                    joint,
                    poses
                        .iter()
                        .enumerate()
                        .filter_map(look)
                        .collect::<Vec<_>>(),
                )
            };
            points.push(
                Joint::ALL
                    .iter()
                    .map(of_joint)
                    .filter(|(_, sights)| sights.len() >= 2)
                    .collect(),
            );
        }
        Seen {
            points,
            sizes: sizes.iter_mut().map(|sizes| median(sizes)).collect(),
        }
    }

    fn all(&self) -> impl Iterator<Item = &Vec<Look>> {
        self.points.iter().flatten().map(|(_, sights)| sights)
    }

    /// For each view, the median distance between where it sees joints and where the other views say they are, as a part of the
    /// person's size in its picture; where only one other sees them, how far apart their rays pass. Not a number where none
    /// does.
    pub fn held_out(&self, views: &[View]) -> Vec<f64> {
        let noise = Noise {
            metres: 0.05,
            ..Noise::default()
        };
        let mut errors: Vec<Vec<f64>> = vec![Vec::new(); views.len()];
        for sights in self.all() {
            for (view, sight, pixel) in sights {
                let others: Vec<Sight> = sights
                    .iter()
                    .filter(|other| other.0 != *view)
                    .map(|other| other.1)
                    .collect();
                let error = if others.len() > 1 {
                    triangulate(&others, &noise).and_then(|point| {
                        Some(views[*view].project(point.position)?.distance(*pixel))
                    })
                } else {
                    // Two views have nothing to hold out: what is left is how far apart their rays pass.
                    others.first().and_then(|other| {
                        let (p, q) = sight.ray.nearest_points(&other.ray)?;
                        Some(p.distance(q) / sight.ray.depth(p).max(0.1) * views[*view].focal())
                    })
                };
                if let Some(error) = error {
                    errors[*view].push(error / self.sizes[*view].max(1.0));
                }
            }
        }
        let of = |errors: &mut Vec<f64>| {
            if errors.is_empty() {
                f64::NAN
            } else {
                median(errors)
            }
        };
        errors.iter_mut().map(of).collect()
    }

    /// The person in space, at each moment.
    pub fn people(&self) -> Vec<JointMap<Option<DVec3>>> {
        let noise = Noise {
            metres: 0.05,
            ..Noise::default()
        };
        let person = |joints: &Vec<Looks>| {
            let mut person: JointMap<Option<DVec3>> = JointMap::default();
            for (joint, sights) in joints {
                let sights: Vec<Sight> = sights.iter().map(|sight| sight.1).collect();
                person[*joint] = triangulate(&sights, &noise).map(|point| point.position);
            }
            person
        };
        self.points.iter().map(person).collect()
    }

    /// The same pixels, as rays of other cameras.
    pub fn again(&self, views: &[View]) -> Seen {
        let points = self.points.iter().map(|joints| {
            let joint = |(joint, sights): &Looks| {
                let sight = |&(view, sight, pixel): &Look| {
                    let ray = views[view].ray(pixel.as_vec2());
                    (view, Sight { ray, ..sight }, pixel)
                };
                (*joint, sights.iter().map(sight).collect())
            };
            joints.iter().map(joint).collect()
        });
        Seen {
            points: points.collect(),
            sizes: self.sizes.clone(),
        }
    }
}

/// Of those views of which it is known.
pub(super) fn mean_error(errors: &[f64]) -> Option<f64> {
    let told: Vec<f64> = errors
        .iter()
        .copied()
        .filter(|error| !error.is_nan())
        .collect();
    (!told.is_empty()).then(|| told.iter().sum::<f64>() / told.len() as f64)
}
