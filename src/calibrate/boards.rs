//! Cameras from a board that several of them see at the same time: lying on the floor, or moved about.
//!
//! A flat board tells each camera where it stands to it, in two ways that may look much alike: as it is, and mirrored along the
//! line of sight ([Schweighofer and Pinz 2006](https://doi.org/10.1109/TPAMI.2006.252)). What two cameras see at many moments must
//! agree, which only one of the two does. Cameras are joined to one another by the pairs that agree best, and all cameras and
//! boards are then adjusted together (Levenberg–Marquardt on reprojection errors, the boards being eliminated first).

mod adjust;
mod floor;
mod join;

use std::ops::Range;

use bevy::math::{DVec2, DVec3};

use super::intrinsics::{Corner, board_pose, homography};
use super::pose::{Landmark, SolvedPose, refine};
use super::projection::median;
use crate::camera::{Extrinsics, Intrinsics, View};

/// What one moment shows: the corners of the board in each view; none where it is not seen. Places are those of the board, x along
/// its columns and y along its rows as one looks at it, in metres.
pub type Moment = Vec<Vec<Corner>>;

/// A room that was calibrated by a board.
#[derive(Clone, Debug)]
pub struct BoardRoom {
    /// The cameras, in the order given; the world is Bevy's: y up, the floor at y = 0, metres.
    pub views: Vec<View>,
    /// Median reprojection error of each camera, in pixels.
    pub errors: Vec<f64>,
    /// By what part of that error would be larger, or smaller, if the camera stood where the mirrored board says: the error as it
    /// is by the error mirrored. Near 1, nobody knows which is right.
    pub mirrored: Vec<f64>,
    /// At how many of the moments that were used, some for each pair of cameras, each camera saw the board together with another.
    pub shared: Vec<usize>,
    /// What the floor is taken from, where the board lay on it. Else up is what the cameras take for it, and the floor is put where
    /// the board was lowest.
    pub floor: Option<Floor>,
}

/// What the board says of the floor, while it lies there.
#[derive(Clone, Debug, PartialEq)]
pub struct Floor {
    /// Cameras that saw it there together, by their places; none where one alone did.
    pub together: Vec<usize>,
    /// The largest angle between its normal at one moment and the mean, in degrees: it should lie still.
    pub spread: f64,
    /// The angle between up and what the cameras take for it, in degrees: they are hardly set up lying on their sides.
    pub lean: f64,
    /// Where a single camera sees it there: its error by that of the mirrored board, near 1 where nobody knows which is right. 0 where
    /// two cameras agree.
    pub mirrored: f64,
}

/// Why a room could not be calibrated.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum BoardRoomError {
    /// Too few cameras.
    #[error("{0} camera cannot be placed by itself; give two or more")]
    TooFewViews(usize),
    /// A camera never saw it.
    #[error(
        "the board was found in no picture of {0}; is it the board that was told, whole, sharp and large enough in the picture?"
    )]
    NeverSeen(String),
    /// A camera saw it only by itself.
    #[error(
        "{0} never saw the board together with a camera that could be placed; hold it where the pictures of both overlap, or let \
         it lie where all see it"
    )]
    Alone(String),
    /// It was not seen when it lay on the floor.
    #[error(
        "no camera saw the board while it lay on the floor; one is enough: lay it down where one of them looks at it from above and near \
         enough"
    )]
    NotOnFloor,
    /// Nothing fits.
    #[error(
        "no arrangement of the cameras explains how they see the board; are their lenses right, and the clips of the same time?"
    )]
    NoFit,
}

/// The least number of corners that tell where a board is.
const LEAST_CORNERS: usize = 6;
/// So many moments of each pair of cameras are used.
const EACH_PAIR: usize = 12;

/// Places cameras by a board. `moments` are what they see at the same times; `on_floor` is when the board lay flat on the floor,
/// face up, by places in `moments`, and empty where it never did.
///
/// # Errors
/// [`BoardRoomError`], in one sentence that says what to do.
pub fn calibrate(
    lenses: &[(String, Intrinsics)],
    moments: &[Moment],
    on_floor: Range<usize>,
) -> Result<BoardRoom, BoardRoomError> {
    if lenses.len() < 2 {
        return Err(BoardRoomError::TooFewViews(lenses.len()));
    }
    let on_floor = on_floor.start.min(moments.len())..on_floor.end.min(moments.len());
    for (view, (name, _)) in lenses.iter().enumerate() {
        if !moments.iter().any(|moment| has_board(moment, view)) {
            return Err(BoardRoomError::NeverSeen(name.clone()));
        }
    }
    let was_to_lie = !on_floor.is_empty();
    let chosen = choose(lenses.len(), moments, &on_floor);
    let mut boards: Vec<Board> = chosen
        .iter()
        .map(|&n| Board::new(n, &moments[n], lenses))
        .filter(|board| !board.shown.is_empty())
        .collect();
    let mut views = join::join(lenses, &mut boards)?;
    adjust::adjust(&mut views, &mut boards);
    let mut room = BoardRoom {
        errors: Vec::new(),
        mirrored: Vec::new(),
        shared: (0..lenses.len())
            .map(|view| boards.iter().filter(|board| board.joins(view)).count())
            .collect(),
        floor: None,
        views,
    };
    for view in 0..lenses.len() {
        let (kept, mirrored) = room.errors_of(view, &boards);
        room.errors.push(kept);
        room.mirrored.push(kept / mirrored.max(1e-9));
    }
    if room.errors.iter().any(|error| !error.is_finite()) {
        return Err(BoardRoomError::NoFit);
    }
    let lying: Vec<usize> = (0..boards.len())
        .filter(|&n| on_floor.contains(&boards[n].moment))
        .collect();
    match lying.is_empty() {
        true if was_to_lie => return Err(BoardRoomError::NotOnFloor),
        true => room.stand_up_by_cameras(&boards)?,
        false => room.stand_up_on(&mut boards, &lying)?,
    }
    Ok(room)
}

/// What a view shows at a moment; nothing of views that were not given.
fn corners_in(moment: &Moment, view: usize) -> &[Corner] {
    moment.get(view).map_or(&[], Vec::as_slice)
}

fn has_board(moment: &Moment, view: usize) -> bool {
    corners_in(moment, view).len() >= LEAST_CORNERS
}

/// How far the board moved in a view since the moment before, in pixels.
fn motion(moments: &[Moment], n: usize, view: usize) -> f64 {
    let before = n.checked_sub(1).map(|n| corners_in(&moments[n], view));
    let moved = corners_in(&moments[n], view)
        .iter()
        .filter_map(|(place, pixel)| {
            let same = |(other, _): &&Corner| other.distance(*place) < 1e-9;
            Some(before?.iter().find(same)?.1.distance(*pixel))
        });
    moved.reduce(f64::max).unwrap_or(f64::MAX)
}

/// Which moments are used: for each pair of cameras some that both see, spread over time, and of each stretch the one at which the
/// board moves least: so clocks that are a little apart do little harm. And some of those on the floor.
fn choose(views: usize, moments: &[Moment], on_floor: &Range<usize>) -> Vec<usize> {
    let mut chosen = Vec::new();
    let mut take = |candidates: &[usize], seen_by: &[usize]| {
        let each = candidates.len().div_ceil(EACH_PAIR).max(1);
        for stretch in candidates.chunks(each) {
            let unrest = |n: usize| {
                let of_view = seen_by.iter().map(|&view| motion(moments, n, view));
                of_view.fold(0.0, f64::max)
            };
            let stillest = stretch.iter().copied();
            chosen.extend(stillest.min_by(|&a, &b| unrest(a).total_cmp(&unrest(b))));
        }
    };
    for one in 0..views {
        for two in one + 1..views {
            let both: Vec<usize> = (0..moments.len())
                .filter(|&n| has_board(&moments[n], one) && has_board(&moments[n], two))
                .collect();
            take(&both, &[one, two]);
        }
        let lying: Vec<usize> = on_floor
            .clone()
            .filter(|&n| has_board(&moments[n], one))
            .collect();
        take(&lying, &[one]);
    }
    chosen.sort_unstable();
    chosen.dedup();
    chosen
}

/// The board at a moment.
struct Board {
    moment: usize,
    shown: Vec<Shown>,
    /// `world_from_board`.
    place: Option<Extrinsics>,
}

/// The board as a view shows it.
struct Shown {
    view: usize,
    corners: Vec<Corner>,
    /// `camera_from_board`: the likelier first, and, where it is another, the mirrored one.
    poses: Vec<SolvedPose>,
}

fn on_board(place: DVec2) -> DVec3 {
    place.extend(0.0)
}

impl Board {
    fn new(moment: usize, seen: &Moment, lenses: &[(String, Intrinsics)]) -> Board {
        let shown = |(view, corners): (usize, &Vec<Corner>)| {
            let poses = board_poses(&lenses.get(view)?.1, corners);
            (!poses.is_empty()).then(|| Shown {
                view,
                corners: corners.clone(),
                poses,
            })
        };
        Board {
            moment,
            shown: seen.iter().enumerate().filter_map(shown).collect(),
            place: None,
        }
    }

    fn in_view(&self, view: usize) -> Option<&Shown> {
        self.shown.iter().find(|shown| shown.view == view)
    }

    /// Its corners in the world, as often as they are seen.
    fn corners(&self) -> Vec<DVec3> {
        let Some(place) = &self.place else {
            return Vec::new();
        };
        let corners = self.shown.iter().flat_map(|shown| &shown.corners);
        corners
            .map(|(corner, _)| place.camera_from_world(on_board(*corner)))
            .collect()
    }

    /// Whether a view and another one see it.
    fn joins(&self, view: usize) -> bool {
        self.shown.len() >= 2 && self.in_view(view).is_some()
    }
}

/// Where a board stands to a camera, `camera_from_board`: in the way that explains its corners best, and mirrored along the line of
/// sight where that is a way of its own.
pub fn board_poses(lens: &Intrinsics, corners: &[Corner]) -> Vec<SolvedPose> {
    if corners.len() < LEAST_CORNERS {
        return Vec::new();
    }
    let flat: Vec<Corner> = corners
        .iter()
        .map(|&(place, pixel)| (place, lens.unproject(pixel) * lens.focal + lens.principal))
        .collect();
    let landmarks: Vec<Landmark> = corners
        .iter()
        .map(|&(place, pixel)| Landmark {
            point: on_board(place),
            pixel,
            weight: 1.0,
        })
        .collect();
    let Some(homography) = homography(&flat) else {
        return Vec::new();
    };
    let first = refine(lens, &board_pose(lens, &homography), &landmarks);
    let Some(first) = first else {
        return Vec::new();
    };
    let middle = corners.iter().map(|(place, _)| *place).sum::<DVec2>() / corners.len() as f64;
    let mirrored = mirrored(&first.extrinsics, on_board(middle));
    let second = refine(lens, &mirrored, &landmarks);
    let mut poses = vec![first];
    poses.extend(second.filter(|second| {
        let turn = second.extrinsics.rotation * first.extrinsics.rotation.transpose();
        let cosine = (turn.x_axis.x + turn.y_axis.y + turn.z_axis.z - 1.0) / 2.0;
        cosine < SAME_WAY
    }));
    poses.sort_by(|a, b| a.error.total_cmp(&b.error));
    poses
}

/// Cosine of an angle, of about 1.8°, within which two ways are one.
const SAME_WAY: f64 = 0.9995;

/// The pose of the board whose normal is mirrored along the line of sight to its middle.
fn mirrored(pose: &Extrinsics, middle: DVec3) -> Extrinsics {
    let centre = pose.camera_from_world(middle);
    let sight = centre.normalize_or(DVec3::Z);
    let normal = pose.rotation.z_axis;
    let other = sight * (2.0 * normal.dot(sight)) - normal;
    let turn = bevy::math::DQuat::from_rotation_arc(normal, other);
    let rotation = bevy::math::DMat3::from_quat(turn) * pose.rotation;
    Extrinsics {
        rotation,
        translation: centre - rotation * middle,
    }
}

/// Median distance of a board's corners, in pixels, from where a camera would show them.
fn error(lens: &Intrinsics, camera_from_board: &Extrinsics, corners: &[Corner]) -> f64 {
    let mut off: Vec<f64> = corners
        .iter()
        .map(|&(place, pixel)| {
            let shown = lens.project(camera_from_board.camera_from_world(on_board(place)));
            shown.map_or(1e3, |shown| shown.distance(pixel))
        })
        .collect();
    median(&mut off)
}

impl BoardRoom {
    /// Median error of a camera as it stands, and as it would stand if it saw the board the other way round: the least of all that
    /// single boards say.
    fn errors_of(&self, view: usize, boards: &[Board]) -> (f64, f64) {
        let View {
            intrinsics: lens,
            extrinsics,
            ..
        } = &self.views[view];
        let seen: Vec<(&Extrinsics, &Shown)> = boards
            .iter()
            .filter(|board| board.joins(view))
            .filter_map(|board| Some((board.place.as_ref()?, board.in_view(view)?)))
            .collect();
        let all = |pose: &Extrinsics| {
            let of_board = |(place, shown): &(&Extrinsics, &Shown)| {
                error(lens, &place.then(pose), &shown.corners)
            };
            let mut errors: Vec<f64> = seen.iter().map(of_board).collect();
            median(&mut errors)
        };
        let others = seen.iter().filter_map(|(place, shown)| {
            // Of both ways the one that is not how the camera stands.
            let stands = place.then(extrinsics);
            let apart = |way: &Extrinsics| (way.rotation.z_axis - stands.rotation.z_axis).length();
            let ways = shown.poses.iter().map(|pose| pose.extrinsics);
            let other = ways.max_by(|a, b| apart(a).total_cmp(&apart(b)))?;
            (shown.poses.len() > 1).then(|| place.inverse().then(&other))
        });
        let mirrored = others.map(|pose| all(&pose)).fold(f64::INFINITY, f64::min);
        (all(extrinsics), mirrored)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibrate::pose::tests::scatter;
    use crate::source::synthetic::cameras_around;
    use bevy::math::{DMat3, DQuat, EulerRot};

    const SQUARE: f64 = 0.06;

    /// What cameras see of a board of 9 x 6 corners at those places, `world_from_board`, where it faces them.
    fn seen(views: &[View], places: &[Extrinsics], noise: f64) -> Vec<Moment> {
        let mut random = scatter(11);
        let mut of_view = |view: &View, place: &Extrinsics| -> Vec<Corner> {
            let to_camera = view.extrinsics.centre() - place.translation;
            if to_camera.normalize().dot(-place.rotation.z_axis) < 0.25 {
                return Vec::new();
            }
            let mut corners = Vec::new();
            for n in 0..54 {
                let at = DVec2::new(f64::from(n % 9), f64::from(n / 9)) * SQUARE;
                let Some(pixel) = view.project(place.camera_from_world(on_board(at))) else {
                    return Vec::new();
                };
                corners.push((at, pixel + DVec2::new(random(), random()) * noise));
            }
            corners
        };
        let moment = |place: &Extrinsics| views.iter().map(|view| of_view(view, place)).collect();
        places.iter().map(moment).collect()
    }

    fn lenses(views: &[View]) -> Vec<(String, Intrinsics)> {
        let lens = |view: &View| (view.name.clone(), view.intrinsics);
        views.iter().map(lens).collect()
    }

    /// A board that lies on the floor, face up, and one that is carried about.
    fn on_the_floor() -> Extrinsics {
        Extrinsics {
            // Its z goes down.
            rotation: DMat3::from_cols(DVec3::X, DVec3::Z, DVec3::NEG_Y),
            translation: DVec3::new(-0.24, 0.0, -0.15),
        }
    }

    fn carried(count: usize) -> Vec<Extrinsics> {
        let mut random = scatter(5);
        let mut place = |n: usize| {
            let turn = DQuat::from_euler(
                EulerRot::YXZ,
                n as f64 * 0.7,
                0.5 * random() - 0.3,
                0.4 * random(),
            );
            Extrinsics {
                rotation: DMat3::from_quat(turn)
                    * DMat3::from_cols(DVec3::X, DVec3::NEG_Y, DVec3::NEG_Z),
                translation: DVec3::new(0.5 * random(), 1.1 + 0.4 * random(), 0.5 * random()),
            }
        };
        (0..count).map(&mut place).collect()
    }

    /// The largest errors of places and of rotations, in metres and degrees, after the rooms are laid on one another at the first
    /// camera; and of heights.
    fn apart(found: &[View], truth: &[View]) -> (f64, f64, f64) {
        let moved = found[0].extrinsics.then(&truth[0].extrinsics.inverse());
        let mut worst = (0.0_f64, 0.0_f64, 0.0_f64);
        for (view, wanted) in found.iter().zip(truth) {
            let (a, b) = (view.extrinsics.centre(), wanted.extrinsics.centre());
            let stands = moved.inverse().then(&view.extrinsics);
            let turn = stands.rotation * wanted.extrinsics.rotation.transpose();
            let trace = turn.x_axis.x + turn.y_axis.y + turn.z_axis.z;
            worst.0 = worst.0.max(moved.camera_from_world(a).distance(b));
            worst.1 = worst
                .1
                .max(((trace - 1.0) / 2.0).clamp(-1.0, 1.0).acos().to_degrees());
            worst.2 = worst.2.max((a.y - b.y).abs());
        }
        worst
    }

    #[test]
    fn a_board_that_is_carried_about_and_then_laid_down_places_all_cameras()
    -> Result<(), BoardRoomError> {
        let truth = cameras_around(5, 3.5);
        let mut places = carried(60);
        places.push(on_the_floor());
        let moments = seen(&truth, &places, 0.3);
        let room = calibrate(&lenses(&truth), &moments, 60..61)?;
        let (metres, degrees, height) = apart(&room.views, &truth);
        assert!(
            metres < 0.02 && degrees < 0.3,
            "{metres} m, {degrees} degrees"
        );
        assert!(height < 0.02, "{height} m");
        assert!(
            room.errors.iter().all(|error| *error < 0.4),
            "{:?}",
            room.errors
        );
        assert!(
            room.mirrored.iter().all(|share| *share < 0.3),
            "{:?}",
            room.mirrored
        );
        Ok(())
    }

    #[test]
    fn a_board_that_only_lies_on_the_floor_is_enough_and_small_ones_say_that_they_may_be_mirrored()
    -> Result<(), BoardRoomError> {
        let truth = cameras_around(4, 3.0);
        let moments = seen(&truth, &[on_the_floor()], 0.2);
        let room = calibrate(&lenses(&truth), &moments, 0..1)?;
        let (metres, degrees, height) = apart(&room.views, &truth);
        assert!(
            metres < 0.05 && height < 0.05,
            "{metres} m, {degrees} degrees, {height} m"
        );
        // The same as cameras ten times as far away see it: both ways fit.
        let mut far = cameras_around(4, 3.0);
        for view in &mut far {
            let eye = view.extrinsics.centre() * 10.0;
            view.extrinsics = Extrinsics::looking_at(eye, DVec3::ZERO, DVec3::Y);
        }
        let moments = seen(&far, &[on_the_floor()], 0.3);
        let room = calibrate(&lenses(&far), &moments, 0..1)?;
        assert!(
            room.mirrored.iter().any(|share| *share > 0.8),
            "{:?}",
            room.mirrored
        );
        Ok(())
    }

    #[test]
    fn what_places_no_cameras_is_told_by_name() {
        let truth = cameras_around(3, 3.5);
        let names = lenses(&truth);
        let moments = seen(&truth, &[on_the_floor()], 0.1);
        let of = |moments: &[Moment], on_floor| calibrate(&names, moments, on_floor).err();
        assert_eq!(
            calibrate(&names[..1], &moments, 0..1).err(),
            Some(BoardRoomError::TooFewViews(1))
        );
        let mut blind = moments.clone();
        blind[0][2].clear();
        assert_eq!(
            of(&blind, 0..1),
            Some(BoardRoomError::NeverSeen(names[2].0.clone()))
        );
        // The third sees it when no other does.
        let mut apart = vec![moments[0].clone(), moments[0].clone()];
        apart[0][2].clear();
        apart[1][0].clear();
        apart[1][1].clear();
        assert_eq!(
            of(&apart, 0..1),
            Some(BoardRoomError::Alone(names[2].0.clone()))
        );
        // Or the first does.
        let mut apart = vec![moments[0].clone(), moments[0].clone()];
        apart[0][0].clear();
        apart[1][1].clear();
        apart[1][2].clear();
        assert_eq!(
            of(&apart, 0..1),
            Some(BoardRoomError::Alone(names[0].0.clone()))
        );
        let mut up_in_the_air = vec![moments[0].clone(), vec![Vec::new(); 3]];
        assert_eq!(of(&up_in_the_air, 1..2), Some(BoardRoomError::NotOnFloor));
        // A view that was not given at a moment shows nothing then.
        up_in_the_air[1].clear();
        assert_eq!(of(&up_in_the_air, 0..usize::MAX), None);
    }

    #[test]
    fn one_camera_is_enough_for_the_floor_and_boards_that_do_not_lie_there_are_told()
    -> Result<(), BoardRoomError> {
        let truth = cameras_around(4, 3.0);
        let names = lenses(&truth);
        let only_the_first = |place: Extrinsics| {
            let mut moments = seen(&truth, &carried(40), 0.2);
            moments.extend(seen(&truth, &[place; 5], 0.2));
            for moment in &mut moments[40..] {
                moment[1..].iter_mut().for_each(Vec::clear);
            }
            moments
        };
        let room = calibrate(&names, &only_the_first(on_the_floor()), 40..45)?;
        let (_, _, height) = apart(&room.views, &truth);
        let floor = room.floor.map(|floor| (floor.together, floor.lean < 25.0));
        assert_eq!(floor, Some((vec![], true)));
        assert!(height < 0.03, "{height}");
        // So far away that it may be mirrored: of the two ways it is the one that goes with how cameras stand.
        let far: Vec<View> = truth
            .iter()
            .map(|view| {
                let eye = view.extrinsics.centre() * 4.0;
                View {
                    extrinsics: Extrinsics::looking_at(eye, DVec3::ZERO, DVec3::Y),
                    ..view.clone()
                }
            })
            .collect();
        let mut doubtful = 0;
        for turn in 0..6 {
            let turn = DMat3::from_rotation_y(f64::from(turn) * 0.5);
            let mut place = on_the_floor();
            place.rotation = turn * place.rotation;
            let mut moments = seen(&far, &carried(40), 0.05);
            moments.extend(seen(&far, &[place], 0.6));
            moments[40][1..].iter_mut().for_each(Vec::clear);
            let room = calibrate(&names, &moments, 40..41)?;
            let Some(floor) = room.floor else {
                panic!("a floor")
            };
            doubtful += usize::from(floor.mirrored > 0.8);
            assert!(floor.lean < 35.0, "{floor:?}");
        }
        assert!(doubtful >= 2, "{doubtful}");
        // Where two see it at times, what one alone says of it does not count.
        let mut moments = seen(&truth, &carried(40), 0.2);
        moments.extend(seen(&truth, &[on_the_floor(); 6], 0.2));
        for moment in &mut moments[43..] {
            moment[1..].iter_mut().for_each(Vec::clear);
            for (n, corner) in moment[0].iter_mut().enumerate() {
                // As if it were bent.
                corner.1.y += if n % 9 < 4 { 6.0 } else { -6.0 };
            }
        }
        let room = calibrate(&names, &moments, 40..46)?;
        let (_, _, height) = apart(&room.views, &truth);
        let floor = room.floor.map(|floor| (floor.mirrored, floor.spread < 1.0));
        assert_eq!(floor, Some((0.0, true)));
        assert!(height < 0.02, "{height}");
        // Held up before the first camera all the while.
        let eye = truth[0].extrinsics.centre();
        let upright = Extrinsics {
            rotation: truth[0].extrinsics.rotation.transpose(),
            translation: eye * 0.4 + DVec3::Y * 0.6,
        };
        let room = calibrate(&names, &only_the_first(upright), 40..45)?;
        assert!(
            room.floor.as_ref().is_some_and(|floor| floor.lean > 60.0),
            "{:?}",
            room.floor
        );
        // Carried about in the time in which it was to lie.
        let room = calibrate(&names, &only_the_first(upright), 10..30)?;
        assert!(
            room.floor.as_ref().is_some_and(|floor| floor.spread > 20.0),
            "{:?}",
            room.floor
        );
        // Never laid down: heights are guessed, all else is known.
        let room = calibrate(&names, &seen(&truth, &carried(40), 0.2), 0..0)?;
        let (metres, degrees, _) = apart(&room.views, &truth);
        assert!(metres < 0.02 && degrees < 0.3 && room.floor.is_none());
        let lean = room.views[0].extrinsics.rotation.transpose() * DVec3::NEG_Y;
        assert!(
            lean.y > 0.8
                && room
                    .views
                    .iter()
                    .all(|view| view.extrinsics.centre().y > 0.0)
        );
        Ok(())
    }
}
