//! How one camera is held and how wide it sees, over time: what the straight edges of the room tell
//! in its pictures, one after the other.
//!
//! The first look that tells something is believed, and after it what two on end agree in; people who lean are not asked; and what is
//! not told any more is forgotten.

use bevy::math::Vec3;
use image::RgbImage;

use super::manhattan::{edges, lens_from, up_from};
use crate::camera::{Intrinsics, LensSource, same_proportions};

/// How far a camera looks down and is rolled clockwise as seen from behind it, in degrees, where that is up in its frame (OpenCV).
pub fn pitch_and_roll(up: Vec3) -> (f32, f32) {
    let pitch = (-up.z).clamp(-1.0, 1.0).asin();
    (pitch.to_degrees(), (-up.x).atan2(-up.y).to_degrees())
}

/// How a camera is held, where the room told that, and its lens, as a line for people.
pub fn in_words(up: Option<Vec3>, lens: &Intrinsics, source: LensSource) -> String {
    let towards = |angle: f32, positive: &str, negative: &str| {
        let way = if angle < 0.0 { negative } else { positive };
        format!("{:.0}° {way}", angle.abs())
    };
    let held = up.map_or(String::new(), |up| {
        let (pitch, roll) = pitch_and_roll(up);
        let pitch = towards(pitch, "down", "up");
        let roll = towards(roll, "clockwise", "anticlockwise");
        format!("looks {pitch}, rolled {roll}; ")
    });
    let known = match source {
        LensSource::Given => "as given",
        LensSource::Room => "as the room tells",
        LensSource::Assumed => "assumed",
    };
    let view = lens.field_of_view().to_degrees();
    format!("{held}sees {view:.0}°, {known}")
}

/// Ups nearer to one another than this, in degrees, are the same.
const SAME: f32 = 4.0;
/// As many looks as count for what is known already, at most: slow turns are followed.
const MOST_LOOKS: f32 = 5.0;
/// Seconds between the first two looks, or until one that told something else is made again; and the longest pause. A look takes about
/// 0.03 s of one core, one that seeks the lens a tenth of a second.
const PAUSE: (f64, f64) = (0.25, 8.0);
/// What no look has told for so many seconds is forgotten: the camera may have been turned to a blank wall.
const FORGOTTEN: f64 = 30.0;
/// Looks that tell up and no lens, after which none is sought: the room is seen from where it does not tell.
const LENS_LOOKS: u32 = 3;

/// How one camera is held, from a look at its picture now and then: often at first, then seldom.
#[derive(Clone, Debug, Default)]
pub struct Attitude {
    up: Option<Vec3>,
    field_of_view: Option<f64>,
    /// Looks at which the field of view was sought in vain.
    lens_looks: u32,
    /// Looks that up is the mean of.
    looks: f32,
    /// What the last look told otherwise.
    doubt: Option<Vec3>,
    /// When the last look was, and the last that told something.
    last: Option<f64>,
    told: f64,
    pause: f64,
    size: (u32, u32),
}

impl Attitude {
    /// Up in the camera frame (OpenCV), of length 1, where it is known.
    pub fn up(&self) -> Option<Vec3> {
        self.up
    }

    /// The lens for pictures of that size: as `given`, else as the room tells, else as is usual.
    pub fn lens(
        &self,
        given: Option<Intrinsics>,
        (width, height): (u32, u32),
    ) -> (Intrinsics, LensSource) {
        if let Some(given) = given {
            return (given, LensSource::Given);
        }
        let same = same_proportions(self.size, (width, height));
        match self.field_of_view.filter(|_| same) {
            Some(view) => {
                let lens = Intrinsics::from_field_of_view(width, height, view);
                (lens, LensSource::Room)
            }
            None => (Intrinsics::assumed(width, height), LensSource::Assumed),
        }
    }

    /// Looks at a picture, if it is time to; `time` in seconds of the source's clock, which may begin anew. A lens that is not
    /// `given` is sought.
    pub fn look(&mut self, picture: &RgbImage, given: Option<Intrinsics>, time: f64) {
        if !same_proportions(self.size, picture.dimensions()) {
            // Another mode of the camera, or another camera: nobody knows what it cuts off.
            *self = Attitude::default();
        }
        self.size = picture.dimensions();
        if !self.is_time(time) {
            return;
        }
        let (camera, source) = self.lens(given, self.size);
        let edges = edges(picture, &camera);
        let is_sought = source == LensSource::Assumed && self.lens_looks < LENS_LOOKS;
        if let Some((view, up)) = is_sought.then(|| lens_from(&edges)).flatten() {
            // What was told before was told of another lens.
            (self.up, self.doubt, self.looks) = (None, None, 0.0);
            self.field_of_view = Some(view);
            return self.take(Some(up), time);
        }
        let told = up_from(&edges);
        self.lens_looks += u32::from(is_sought && told.is_some());
        self.take(told, time);
    }

    /// Whether a look is due.
    fn is_time(&mut self, time: f64) -> bool {
        if !time.is_finite() {
            return false;
        }
        let pause = if self.doubt.is_some() {
            PAUSE.0
        } else {
            self.pause
        };
        match self.last {
            // A clip that begins anew shows the same room.
            Some(last) if time < last => {
                (self.last, self.told) = (Some(time), time);
                return false;
            }
            Some(last) if time < last + pause => return false,
            _ => {}
        }
        self.last = Some(time);
        self.pause = (2.0 * self.pause).clamp(PAUSE.0, PAUSE.1);
        true
    }

    /// Takes in what a look told. One that tells something else is believed when the next agrees with it.
    fn take(&mut self, told: Option<Vec3>, time: f64) {
        let Some(told) = told else {
            self.doubt = None;
            if time - self.told > FORGOTTEN {
                (self.up, self.looks) = (None, 0.0);
            }
            return;
        };
        self.told = time;
        let agrees = |other: Vec3| other.dot(told) > SAME.to_radians().cos();
        let known = match (self.up, self.doubt) {
            (Some(up), _) if agrees(up) => up,
            (Some(_), Some(doubt)) if agrees(doubt) => {
                self.looks = 1.0;
                doubt
            }
            (Some(_), _) => {
                self.doubt = Some(told);
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
        let lens = Intrinsics::assumed(640, 480);
        let words = |up, source| in_words(up, &lens, source);
        assert_eq!(
            words(Some(Vec3::new(0.1, -0.9, 0.2)), LensSource::Assumed),
            "looks 12° up, rolled 6° anticlockwise; sees 62°, assumed"
        );
        assert_eq!(words(None, LensSource::Room), "sees 62°, as the room tells");
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
        let take = |attitude: &mut Attitude, told: Option<f32>| {
            attitude.take(told.map(tilted), 0.0);
        };
        for degrees in [10.0, 11.0, 9.0] {
            take(&mut attitude, Some(degrees));
        }
        assert!(near(&attitude, 10.0), "{attitude:?}");
        take(&mut attitude, Some(30.0));
        assert!(near(&attitude, 10.0));
        for between in [Some(10.0), None] {
            take(&mut attitude, between);
            take(&mut attitude, Some(30.0));
            assert!(near(&attitude, 10.0), "not one after the other");
        }
        take(&mut attitude, Some(30.0));
        assert!(near(&attitude, 30.0), "the camera was moved: {attitude:?}");
    }

    #[test]
    fn what_is_not_told_any_more_is_forgotten() {
        let mut attitude = Attitude::default();
        attitude.take(Some(Vec3::NEG_Y), 5.0);
        attitude.take(None, 20.0);
        assert!(attitude.up().is_some());
        attitude.take(None, 36.0);
        assert_eq!(attitude.up(), None);
    }

    #[test]
    fn looks_become_rare_but_for_one_in_doubt() {
        let mut attitude = Attitude::default();
        let looks = |attitude: &mut Attitude, from: u32, to: u32| -> Vec<u32> {
            let is_time = |quarter: &u32| attitude.is_time(f64::from(*quarter) / 4.0);
            (from..to).filter(is_time).collect()
        };
        assert_eq!(looks(&mut attitude, 0, 100), [0, 1, 3, 7, 15, 31, 63, 95]);
        attitude.doubt = Some(Vec3::NEG_Y);
        assert_eq!(looks(&mut attitude, 100, 101), [100]);
        attitude.doubt = None;
        assert!(!attitude.is_time(f64::NAN));
        // A clip that is shorter than the pause, over and over.
        for _ in 0..5 {
            assert!(looks(&mut attitude, 0, 20).is_empty());
        }
    }

    #[test]
    fn pictures_of_other_proportions_are_of_another_camera() {
        let lens = Intrinsics::from_field_of_view(1280, 960, 76_f64.to_radians());
        let picture = room(&lens, held(35.0, 20.0, 4.0));
        let mut attitude = Attitude::default();
        attitude.look(&picture, None, 0.0);
        assert_eq!(attitude.lens(None, (640, 480)).1, LensSource::Room);
        assert_eq!(attitude.lens(None, (1280, 720)).1, LensSource::Assumed);
        let wall = RgbImage::from_pixel(1280, 720, image::Rgb([90; 3]));
        attitude.look(&wall, None, 0.1);
        assert_eq!(attitude.up(), None);
        assert_eq!(attitude.lens(None, (1280, 720)).1, LensSource::Assumed);
    }

    #[test]
    fn a_lens_that_the_room_tells_is_kept_and_one_that_was_given_is_not_sought() {
        let wide = Intrinsics::from_field_of_view(1280, 960, 76_f64.to_radians());
        let picture = room(&wide, held(35.0, 20.0, 4.0));
        let mut attitude = Attitude::default();
        attitude.look(&picture, Some(wide), 0.0);
        assert!(attitude.up().is_some());
        assert_eq!(attitude.lens(None, (1280, 960)).1, LensSource::Assumed);
        let mut attitude = Attitude::default();
        for look in 0..4 {
            attitude.look(&picture, None, f64::from(look));
            let (lens, source) = attitude.lens(None, (1280, 960));
            let off = lens.field_of_view().to_degrees() - 76.0;
            assert!(source == LensSource::Room && off.abs() <= 2.0, "{off}");
        }
    }

    #[test]
    fn a_lens_that_the_room_does_not_tell_is_not_sought_for_ever() {
        let lens = Intrinsics::assumed(1280, 960);
        let (wall, corner) = (held(0.0, 0.0, 0.0), held(35.0, 20.0, 4.0));
        let mut attitude = Attitude::default();
        // What tells nothing at all, a dark picture, is no look at the room.
        attitude.look(&RgbImage::new(1280, 960), None, 0.0);
        for look in 1..=3 {
            attitude.look(&room(&lens, wall), None, 10.0 * f64::from(look));
        }
        assert!(attitude.up().is_some());
        attitude.look(&room(&lens, corner), None, 40.0);
        assert_eq!(attitude.lens(None, (1280, 960)).1, LensSource::Assumed);
    }
}
