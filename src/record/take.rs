//! A take on disk: one JSON line that says what it is, then one line per frame. A line is whole or not there, so a take
//! whose program was killed is the same take, a moment shorter.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bevy::log::warn;
use bevy::math::{Vec2, Vec3};
use serde::{Deserialize, Serialize};

use crate::camera::Extrinsics;
use crate::multiview::RoomPerson;
use crate::pipeline::Capture;
use crate::room::RoomCapture;
use crate::skeleton::convert::{bevy_from_opencv, transform_of, with_bevy_axes};
use crate::skeleton::{Confidence, Joint, Joint3d, JointMap, Keypoint, Origin, Pose2d, Pose3d};

/// What is wrong with a take.
#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    /// The file cannot be made or written.
    #[error("cannot write the take {path}: {error}; what was recorded so far is kept")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// The file cannot be read.
    #[error("cannot read the take {path}: {error}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: String,
    },
}

/// Where up is in a camera that stands level.
const UP: [f32; 3] = [0.0, -1.0, 0.0];

/// The first line of a take.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TakeHeader {
    /// Always `bevy_pose_capture take`.
    pub format: String,
    /// 1.
    pub version: u32,
    /// Which source it is from.
    pub source: String,
    /// Width and height of the pictures, in pixels.
    pub size: (u32, u32),
}

/// A person in one frame, as kept in a take.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TakeFrame {
    /// Seconds since the take began.
    pub time: f64,
    /// Who it is.
    pub id: u32,
    /// Name, x and y in pixels, confidence.
    pub seen: Vec<(Joint, f32, f32, f32)>,
    /// Name, x, y, z in metres, expected error, origin: in the camera frame (OpenCV); of calibrated cameras, in that of a camera that stands
    /// level in the world's origin.
    pub lifted: Vec<(Joint, f32, f32, f32, f32, Origin)>,
    /// The direction opposite to gravity there, of length 1, where it was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up: Option<[f32; 3]>,
    /// Seconds of the take until then, in all, in which no camera of it saw anything, where there were any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unseen: Option<f64>,
}

/// Takes tell seconds to the microsecond.
pub(crate) fn to_microsecond(seconds: f64) -> f64 {
    (seconds * 1e6).round() / 1e6
}

impl TakeFrame {
    /// The people of a frame who were lifted, at `time` seconds of the take, kept to the microsecond.
    pub fn of(capture: &Capture, time: f64) -> Vec<TakeFrame> {
        let time = to_microsecond(time);
        capture
            .people
            .iter()
            .filter_map(|person| {
                let lifted = person.lifted.as_ref()?;
                Some(TakeFrame {
                    time,
                    id: person.seen.id,
                    seen: person
                        .seen
                        .pose
                        .present()
                        .map(|(j, p)| (j, p.position.x, p.position.y, p.confidence.get()))
                        .collect(),
                    lifted: lifted
                        .pose
                        .present()
                        .map(|(j, p)| {
                            (
                                j,
                                p.position.x,
                                p.position.y,
                                p.position.z,
                                p.sigma,
                                p.origin,
                            )
                        })
                        .collect(),
                    up: capture.up.map(|up| up.to_array()),
                    unseen: None,
                })
            })
            .collect()
    }

    /// The same of a camera of which it is known where it stands, in the axes of [rooms](Self::of_room): a take may go from the one to the
    /// other.
    pub fn of_view(capture: &Capture, extrinsics: &Extrinsics, time: f64) -> Vec<TakeFrame> {
        let world_from_camera = transform_of(extrinsics);
        let mut frames = TakeFrame::of(capture, time);
        for frame in &mut frames {
            for (_, x, y, z, ..) in &mut frame.lifted {
                let point = bevy_from_opencv(Vec3::new(*x, *y, *z));
                let point = bevy_from_opencv(world_from_camera.transform_point(point));
                [*x, *y, *z] = point.to_array();
            }
            frame.up = Some(UP);
        }
        frames
    }

    /// The people of a room at a moment, at `time` seconds of the take. Takes are kept in OpenCV's axes (see
    /// [`convert`](crate::skeleton::convert)): here those of a camera that stands level in the room's origin.
    pub fn of_room(capture: &RoomCapture, time: f64) -> Vec<TakeFrame> {
        let frame = |person: &RoomPerson| {
            let pose = with_bevy_axes(&person.pose());
            let lifted = pose.present().map(|(joint, p)| {
                let [x, y, z] = p.position.to_array();
                (joint, x, y, z, p.sigma, p.origin)
            });
            // Seen where the first view that sees them does.
            let seen = person
                .seen
                .first()
                .and_then(|&(view, n)| capture.seen.get(view)?.get(n));
            let seen = seen.iter().flat_map(|seen| seen.pose.present());
            TakeFrame {
                time: to_microsecond(time),
                id: person.id,
                seen: seen
                    .map(|(j, p)| (j, p.position.x, p.position.y, p.confidence.get()))
                    .collect(),
                lifted: lifted.collect(),
                up: Some(UP),
                unseen: None,
            }
        };
        capture.people.iter().map(frame).collect()
    }

    /// The joints as they were [lifted](Self::lifted), in metres.
    pub fn pose(&self) -> Pose3d {
        let mut pose: Pose3d = JointMap::default();
        for &(joint, x, y, z, sigma, origin) in &self.lifted {
            pose[joint] = Some(Joint3d {
                position: Vec3::new(x, y, z),
                sigma,
                origin,
            });
        }
        pose
    }

    /// Middle and longer side of the box around the joints seen, in pixels.
    fn apparent_place(&self) -> (Vec2, f32) {
        let sure = self.seen.iter().filter(|seen| seen.3 > 0.3);
        let (low, high) = sure.fold((Vec2::MAX, Vec2::MIN), |(low, high), seen| {
            let place = Vec2::new(seen.1, seen.2);
            (low.min(place), high.max(place))
        });
        if low.x > high.x {
            return (Vec2::ZERO, 0.0);
        }
        ((low + high) * 0.5, (high - low).max_element())
    }

    /// The joints in the picture.
    pub fn pose2d(&self) -> Pose2d {
        let mut pose: Pose2d = JointMap::default();
        for &(joint, x, y, sure) in &self.seen {
            pose[joint] = Some(Keypoint {
                position: Vec2::new(x, y),
                confidence: Confidence::new(sure),
            });
        }
        pose
    }
}

/// A take.
#[derive(Clone, Debug, PartialEq)]
pub struct Take {
    /// What it is.
    pub header: TakeHeader,
    /// Frames in order of time.
    pub frames: Vec<TakeFrame>,
}

impl Take {
    /// An empty take of a source.
    pub fn new(source: &str, size: (u32, u32)) -> Take {
        let header = TakeHeader {
            format: FORMAT.into(),
            version: 1,
            source: source.into(),
            size,
        };
        Take {
            header,
            frames: Vec::new(),
        }
    }

    /// Reads a take; a last line that was cut off is left out, and so are broken ones, which are logged.
    ///
    /// # Errors
    /// [`TakeError::Read`] when the file is no take.
    pub fn read(path: &Path) -> Result<Take, TakeError> {
        let failed = |error: String| TakeError::Read {
            path: path.into(),
            error,
        };
        let bytes = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
        let mut lines = bytes.split(|byte| *byte == b'\n');
        let header: TakeHeader = serde_json::from_slice(lines.next().unwrap_or_default())
            .map_err(|_| failed("its first line is not a take's".into()))?;
        if header.format != FORMAT || header.version != 1 {
            return Err(failed(format!(
                "it is {} version {}, not {FORMAT} version 1",
                header.format, header.version
            )));
        }
        let mut lines = lines.enumerate().peekable();
        let mut frames = Vec::new();
        while let Some((number, line)) = lines.next() {
            match serde_json::from_slice(line) {
                Ok(frame) => frames.push(frame),
                // The last line may be cut: the program was killed while it wrote.
                Err(_) if lines.peek().is_none() => {}
                Err(error) => warn!(
                    "line {} of the take {} is broken and left out: {error}",
                    number + 2,
                    path.display()
                ),
            }
        }
        Ok(Take { header, frames })
    }

    /// Writes all of it. Until that is done the file stays what it was.
    ///
    /// # Errors
    /// [`TakeError::Write`].
    pub fn write(&self, path: &Path) -> Result<(), TakeError> {
        let unfinished = path.with_added_extension("unfinished");
        let all = TakeWriter::create(&unfinished).and_then(|mut writer| {
            writer.begin(&self.header)?;
            for frame in &self.frames {
                writer.line(frame)?;
            }
            writer.flush()
        });
        let written = all.and_then(|()| {
            std::fs::rename(&unfinished, path).map_err(|error| TakeError::Write {
                path: path.into(),
                error,
            })
        });
        if written.is_err() {
            // Whatever comes next needs the room more.
            let _ = std::fs::remove_file(&unfinished);
        }
        written
    }

    /// Whom the take is about: who fills the most of the picture over the most frames. Bystanders are seen as long, but
    /// smaller.
    ///
    /// Somebody who was lost for a moment, or whose clip began anew, has another number after that; so these are the numbers
    /// of one person after the other, in the order of time, no two of them at the same time. Whoever turns up elsewhere, or
    /// [seconds](LOST_FOR) later, is somebody else; seconds in which no camera saw anything do not count. Empty where nobody was seen.
    pub fn main_person(&self) -> Vec<u32> {
        let mut shown = BTreeMap::<u32, Shown>::new();
        // While no camera was there, nobody was lost.
        for frame in &self.frames {
            let time = frame.time - frame.unseen.unwrap_or(0.0);
            let (middle, size) = frame.apparent_place();
            let person = shown.entry(frame.id).or_insert(Shown {
                first: (time, middle),
                last: (time, middle),
                total: 0.0,
                frames: 0,
            });
            person.last = (time, middle);
            person.total += size;
            person.frames += 1;
        }
        let mut candidates: Vec<(u32, Shown)> = shown.into_iter().collect();
        candidates.sort_by(|a, b| b.1.total.total_cmp(&a.1.total));
        if candidates.is_empty() {
            return Vec::new();
        }
        let mut chosen = vec![candidates.remove(0)];
        let least = 0.4 * chosen[0].1.mean();
        candidates.retain(|(_, person)| person.mean() >= least);
        // On from the end, and back from the beginning, of what is theirs already.
        loop {
            // The nearest in time: a longer one further on would leave no room for those between.
            let (begin, end) = (chosen[0].1, chosen[chosen.len() - 1].1);
            let gap = |person: &Shown| {
                let after = person.follows(&end).then_some(person.first.0 - end.last.0);
                let before = begin
                    .follows(person)
                    .then_some(begin.first.0 - person.last.0);
                after.into_iter().chain(before).reduce(f64::min)
            };
            let gaps = candidates.iter().enumerate();
            let gaps = gaps.filter_map(|(n, (_, person))| Some((n, gap(person)?)));
            let Some((next, _)) = gaps.min_by(|a, b| a.1.total_cmp(&b.1)) else {
                break;
            };
            let (id, person) = candidates.remove(next);
            if person.follows(&end) {
                chosen.push((id, person));
            } else {
                chosen.insert(0, (id, person));
            }
        }
        chosen.into_iter().map(|(id, _)| id).collect()
    }
}

/// Somebody who was lost for longer than this, in seconds, is not known again.
pub const LOST_FOR: f64 = 3.0;
/// A gap of no more than this, in seconds, is where a source began anew: whoever is there then may be anywhere.
const SEAM: f64 = 0.1;

/// When and how large somebody was seen.
#[derive(Clone, Copy, Debug)]
struct Shown {
    /// Seconds in which there was a camera, and the middle of them in the picture.
    first: (f64, Vec2),
    last: (f64, Vec2),
    total: f32,
    frames: u32,
}

impl Shown {
    fn mean(&self) -> f32 {
        self.total / self.frames.max(1) as f32
    }

    /// Whether they may be somebody earlier, lost and found again.
    fn follows(&self, earlier: &Shown) -> bool {
        let gap = self.first.0 - earlier.last.0;
        let moved = self.first.1.distance(earlier.last.1);
        let near = moved < 1.5 * self.mean().max(earlier.mean());
        gap > 0.0 && (gap <= SEAM || (gap <= LOST_FOR && near))
    }
}

const FORMAT: &str = "bevy_pose_capture take";
/// How long a frame may wait in memory before it is on disk.
const FLUSH: Duration = Duration::from_millis(500);

/// Writes a take while it runs.
#[derive(Debug)]
pub struct TakeWriter {
    path: PathBuf,
    file: BufWriter<File>,
    flushed: Instant,
}

impl TakeWriter {
    /// Makes the file and its folder. The [header](Self::begin) comes next.
    ///
    /// # Errors
    /// [`TakeError::Write`].
    pub fn create(path: &Path) -> Result<TakeWriter, TakeError> {
        let failed = |error| TakeError::Write {
            path: path.into(),
            error,
        };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        let file = BufWriter::new(File::create(path).map_err(failed)?);
        Ok(TakeWriter {
            path: path.into(),
            file,
            flushed: Instant::now(),
        })
    }

    /// Says what the take is; once, before its frames.
    ///
    /// # Errors
    /// [`TakeError::Write`].
    pub fn begin(&mut self, header: &TakeHeader) -> Result<(), TakeError> {
        self.line(header)?;
        self.flush()
    }

    /// Adds a frame.
    ///
    /// # Errors
    /// [`TakeError::Write`], for instance when the disk is full; lines already written stay.
    pub fn push(&mut self, frame: &TakeFrame) -> Result<(), TakeError> {
        self.line(frame)?;
        if self.flushed.elapsed() > FLUSH {
            self.flush()?;
        }
        Ok(())
    }

    /// Hands everything to the disk.
    ///
    /// # Errors
    /// [`TakeError::Write`].
    pub fn flush(&mut self) -> Result<(), TakeError> {
        self.flushed = Instant::now();
        self.file.flush().map_err(|error| TakeError::Write {
            path: self.path.clone(),
            error,
        })
    }

    fn line(&mut self, value: &impl Serialize) -> Result<(), TakeError> {
        let failed = |error: std::io::Error| TakeError::Write {
            path: self.path.clone(),
            error,
        };
        let mut text = serde_json::to_vec(value).map_err(|error| failed(error.into()))?;
        text.push(b'\n');
        self.file.write_all(&text).map_err(failed)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn frame(n: u32) -> TakeFrame {
        TakeFrame {
            time: to_microsecond(f64::from(n) / 30.0),
            id: 1,
            seen: vec![(Joint::Nose, n as f32, 2.0, 0.5)],
            lifted: vec![(
                Joint::LeftHip,
                0.1,
                n as f32 * 0.01,
                3.0,
                0.02,
                Origin::Lifted,
            )],
            up: (n > 2).then_some([0.0, -0.96, -0.28]),
            unseen: None,
        }
    }

    #[test]
    fn a_take_whose_program_was_killed_lacks_only_the_line_being_written()
    -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("new/a.take");
        let header = Take::new("test", (64, 48)).header;
        let mut writer = TakeWriter::create(&path)?;
        writer.begin(&header)?;
        for n in 0..10 {
            writer.push(&frame(n))?;
        }
        writer.flush()?;
        let whole = std::fs::read(&path)?;
        std::fs::write(&path, &whole[..whole.len() - 9])?;
        let take = Take::read(&path)?;
        assert_eq!(take.header, header);
        assert_eq!(take.frames, (0..9).map(frame).collect::<Vec<_>>());
        Ok(())
    }

    #[test]
    fn a_broken_line_costs_that_line_only() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("a.take");
        let mut writer = TakeWriter::create(&path)?;
        writer.begin(&Take::new("test", (64, 48)).header)?;
        for n in 0..5 {
            writer.push(&frame(n))?;
        }
        writer.flush()?;
        let mut bytes = std::fs::read(&path)?;
        let third_line = bytes
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte == b'\n')
            .nth(1);
        let start = third_line.ok_or("too short")?.0 + 1;
        bytes[start..start + 4].copy_from_slice(&[0xff, 0, b'x', 0xc3]);
        std::fs::write(&path, bytes)?;
        let times = |n: u32| frame(n).time;
        let read: Vec<f64> = Take::read(&path)?
            .frames
            .iter()
            .map(|frame| frame.time)
            .collect();
        assert_eq!(read, [0, 2, 3, 4].map(times));
        Ok(())
    }

    #[test]
    fn frames_reach_the_disk_within_a_second_without_being_asked_to()
    -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("a.take");
        let mut writer = TakeWriter::create(&path)?;
        writer.begin(&Take::new("test", (1, 1)).header)?;
        writer.push(&frame(0))?;
        writer.flushed = Instant::now()
            .checked_sub(Duration::from_secs(1))
            .ok_or("a young clock")?;
        writer.push(&frame(1))?;
        assert_eq!(Take::read(&path)?.frames.len(), 2);
        Ok(())
    }

    #[test]
    fn a_take_is_about_whoever_is_largest_and_not_about_a_bystander() {
        let mut take = Take::new("test", (640, 480));
        for n in 0..10 {
            for (id, size) in [(1, 200.0), (2, 40.0), (3, 20.0)] {
                let seen = vec![
                    (Joint::Nose, 0.0, 0.0, 0.9),
                    (Joint::LeftAnkle, 5.0, size, 0.9),
                    (Joint::LeftWrist, 900.0, 0.0, 0.1),
                ];
                take.frames.push(TakeFrame {
                    id,
                    seen,
                    ..frame(n)
                });
            }
        }
        assert_eq!(take.main_person(), [1]);
        assert!(Take::new("test", (1, 1)).main_person().is_empty());
    }

    #[test]
    fn who_was_lost_for_a_moment_is_the_same_person_and_others_are_not() {
        let mut take = Take::new("test", (640, 480));
        for (id, first, count, size, x) in [
            (4, 0, 20, 200.0, 0.0),
            (9, 30, 40, 180.0, 30.0),
            // Small, at other times; then as large, elsewhere; then as large, in the same place, long after.
            (5, 21, 8, 30.0, 0.0),
            (6, 10, 30, 60.0, 0.0),
            (7, 80, 20, 180.0, 500.0),
            (8, 300, 20, 180.0, 30.0),
        ] {
            for n in first..first + count {
                let seen = vec![
                    (Joint::Nose, x, 0.0, 0.9),
                    (Joint::LeftAnkle, x + 5.0, size, 0.9),
                ];
                take.frames.push(TakeFrame {
                    id,
                    seen,
                    ..frame(n)
                });
            }
        }
        assert_eq!(take.main_person(), [4, 9]);
    }

    #[test]
    fn nobody_is_lost_while_there_is_no_camera() {
        for (away, back, expected) in [
            (true, 400, &[1, 2][..]),
            (false, 400, &[1]),
            (true, 490, &[1]),
        ] {
            let mut take = Take::new("test", (640, 480));
            for n in (0..100).chain(back..back + 50) {
                let is_back = n >= 400;
                take.frames.push(TakeFrame {
                    id: if is_back { 2 } else { 1 },
                    seen: vec![
                        (Joint::Nose, 0.0, 0.0, 0.9),
                        (Joint::LeftAnkle, 5.0, 200.0, 0.9),
                    ],
                    unseen: (is_back && away).then_some(9.5),
                    ..frame(n)
                });
            }
            assert_eq!(take.main_person(), expected, "{away}, {back}");
        }
    }

    #[test]
    fn nobody_is_left_out_between_two_losses() {
        let mut take = Take::new("test", (640, 480));
        // Long, short, longest, in one place; the gaps of the short one are the shorter ones.
        for (id, first, count) in [(1, 0, 100), (2, 105, 20), (3, 130, 120)] {
            for n in first..first + count {
                let seen = vec![
                    (Joint::Nose, 0.0, 0.0, 0.9),
                    (Joint::LeftAnkle, 5.0, 200.0, 0.9),
                ];
                take.frames.push(TakeFrame {
                    id,
                    seen,
                    ..frame(n)
                });
            }
        }
        assert_eq!(take.main_person(), [1, 2, 3]);
    }

    #[test]
    fn what_is_no_take_is_refused_by_name() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("notes.txt");
        std::fs::write(&path, "hello\n")?;
        assert!(Take::read(&path).is_err_and(|error| error.to_string().contains("notes.txt")));
        Ok(())
    }

    #[test]
    fn a_full_disk_is_one_sentence() {
        // Linux's disk that is always full.
        if !Path::new("/dev/full").exists() {
            eprintln!("skipped: no /dev/full here");
            return;
        }
        let error = TakeWriter::create(Path::new("/dev/full"))
            .and_then(|mut writer| writer.begin(&Take::new("test", (1, 1)).header))
            .err();
        assert!(error.is_some_and(|error| {
            error
                .to_string()
                .starts_with("cannot write the take /dev/full")
        }));
    }
}
