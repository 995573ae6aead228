//! How one camera is held and how wide it sees, over time: what its [pictures](super::manhattan) tell, one after the other.

use bevy::math::Vec3;
use image::RgbImage;

use super::manhattan::{edges, lens_from, up_from};
use crate::camera::Intrinsics;

/// How far a camera looks down and is rolled clockwise as seen from behind it, in degrees, where that is up in its frame (OpenCV).
pub fn pitch_and_roll(up: Vec3) -> (f32, f32) {
    let pitch = (-up.z).clamp(-1.0, 1.0).asin();
    (pitch.to_degrees(), (-up.x).atan2(-up.y).to_degrees())
}

/// How a camera is held and how wide it sees, as a line for people.
pub fn in_words(lens: &Intrinsics, up: Vec3) -> String {
    let (pitch, roll) = pitch_and_roll(up);
    let towards = |angle: f32, positive: &str, negative: &str| {
        let way = if angle < 0.0 { negative } else { positive };
        format!("{:.0}° {way}", angle.abs())
    };
    format!(
        "looks {}, rolled {}, sees {:.0}°",
        towards(pitch, "down", "up"),
        towards(roll, "clockwise", "anticlockwise"),
        lens.field_of_view().to_degrees()
    )
}

/// Ups nearer to one another than this, in degrees, are the same.
const SAME: f32 = 4.0;
/// As many looks as count for what is known already, at most.
const MOST_LOOKS: f32 = 20.0;
/// Seconds between the first two looks, and the longest pause. Looking takes as long as a few frames do.
const PAUSE: (f64, f64) = (0.25, 32.0);

/// The first looks may tell the lens. People who are there already would leap if a later one did.
const LENS_LOOKS: u32 = 3;

/// How one camera is held, from a look at its picture now and then: often at first and after it was moved, then seldom.
#[derive(Clone, Debug, Default)]
pub struct Attitude {
    up: Option<Vec3>,
    field_of_view: Option<f64>,
    /// Looks at which the field of view was sought.
    lens_looks: u32,
    looks: f32,
    /// What the last look told otherwise.
    doubt: Option<Vec3>,
    last: Option<f64>,
    pause: f64,
}

impl Attitude {
    /// Up in the camera frame (OpenCV), of length 1, where it is known.
    pub fn up(&self) -> Option<Vec3> {
        self.up
    }

    /// The lens for pictures of that size, where nobody calibrated it: as the room tells, else as is usual.
    pub fn lens(&self, width: u32, height: u32) -> Intrinsics {
        match self.field_of_view {
            Some(view) => Intrinsics::from_field_of_view(width, height, view),
            None => Intrinsics::assumed(width, height),
        }
    }

    /// The field of view along the longer side, in radians, where the room told it.
    pub fn field_of_view(&self) -> Option<f64> {
        self.field_of_view
    }

    /// Looks at a picture, if it is time to; `time` in seconds of the source's clock, which may begin anew. A lens that is not
    /// `given` is sought.
    pub fn look(&mut self, picture: &RgbImage, given: Option<&Intrinsics>, time: f64) {
        let waits = |last: f64| (0.0..self.pause).contains(&(time - last));
        if self.last.is_some_and(waits) {
            return;
        }
        self.last = Some(time);
        self.pause = (2.0 * self.pause).clamp(PAUSE.0, PAUSE.1);
        let camera = given.copied();
        let camera = camera.unwrap_or_else(|| self.lens(picture.width(), picture.height()));
        let edges = edges(picture, &camera);
        if given.is_none() && self.field_of_view.is_none() && self.lens_looks < LENS_LOOKS {
            self.lens_looks += 1;
            if let Some((view, up)) = lens_from(&edges) {
                // What was told before was told of another lens.
                (self.up, self.looks) = (None, 0.0);
                self.field_of_view = Some(view);
                self.take(up);
                return;
            }
        }
        if let Some(up) = up_from(&edges) {
            self.take(up);
        }
    }

    /// Takes in what a look told. One that tells something else is believed when the next agrees with it.
    fn take(&mut self, told: Vec3) {
        let agrees = |other: Vec3| other.dot(told) > SAME.to_radians().cos();
        let known = match (self.up, self.doubt) {
            (Some(up), _) if agrees(up) => up,
            (Some(_), Some(doubt)) if agrees(doubt) => {
                self.looks = 1.0;
                doubt
            }
            (Some(_), _) => {
                self.doubt = Some(told);
                self.pause = PAUSE.0;
                return;
            }
            (None, _) => told,
        };
        self.doubt = None;
        self.up = Some((known * self.looks + told).normalize_or(told));
        self.looks = (self.looks + 1.0).min(MOST_LOOKS);
    }
}

#[cfg(test)]
mod tests {
    use super::super::manhattan::tests::{held, room};
    use super::*;
    use bevy::math::Quat;

    #[test]
    fn pitch_and_roll_are_those_of_the_camera() {
        let (down, roll) = pitch_and_roll(held(40.0, 25.0, 10.0).inverse() * Vec3::NEG_Y);
        assert!(
            (down - 25.0).abs() < 1e-3 && (roll - 10.0).abs() < 1e-3,
            "{down} {roll}"
        );
        let words = in_words(&Intrinsics::assumed(640, 480), Vec3::new(0.1, -0.9, 0.2));
        assert_eq!(words, "looks 12° up, rolled 6° anticlockwise, sees 62°");
    }

    #[test]
    fn one_odd_look_is_not_believed_and_two_are() {
        let tilted = |degrees: f32| Quat::from_rotation_x(degrees.to_radians()) * Vec3::NEG_Y;
        let near = |attitude: &Attitude, degrees: f32| {
            let off = attitude.up().map(|up| up.angle_between(tilted(degrees)));
            off.is_some_and(|off| off < 0.02)
        };
        let mut attitude = Attitude::default();
        assert_eq!(attitude.up(), None);
        for degrees in [10.0, 11.0, 9.0] {
            attitude.take(tilted(degrees));
        }
        assert!(near(&attitude, 10.0), "{attitude:?}");
        attitude.take(tilted(30.0));
        assert!(near(&attitude, 10.0));
        attitude.take(tilted(10.0));
        attitude.take(tilted(30.0));
        assert!(
            near(&attitude, 10.0),
            "those two were not one after the other"
        );
        attitude.take(tilted(30.0));
        assert!(near(&attitude, 30.0), "the camera was moved: {attitude:?}");
    }

    #[test]
    fn looks_become_rare_and_a_clip_that_begins_anew_is_looked_at() {
        let camera = Intrinsics::assumed(1280, 960);
        let picture = room(&camera, held(30.0, 10.0, 0.0));
        let mut attitude = Attitude::default();
        let mut looked = Vec::new();
        for quarter in 0..40 {
            let before = attitude.looks;
            attitude.look(&picture, Some(&camera), f64::from(quarter) / 4.0);
            if attitude.looks > before {
                looked.push(quarter);
            }
        }
        assert_eq!(looked, [0, 1, 3, 7, 15, 31]);
        attitude.look(&picture, Some(&camera), 0.0);
        assert_eq!(attitude.looks, 7.0);
    }

    #[test]
    fn a_lens_that_the_room_tells_is_kept_and_one_that_was_given_is_not_sought() {
        let wide = Intrinsics::from_field_of_view(1280, 960, 76_f64.to_radians());
        let picture = room(&wide, held(35.0, 20.0, 4.0));
        let mut attitude = Attitude::default();
        attitude.look(&picture, Some(&wide), 0.0);
        assert_eq!(attitude.field_of_view(), None);
        let mut attitude = Attitude::default();
        assert_eq!(attitude.lens(1280, 960), Intrinsics::assumed(1280, 960));
        for look in 0..3 {
            attitude.look(&picture, None, f64::from(look));
            let view = attitude.field_of_view().map(f64::to_degrees);
            assert!(
                view.is_some_and(|view| (view - 76.0).abs() <= 2.0),
                "{view:?}"
            );
        }
        assert_eq!(attitude.looks, 3.0);
    }
}
