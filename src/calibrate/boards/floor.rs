//! Which way is up, and where the floor is: by the board where it lies there, else by the cameras.

use bevy::math::DVec3;

use super::{Board, BoardRoom, BoardRoomError, Floor};
use crate::calibrate::projection::{median, upright};
use crate::camera::Extrinsics;

impl BoardRoom {
    /// What the cameras take for up.
    fn level(&self) -> DVec3 {
        let ups = self.views.iter();
        let ups = ups.map(|view| view.extrinsics.rotation.transpose() * DVec3::NEG_Y);
        // Of a camera's frame, where nobody knows better.
        ups.sum::<DVec3>().normalize_or(DVec3::NEG_Y)
    }

    /// Puts the floor under the board where it was lowest, and takes for up what the cameras do.
    pub(super) fn stand_up_by_cameras(&mut self, boards: &[Board]) -> Result<(), BoardRoomError> {
        let points: Vec<DVec3> = boards.iter().flat_map(Board::corners).collect();
        let up = self.level();
        let lowest = points.iter().map(|point| point.dot(up)).reduce(f64::min);
        self.stand_up(up, lowest.ok_or(BoardRoomError::NoFit)?, &points);
        Ok(())
    }

    /// Puts the floor under boards that lie on it, given by their numbers.
    pub(super) fn stand_up_on(
        &mut self,
        boards: &mut [Board],
        lying: &[usize],
    ) -> Result<(), BoardRoomError> {
        // A board's z goes into the floor.
        let up_of = |place: &Extrinsics| -place.rotation.z_axis;
        let agreed = lying.iter().filter(|&&n| boards[n].shown.len() > 1);
        let agreed: DVec3 = agreed
            .filter_map(|&n| boards[n].place.as_ref())
            .map(up_of)
            .sum();
        let is_agreed = agreed.length() > 0.0;
        let likely = agreed.try_normalize().unwrap_or_else(|| self.level());
        let mut mirrored = Vec::new();
        for &n in lying {
            // A single camera sees it in two ways, of which the errors alone may name the wrong one.
            let [shown] = boards[n].shown.as_slice() else {
                continue;
            };
            let world_from_camera = self.views[shown.view].extrinsics.inverse();
            let mut ways: Vec<(f64, Extrinsics)> = shown
                .poses
                .iter()
                .map(|pose| (pose.error, pose.extrinsics.then(&world_from_camera)))
                .collect();
            ways.sort_by(|a, b| up_of(&b.1).dot(likely).total_cmp(&up_of(&a.1).dot(likely)));
            let mut ways = ways.into_iter();
            let Some((error, place)) = ways.next() else {
                continue;
            };
            boards[n].place = Some(place);
            mirrored.push(
                ways.next()
                    .map_or(0.0, |(other, _)| error / other.max(1e-9)),
            );
        }
        // What one camera says is worth less than what two agree on.
        let telling = |n: &usize| !is_agreed || boards[*n].shown.len() > 1;
        let lying: Vec<usize> = lying.iter().copied().filter(telling).collect();
        let places = lying.iter().filter_map(|&n| boards[n].place.as_ref());
        let ups: Vec<DVec3> = places.map(up_of).collect();
        let up = ups.iter().sum::<DVec3>().try_normalize();
        let up = up.ok_or(BoardRoomError::NotOnFloor)?;
        let degrees = |other: DVec3| up.angle_between(other).to_degrees();
        let agreeing = lying.iter().filter(|_| is_agreed);
        let mut together: Vec<usize> = agreeing
            .flat_map(|&n| boards[n].shown.iter().map(|shown| shown.view))
            .collect();
        together.sort_unstable();
        together.dedup();
        self.floor = Some(Floor {
            together,
            spread: ups.iter().map(|other| degrees(*other)).fold(0.0, f64::max),
            lean: degrees(self.level()),
            mirrored: if is_agreed {
                0.0
            } else {
                median(&mut mirrored)
            },
        });
        let points: Vec<DVec3> = lying.iter().flat_map(|&n| boards[n].corners()).collect();
        let mut heights: Vec<f64> = points.iter().map(|point| point.dot(up)).collect();
        self.stand_up(up, median(&mut heights), &points);
        Ok(())
    }

    /// Turns the room so that `up` is up, and moves it so that the floor, so far along that, is at y = 0 and the middle of some points
    /// above its origin.
    fn stand_up(&mut self, up: DVec3, floor: f64, points: &[DVec3]) {
        let rotation = upright(&self.views[0].extrinsics, up);
        let middle = rotation * (points.iter().sum::<DVec3>() / points.len().max(1) as f64);
        let translation = -DVec3::new(middle.x, floor, middle.z);
        for view in &mut self.views {
            view.extrinsics = view.extrinsics.in_moved_world(1.0, rotation, translation);
        }
    }
}
