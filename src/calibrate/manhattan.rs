//! How one camera is held, and how wide it sees, read off the straight edges of the room in its picture.
//!
//! Rooms are made of verticals, and of horizontals in two directions at right angles (a *Manhattan world*: Coughlan and
//! Yuille, "Manhattan World: Compass Direction from a Single Image by Bayesian Inference", ICCV 1999). In the picture each of the
//! three directions has a vanishing point. Edges vote for where that of the verticals is; the horizontals say which of the best
//! candidates is right, and adjust it. The three are at right angles for one field of view only (Caprile and Torre, "Using
//! vanishing points for camera calibration", IJCV 1990): where none of them is too far away, that is told, too. Edges are line
//! segments (Grompone von Gioi et al., "LSD: a Line Segment Detector", IPOL 2012).
//!
//! People do not tell this: somebody who leans before a level camera looks like somebody upright before a tilted one.

use std::f32::consts::FRAC_PI_2;

use bevy::math::{DMat3, DVec2, DVec3, Vec2, Vec3};
use image::RgbImage;
use image::imageops::{grayscale, thumbnail};
use nalgebra::{Matrix3, SymmetricEigen};

use crate::camera::{ASSUMED_FIELD_OF_VIEW_DEGREES, Intrinsics};

/// Pixels of the longer side of the picture in which edges are sought; lengths of edges are counted in these.
const SIDE: u32 = 640;
/// Shorter edges have no direction to speak of.
const SHORTEST: f32 = 19.0;
/// Longer ones count as these: one window frame is not a whole room.
const LONGEST: f32 = 200.0;
/// An edge counts for a direction if it points past its vanishing point by less than this many degrees.
const OFF: f32 = 2.0;
/// How far a camera looks up or down and is rolled, at most, in degrees,
const PITCH: i32 = 60;
const ROLL: i32 = 50;
/// and usually (standard deviations). Few look up: what seems to be the walls before one that does are the boards of a floor.
const USUALLY_DOWN: f32 = 35.0;
const USUALLY_UP: f32 = 15.0;
const USUALLY_ROLLED: f32 = 25.0;
/// Degrees between directions that are tried at first.
const STEP: i32 = 2;
/// So many of these are looked at closely, so many degrees apart.
const CANDIDATES: usize = 12;
const APART: f32 = 8.0;
/// and turned by no more than so many at a time.
const TURN: f32 = 5.0;
/// Pairs of horizontals that are tried with each.
const YAWS: usize = 45;
/// A direction needs verticals of that length, and so many of them.
const LEAST_LENGTH: f32 = 400.0;
const LEAST_EDGES: usize = 6;
/// Whatever is this many degrees off must have fewer votes by this factor.
const RIVAL: (f32, f32) = (8.0, 0.95);
/// Fields of view of which candidates for up are sought, in degrees along the longer side, and how far they usually are from the assumed
/// one (a standard deviation);
const STARTS: [f64; 4] = [54.0, 62.0, 70.0, 80.0];
const USUAL_VIEW: f64 = 25.0;
/// those that are tried with the best,
const VIEWS: (i32, i32) = (40, 100);
/// and by what factor the best must have more votes than all that are so many degrees off: rooms that are seen face to face look
/// the same to all of them.
const CLEAR: (f64, f32) = (8.0, 1.1);

/// A straight edge in the plane z = 1 of the camera frame.
#[derive(Clone, Copy, Debug)]
pub struct Edge {
    ends: [DVec2; 2],
    middle: Vec2,
    /// Of length 1.
    along: Vec2,
    /// Of the plane through the eye and the edge; of length 1.
    normal: DVec3,
    /// In pixels of a picture of [`SIDE`].
    length: f32,
}

impl Edge {
    /// Between two points of the plane z = 1, `length` pixels long.
    fn between(one: DVec2, other: DVec2, length: f32) -> Option<Edge> {
        let along = (other - one).try_normalize()?;
        Some(Edge {
            ends: [one, other],
            middle: (0.5 * (one + other)).as_vec2(),
            along: along.as_vec2(),
            normal: one.extend(1.0).cross(other.extend(1.0)).try_normalize()?,
            length: length.min(LONGEST),
        })
    }

    /// The same in a picture that is so many times as wide, if it is to have been taken from the same place.
    fn widened(&self, times: f64) -> Option<Edge> {
        let [one, other] = self.ends;
        Edge::between(one * times, other * times, self.length)
    }

    /// How well it points at the vanishing point of a direction: 1 exactly, 0 if it is off by [`OFF`] degrees or more.
    fn points_along(&self, direction: Vec3) -> f32 {
        let towards = direction.truncate() - direction.z * self.middle;
        let across = towards.perp_dot(self.along);
        let most = towards.length_squared() * OFF.to_radians().sin().powi(2);
        (1.0 - across * across / most.max(1e-12)).max(0.0)
    }
}

/// The straight edges of a picture.
pub fn edges(picture: &RgbImage, camera: &Intrinsics) -> Vec<Edge> {
    let (width, height) = picture.dimensions();
    let longer = width.max(height);
    if longer < 2 {
        return Vec::new();
    }
    let scale = f64::from(SIDE.min(longer)) / f64::from(longer);
    let small = |side: u32| ((f64::from(side) * scale).round() as u32).max(1);
    let grey = grayscale(&thumbnail(picture, small(width), small(height)));
    let (columns, rows) = (grey.width() as usize, grey.height() as usize);
    // The picture has its own size: nothing can go wrong.
    let segments = lsdetect::detect(grey.as_raw(), columns, rows, 1.0).unwrap_or_default();
    let enlarged = SIDE as f32 / columns.max(rows) as f32;
    let scale = DVec2::new(columns as f64, rows as f64) / DVec2::new(width.into(), height.into());
    let ray = |x: f64, y: f64| camera.unproject((DVec2::new(x, y) + 0.5) / scale - 0.5);
    let edges = segments.iter().filter_map(|segment| {
        let length = (segment.x2 - segment.x1).hypot(segment.y2 - segment.y1) as f32 * enlarged;
        let (one, other) = (ray(segment.x1, segment.y1), ray(segment.x2, segment.y2));
        (length > SHORTEST).then(|| Edge::between(one, other, length))?
    });
    edges.collect()
}

/// What up may be, and how much speaks for it.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    up: Vec3,
    votes: f32,
}

/// The candidates for up, each turned until it fits.
fn candidates(edges: &[Edge]) -> Vec<Candidate> {
    let mut tried: Vec<(Vec3, f32)> = directions()
        .map(|up| (up, usual(up) * votes(edges, up)))
        .collect();
    let mut candidates = Vec::with_capacity(CANDIDATES);
    while candidates.len() < CANDIDATES {
        let best = tried.iter().max_by(|a, b| a.1.total_cmp(&b.1));
        let Some(&(up, _)) = best.filter(|best| best.1 > 0.0) else {
            break;
        };
        candidates.push(settle(edges, up));
        tried.retain(|(other, _)| other.dot(up) < APART.to_radians().cos());
    }
    candidates
}

fn best(candidates: &[Candidate]) -> Option<Candidate> {
    let best = candidates.iter().max_by(|a, b| a.votes.total_cmp(&b.votes));
    best.copied()
}

/// Up in the camera frame, of length 1, as edges tell; `None` where they are too few or tell several things.
///
/// Directions up to 60° of pitch and 50° of roll are tried. With half a room in view it is less than a degree off if the lens is
/// right; a focal length that is a tenth off puts up 2° off before a camera that looks down by 25°. The boards of a floor, where
/// hardly anything else is seen, may be taken for the verticals of a wall.
pub fn up_from(edges: &[Edge]) -> Option<Vec3> {
    let candidates = candidates(edges);
    let best = best(&candidates)?;
    let is_rival = |other: &Candidate| {
        other.up.dot(best.up) < RIVAL.0.to_radians().cos() && other.votes > RIVAL.1 * best.votes
    };
    let verticals = edges
        .iter()
        .filter(|edge| edge.points_along(best.up) > 0.0)
        .count();
    let enough = verticals >= LEAST_EDGES && votes(edges, best.up) >= LEAST_LENGTH;
    (enough && !candidates.iter().any(is_rival)).then_some(best.up)
}

/// The field of view along the longer side, in radians, and up in the frame of a camera that has it, as edges tell that were found
/// with the [assumed](Intrinsics::assumed) one; `None` where they would go with other lenses as well.
///
/// It takes a view of the room across its corners, from a camera that is not level: then it is a degree or two off.
pub fn lens_from(edges: &[Edge]) -> Option<(f64, Vec3)> {
    let half = |degrees: f64| (0.5 * degrees).to_radians().tan();
    let through = |degrees: f64| -> Vec<Edge> {
        let times = half(degrees) / half(ASSUMED_FIELD_OF_VIEW_DEGREES);
        edges
            .iter()
            .filter_map(|edge| edge.widened(times))
            .collect()
    };
    let views: Vec<(f64, Vec<Edge>)> = (VIEWS.0..=VIEWS.1)
        .step_by(STEP as usize)
        .map(|degrees| (degrees.into(), through(degrees.into())))
        .collect();
    // Fields of view, and the votes for the best that is found with each from one start.
    let scan = |start: f64| -> Option<Vec<(f64, f32)>> {
        let up = best(&candidates(&through(start)))?.up;
        let tried = views.iter().map(|(degrees, edges)| {
            // Towards the same vanishing point.
            let times = (half(*degrees) / half(start)) as f32;
            let towards = (up.truncate() * times).extend(up.z).normalize_or(up);
            (*degrees, settle(edges, towards).votes)
        });
        Some(tried.collect())
    };
    let likely = |&(degrees, votes): &(f64, f32)| {
        let off = (degrees - ASSUMED_FIELD_OF_VIEW_DEGREES) / USUAL_VIEW;
        (-0.5 * off * off).exp() as f32 * votes
    };
    let likelier = |a: &(f64, f32), b: &(f64, f32)| likely(a).total_cmp(&likely(b));
    let scans = STARTS.into_iter().filter_map(scan);
    let (scan, (degrees, votes)) = scans
        .filter_map(|scan| {
            let most = scan.iter().copied().max_by(likelier)?;
            Some((scan, most))
        })
        .max_by(|a, b| likelier(&a.1, &b.1))?;
    // Not by what is usual, but by what is seen.
    let clear = scan
        .iter()
        .all(|(other, less)| (other - degrees).abs() < CLEAR.0 || votes > CLEAR.1 * less);
    let up = up_from(&through(degrees)).filter(|_| clear)?;
    Some((degrees.to_radians(), up))
}

/// Ups of cameras that are turned this way and that, [`STEP`] degrees apart.
fn directions() -> impl Iterator<Item = Vec3> {
    let turned = |most: i32| (-most..=most).step_by(STEP as usize);
    turned(PITCH).flat_map(move |pitch| {
        turned(ROLL).map(move |roll| {
            let (pitch, roll) = ((pitch as f32).to_radians(), (roll as f32).to_radians());
            Vec3::new(
                pitch.cos() * roll.sin(),
                -pitch.cos() * roll.cos(),
                pitch.sin(),
            )
        })
    })
}

/// How usual it is that a camera is held so: 1 if it is level.
fn usual(up: Vec3) -> f32 {
    let pitch = up.z.clamp(-1.0, 1.0).asin().to_degrees();
    let pitch = pitch
        / if pitch < 0.0 {
            USUALLY_DOWN
        } else {
            USUALLY_UP
        };
    let roll = up.x.atan2(-up.y).to_degrees() / USUALLY_ROLLED;
    (-0.5 * (pitch * pitch + roll * roll)).exp()
}

fn votes(edges: &[Edge], direction: Vec3) -> f32 {
    let vote = |edge: &Edge| edge.length * edge.points_along(direction);
    edges.iter().map(vote).sum()
}

/// The best two horizontals at right angles for that up, and their votes; an edge that may be vertical has none.
fn horizontals(edges: &[Edge], up: Vec3) -> ([Vec3; 2], f32) {
    let (right, ahead) = up.any_orthonormal_pair();
    let others: Vec<&Edge> = edges
        .iter()
        .filter(|edge| edge.points_along(up) == 0.0)
        .collect();
    let pairs = (0..YAWS).map(|n| {
        let (sin, cos) = (n as f32 * FRAC_PI_2 / YAWS as f32).sin_cos();
        let pair = [cos * right + sin * ahead, cos * ahead - sin * right];
        let vote = |edge: &&Edge| {
            let [one, other] = pair.map(|direction| edge.points_along(direction));
            edge.length * one.max(other)
        };
        (pair, others.iter().map(vote).sum::<f32>())
    });
    pairs.max_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or_default()
}

/// Turns a candidate until it fits its verticals and is at right angles to its horizontals.
fn settle(edges: &[Edge], start: Vec3) -> Candidate {
    let mut up = start;
    let (mut pair, mut level) = horizontals(edges, up);
    for _ in 0..4 {
        // What lies in the planes of all verticals and is at right angles to the horizontals: the least eigenvector.
        let mut sum = planes(edges, |edge| edge.points_along(up));
        for direction in pair {
            let weight = |edge: &Edge| {
                let is_vertical = edge.points_along(up) > 0.0;
                if is_vertical {
                    0.0
                } else {
                    edge.points_along(direction)
                }
            };
            // Two planes tell a direction, the better the more they are apart.
            if let Some((direction, certainty)) = least(planes(edges, weight)) {
                sum += square(direction) * certainty;
            }
        }
        let Some((turned, _)) = least(sum) else { break };
        let turned = turned.as_vec3() * turned.as_vec3().dot(up).signum();
        if turned.dot(up) < TURN.to_radians().cos() {
            break;
        }
        up = turned;
        (pair, level) = horizontals(edges, up);
    }
    Candidate {
        up,
        votes: usual(up) * (votes(edges, up) + level),
    }
}

/// The sum of n nᵀ over the planes of edges, by their length and weight.
fn planes(edges: &[Edge], weight: impl Fn(&Edge) -> f32) -> DMat3 {
    edges.iter().fold(DMat3::ZERO, |sum, edge| {
        sum + square(edge.normal) * f64::from(edge.length * weight(edge))
    })
}

/// v vᵀ.
fn square(v: DVec3) -> DMat3 {
    DMat3::from_cols(v * v.x, v * v.y, v * v.z)
}

/// The eigenvector of the least eigenvalue, and the next eigenvalue; `None` where nothing tells a direction.
fn least(sum: DMat3) -> Option<(DVec3, f64)> {
    let eigen = SymmetricEigen::new(Matrix3::from_fn(|row, column| sum.col(column)[row]));
    let mut order = [0, 1, 2];
    order.sort_by(|&a, &b| eigen.eigenvalues[a].total_cmp(&eigen.eigenvalues[b]));
    let column = eigen.eigenvectors.column(order[0]);
    let certainty = eigen.eigenvalues[order[1]];
    (certainty > 1e-9).then(|| (DVec3::new(column[0], column[1], column[2]), certainty))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use bevy::math::{EulerRot, Quat};
    use image::Rgb;

    /// A camera that is turned to the left, looks down, and is rolled clockwise, by so many degrees, in OpenCV's axes; turns
    /// directions of the camera into those of a room whose y is down.
    pub fn held(yaw: f32, down: f32, roll: f32) -> Quat {
        let [yaw, down, roll] = [-yaw, -down, roll].map(f32::to_radians);
        Quat::from_euler(EulerRot::YXZ, yaw, down, roll)
    }

    /// What it sees of a room of 6 x 8 m with windows and tiles, from its middle, 1.5 m high.
    pub fn room(camera: &Intrinsics, room_from_camera: Quat) -> RgbImage {
        let (low, high) = (Vec3::new(-3.0, -1.2, -4.0), Vec3::new(3.0, 1.5, 4.0));
        RgbImage::from_fn(camera.width, camera.height, |x, y| {
            let ray = room_from_camera * camera.ray(Vec2::new(x as f32, y as f32));
            let reach = Vec3::select(ray.cmpgt(Vec3::ZERO), high, low) / ray;
            let point = ray * reach.min_element();
            let wall = (0..3).min_by(|&a, &b| reach[a].total_cmp(&reach[b]));
            let light = match wall {
                Some(1) if ray.y > 0.0 => {
                    let tile = (point.x * 1.5).floor() + (point.z * 1.5).floor();
                    if tile.rem_euclid(2.0) < 1.0 { 90 } else { 130 }
                }
                Some(1) => 220,
                _ => {
                    let along = if wall == Some(0) { point.z } else { point.x };
                    let high = (point.y.abs() - 0.5).abs() < 0.35;
                    let window = along.rem_euclid(1.1) < 0.6 && high;
                    let side = if wall == Some(0) { 150 } else { 180 };
                    if window { 40 } else { side }
                }
            };
            Rgb([light; 3])
        })
    }

    fn off(found: Option<Vec3>, room_from_camera: Quat) -> Option<f32> {
        let up = room_from_camera.inverse() * Vec3::NEG_Y;
        found.map(|found| found.angle_between(up).to_degrees())
    }

    #[test]
    fn up_is_found_however_the_camera_is_held() {
        let camera = Intrinsics::assumed(1280, 960);
        for (yaw, down, roll) in [
            (0.0, 0.0, 0.0),
            (20.0, 0.0, 0.0),
            (35.0, 25.0, 0.0),
            (10.0, 12.0, 20.0),
            (-30.0, -15.0, -12.0),
        ] {
            let held = held(yaw, down, roll);
            let found = up_from(&edges(&room(&camera, held), &camera));
            assert!(
                off(found, held).is_some_and(|off| off < 1.5),
                "yaw {yaw}, down {down}, roll {roll}: {found:?} is off by {:?} degrees",
                off(found, held)
            );
        }
    }

    #[test]
    fn a_camera_that_looks_down_has_up_behind_its_picture() {
        let camera = Intrinsics::assumed(1280, 960);
        let found = up_from(&edges(&room(&camera, held(30.0, 25.0, 0.0)), &camera));
        assert!(
            found.is_some_and(|up| up.z < -0.3 && up.y < -0.8),
            "{found:?}"
        );
    }

    #[test]
    fn a_lens_that_bends_walls_does_not_bend_up() {
        let mut camera = Intrinsics::assumed(1280, 960);
        camera.distortion.k1 = -0.15;
        let held = held(25.0, 15.0, 5.0);
        let found = up_from(&edges(&room(&camera, held), &camera));
        assert!(off(found, held).is_some_and(|off| off < 1.5), "{found:?}");
    }

    #[test]
    fn where_there_are_no_rooms_nothing_is_told() {
        let camera = Intrinsics::assumed(320, 240);
        let grey = RgbImage::from_pixel(320, 240, Rgb([120; 3]));
        assert_eq!(up_from(&edges(&grey, &camera)), None);
        // A ripple about a point has edges in all directions.
        let ripple = RgbImage::from_fn(320, 240, |x, y| {
            let far = (f64::from(x) - 160.0).hypot(f64::from(y) - 120.0);
            Rgb([if (far / 9.0).sin() > 0.0 { 200 } else { 60 }; 3])
        });
        assert_eq!(up_from(&edges(&ripple, &camera)), None);
        assert!(edges(&RgbImage::new(0, 0), &camera).is_empty());
        assert!(edges(&RgbImage::new(1, 7), &camera).is_empty());
    }

    #[test]
    fn a_view_across_a_corner_tells_the_lens_and_one_of_a_wall_does_not() {
        let assumed = Intrinsics::assumed(1280, 960);
        let told = |degrees: f64, held: Quat| {
            let lens = Intrinsics::from_field_of_view(1280, 960, degrees.to_radians());
            let edges = edges(&room(&lens, held), &assumed);
            lens_from(&edges).map(|(view, up)| (view.to_degrees(), up))
        };
        for degrees in [54.0, 62.0, 76.0] {
            let held = held(35.0, 20.0, 4.0);
            let found = told(degrees, held);
            assert!(
                found.is_some_and(|(view, _)| (view - degrees).abs() <= 2.0),
                "{found:?} in place of {degrees}"
            );
            assert!(off(found.map(|found| found.1), held).is_some_and(|off| off < 1.5));
        }
        assert_eq!(told(76.0, held(0.0, 0.0, 0.0)), None);
    }
}
