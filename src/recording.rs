//! Recording in the running game: start and stop by message; the take is on disk while it runs, the glTF file after it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bevy::prelude::*;

use crate::capture::room::{Room, RoomCaptured};
use crate::capture::{CaptureCamera, Captured};
use crate::plugin::{PoseCaptureSystems, order_stages};
use crate::record::bake::bake;
use crate::record::gltf::{AvatarFile, GltfError};
use crate::record::take::{Take, TakeError, TakeFrame, TakeHeader, TakeWriter};
use crate::retarget::solve::Rig;
use crate::room::RoomCapture;
use crate::worker::{Inbox, Outbox, Received, StopFlag, WhenFull, Worker, mailbox};

/// Begins a take. A running one is stopped first.
#[derive(Message, Clone, Debug, Default)]
pub struct StartRecording {
    /// Name of the files, without extension: `<file>.take` while it runs, `<file>.glb` after.
    pub file: PathBuf,
    /// The avatar whose skin the `.glb` gets, a `.glb` or `.vrm`; ours where it is `None`, or cannot be used.
    pub avatar: Option<PathBuf>,
    /// That avatar's bone name (VRM's) → node name, where guessing fails: the same as [`Avatar::bone_table`].
    ///
    /// [`Avatar::bone_table`]: crate::avatar::Avatar::bone_table
    pub bone_table: HashMap<String, String>,
}

/// Ends the running take.
#[derive(Message, Clone, Copy, Debug, Default)]
pub struct StopRecording;

/// A take has ended and is saved. Not triggered for a take that the app's own end ended; that is saved all the same.
#[derive(Event, Clone, Debug)]
pub struct TakeSaved {
    /// The take itself, or why it is not on the disk.
    pub take: Result<PathBuf, String>,
    /// The glTF file, or why there is none.
    pub glb: Result<PathBuf, String>,
}

/// The running take, if there is one.
#[derive(Resource, Default)]
pub struct Recording {
    running: Option<Running>,
    /// Takes whose files are still being written.
    finishing: Vec<Running>,
    /// What went wrong last, in one sentence.
    pub trouble: Option<String>,
}

impl Recording {
    /// Whether a take is running.
    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Seconds recorded so far.
    pub fn seconds(&self) -> f64 {
        self.running.as_ref().map_or(0.0, |running| {
            running.last - running.first.unwrap_or(running.last)
        })
    }
}

struct Running {
    frames: Outbox<Line>,
    results: Inbox<Outcome>,
    /// Name of the file that is written, without extension.
    file: PathBuf,
    first: Option<f64>,
    last: f64,
    /// What its frames are of.
    clock: Option<Clock>,
    /// Added to that clock.
    shift: f64,
    camera: Option<Entity>,
    /// Numbers in the take of those seen, by clock and number in the view: views count anew when they start anew.
    people: Vec<(Clock, u32)>,
    /// Whether the take is told what it is of.
    headed: bool,
    /// Whether the thread said its last.
    saved: bool,
    /// Ends the thread with the take; it writes what it still has first.
    _worker: Worker,
}

impl Running {
    /// A moment of a room.
    fn take_in_room(&mut self, capture: &RoomCapture, epoch: u64) {
        self.head("room", (0, 0));
        let time = self.time(Clock::Room(epoch), capture.time);
        self.push(TakeFrame::of_room(capture, time));
    }

    /// Says what the take is of, once.
    fn head(&mut self, source: &str, size: (u32, u32)) {
        if !std::mem::replace(&mut self.headed, true) {
            let header = Take::new(source, size).header;
            self.frames.tell(Line::Header(header));
        }
    }

    /// Seconds of the take, at a time of one of the clocks that it goes by. Where another one goes on, it does so where the last
    /// was; a room's own clock goes on whatever its clips do.
    fn time(&mut self, clock: Clock, time: f64) -> f64 {
        let is_same = |before: Clock| {
            before == clock || matches!((before, clock), (Clock::Room(_), Clock::Room(_)))
        };
        if self.clock.is_some_and(|before| !is_same(before)) {
            self.shift = self.last + SEAM - time;
        }
        self.clock = Some(clock);
        self.last = time + self.shift;
        self.last - *self.first.get_or_insert(self.last)
    }

    /// Writes what was found at one moment.
    fn push(&mut self, found: Vec<TakeFrame>) {
        let Some(clock) = self.clock else { return };
        for mut frame in found {
            let known = self.people.iter();
            let known = known.clone().position(|known| *known == (clock, frame.id));
            let index = known.unwrap_or_else(|| {
                self.people.push((clock, frame.id));
                self.people.len() - 1
            });
            frame.id = index as u32 + 1;
            self.frames.send(Line::Frame(frame), &StopFlag::default());
        }
    }

    /// Takes what the thread said; a thread that ended without a word is trouble too.
    fn outcomes(&mut self) -> (Vec<Outcome>, bool) {
        let mut outcomes = Vec::new();
        loop {
            match self.results.try_receive() {
                Received::Item(outcome) => {
                    self.saved |= matches!(outcome, Outcome::Saved(_));
                    outcomes.push(outcome);
                }
                Received::Empty => return (outcomes, true),
                Received::Closed => {
                    if !self.saved {
                        let text = "the thread that records ended; the log says why".into();
                        outcomes.push(Outcome::Trouble(text));
                    }
                    return (outcomes, false);
                }
            }
        }
    }
}

/// By which clock a take goes, and since when: each counts its people from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Clock {
    /// An epoch of a camera's source.
    Source(u64),
    /// An epoch of the room.
    Room(u64),
}

enum Line {
    Header(TakeHeader),
    Frame(TakeFrame),
    Stop,
}

enum Outcome {
    Trouble(String),
    Saved(TakeSaved),
}

/// Writes takes.
pub struct RecordingPlugin;

impl Plugin for RecordingPlugin {
    fn build(&self, app: &mut App) {
        order_stages(app);
        app.init_resource::<Recording>()
            .add_message::<StartRecording>()
            .add_message::<StopRecording>()
            .add_message::<Captured>()
            .add_message::<RoomCaptured>()
            .add_systems(PostUpdate, record.in_set(PoseCaptureSystems::Record));
    }
}

/// Seconds between the last frame of a source and the first after it started anew.
const SEAM: f64 = 1.0 / 30.0;
/// Lines, one for each person in each frame, that may wait for a slow disk: half a minute of eight people.
const PATIENCE: usize = 8192;

fn record(
    mut commands: Commands,
    mut recording: ResMut<Recording>,
    mut starts: MessageReader<StartRecording>,
    mut stops: MessageReader<StopRecording>,
    mut captured: MessageReader<Captured>,
    mut in_room: MessageReader<RoomCaptured>,
    cameras: Query<&CaptureCamera>,
    room: Option<Res<Room>>,
) {
    for RoomCaptured { capture, epoch, .. } in in_room.read() {
        if let Some(running) = recording.running.as_mut() {
            running.take_in_room(capture, *epoch);
        }
    }
    for Captured { camera, capture } in captured.read() {
        let Some(running) = recording.running.as_mut() else {
            continue;
        };
        if room
            .as_ref()
            .is_some_and(|room| room.tells_people_of(*camera))
        {
            continue;
        }
        // One camera's clock counts: that of the first whose frame came. Where that camera is gone for good, the next goes on.
        if running.camera.is_some_and(|first| !cameras.contains(first)) {
            running.camera = Some(*camera);
        }
        let source = cameras
            .get(*camera)
            .map_or_else(|_| "gone".into(), |camera| camera.source.name());
        if *running.camera.get_or_insert(*camera) != *camera {
            continue;
        }
        running.head(&source, (capture.camera.width, capture.camera.height));
        let frame = &capture.frame;
        let time = running.time(Clock::Source(frame.epoch), frame.time);
        running.push(TakeFrame::of(capture, time));
    }
    if stops.read().count() > 0 {
        stop(&mut recording);
    }
    for start in starts.read() {
        stop(&mut recording);
        let in_use = recording.finishing.iter().map(|run| run.file.clone());
        match begin(start.clone(), &in_use.collect::<Vec<_>>()) {
            Ok(running) => {
                recording.trouble = None;
                recording.running = Some(running);
            }
            Err(error) => recording.trouble = Some(format!("no thread to record on: {error}")),
        }
    }
    let mut outcomes = Vec::new();
    if let Some(mut running) = recording.running.take() {
        let (said, goes_on) = running.outcomes();
        outcomes.extend(said);
        recording.running = goes_on.then_some(running);
    }
    recording.finishing.retain_mut(|running| {
        let (said, goes_on) = running.outcomes();
        outcomes.extend(said);
        goes_on
    });
    for outcome in outcomes {
        match outcome {
            Outcome::Trouble(text) => {
                error!("{text}");
                recording.trouble = Some(text);
            }
            Outcome::Saved(saved) => {
                for file in [&saved.take, &saved.glb] {
                    match file {
                        Ok(path) => info!("saved {}", path.display()),
                        Err(error) => {
                            error!("{error}");
                            recording.trouble = Some(error.clone());
                        }
                    }
                }
                commands.trigger(saved);
            }
        }
    }
}

/// Longest that a closing app waits for its takes.
const LAST_WAIT: Duration = Duration::from_secs(20);

/// An app that closes ends its take first: threads end with the process, whatever they are writing. However an app ends, its
/// resources are dropped.
impl Drop for Recording {
    fn drop(&mut self) {
        stop(self);
        let began = std::time::Instant::now();
        for running in self.finishing.drain(..) {
            loop {
                let left = LAST_WAIT.saturating_sub(began.elapsed());
                match running.results.receive(left) {
                    Received::Item(Outcome::Trouble(text)) => error!("{text}"),
                    Received::Item(Outcome::Saved(saved)) => match saved.glb {
                        Ok(glb) => info!("saved {}", glb.display()),
                        Err(error) => error!("{error}"),
                    },
                    Received::Empty => {
                        error!(
                            "{} is not finished, and the app does not wait for it any longer; the take beside it is",
                            with_added(&running.file, "glb").display()
                        );
                        break;
                    }
                    Received::Closed => break,
                }
            }
        }
    }
}

fn stop(recording: &mut Recording) {
    if let Some(running) = recording.running.take() {
        running.frames.tell(Line::Stop);
        recording.finishing.push(running);
    }
}

/// A file name with an extension added; what looks like one already (`scene.1`) is part of the name.
fn with_added(file: &Path, extension: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    name.into()
}

/// The name itself, or with a number where a take of that name is there, or about to be: no take is written over.
fn free_name(file: PathBuf, in_use: &[PathBuf]) -> PathBuf {
    let taken = |file: &Path| {
        let there = |extension| with_added(file, extension).exists();
        there("take") || there("glb") || in_use.iter().any(|used| used == file)
    };
    let numbered = (2..).map(|n| PathBuf::from(format!("{}_{n}", file.display())));
    std::iter::once(file.clone())
        .chain(numbered)
        .find(|file| !taken(file))
        .unwrap_or(file)
}

fn begin(start: StartRecording, in_use: &[PathBuf]) -> std::io::Result<Running> {
    let start = StartRecording {
        file: free_name(start.file, in_use),
        ..start
    };
    let file = start.file.clone();
    let (frames, lines) = mailbox(PATIENCE, WhenFull::DropOldest);
    let (results_out, results) = mailbox(16, WhenFull::Wait);
    let worker = Worker::spawn("pose capture: take", move |stop| {
        write(&start, &lines, &results_out, stop)
    })?;
    Ok(Running {
        frames,
        results,
        file,
        first: None,
        last: 0.0,
        clock: None,
        shift: 0.0,
        camera: None,
        people: Vec::new(),
        headed: false,
        saved: false,
        _worker: worker,
    })
}

/// The recording thread. A disk that fails does not end the take: its frames stay in memory for the `.glb`.
fn write(start: &StartRecording, lines: &Inbox<Line>, results: &Outbox<Outcome>, stop: &StopFlag) {
    let path = with_added(&start.file, "take");
    // What stays where no camera ran.
    let mut take = Take::new("nothing", (0, 0));
    let mut failed: Option<String> = None;
    // A disk that fails says so with every line; the user is told once.
    let mut tell = |written: Option<Result<(), TakeError>>| {
        if let (Some(Err(error)), None) = (written, &failed) {
            results.send(Outcome::Trouble(error.to_string()), stop);
            failed = Some(error.to_string());
        }
    };
    let created = TakeWriter::create(&path);
    let mut writer = match created {
        Ok(writer) => Some(writer),
        Err(error) => {
            tell(Some(Err(error)));
            None
        }
    };
    // Whatever the avatar is worth, a take becomes a `.glb`.
    let mut skin = (start.avatar.as_deref(), &start.bone_table);
    let no_table = HashMap::new();
    if let Err(error) = rig_of(skin.0, skin.1) {
        let text = format!("{error}; the take gets the mannequin's skin in its place");
        results.send(Outcome::Trouble(text), stop);
        skin = (None, &no_table);
    }
    let mut begun = false;
    // A raised flag means that the app is ending: what was sent is still written.
    loop {
        match lines.receive(Duration::from_millis(200)) {
            Received::Item(Line::Header(header)) => {
                tell(writer.as_mut().map(|writer| writer.begin(&header)));
                take.header = header;
                begun = true;
            }
            Received::Item(Line::Frame(frame)) => {
                tell(writer.as_mut().map(|writer| writer.push(&frame)));
                take.frames.push(frame);
            }
            Received::Empty if !stop.raised() => tell(writer.as_mut().map(TakeWriter::flush)),
            Received::Item(Line::Stop) | Received::Empty | Received::Closed => break,
        }
    }
    if !begun {
        tell(writer.as_mut().map(|writer| writer.begin(&take.header)));
    }
    tell(writer.as_mut().map(TakeWriter::flush));
    if lines.dropped() > 0 {
        let text = format!(
            "{} frames came faster than the disk took them and are not in the take",
            lines.dropped()
        );
        results.send(Outcome::Trouble(text), stop);
    }
    let glb = export(&take, skin.0, skin.1, &with_added(&start.file, "glb"))
        .map_err(|error| error.to_string());
    let take = failed.map_or(Ok(path), Err);
    results.send(Outcome::Saved(TakeSaved { take, glb }), stop);
}

/// The avatar's file and its bones; our mannequin's where none is named.
fn rig_of(
    avatar: Option<&Path>,
    bone_table: &HashMap<String, String>,
) -> Result<(AvatarFile, Rig), GltfError> {
    let file = avatar.map_or_else(AvatarFile::mannequin, AvatarFile::open)?;
    let rig = file.rig(bone_table)?;
    Ok((file, rig))
}

/// Puts the person whom a take is about on an avatar and writes the `.glb`. `bone_table` names the avatar's bones where
/// guessing fails.
///
/// # Errors
/// [`GltfError`] when the take has nobody in it, the avatar cannot be read or driven, or the file not written.
pub fn export(
    take: &Take,
    avatar: Option<&Path>,
    bone_table: &HashMap<String, String>,
    out: &Path,
) -> Result<PathBuf, GltfError> {
    let (file, mut rig) = rig_of(avatar, bone_table)?;
    let person = take.main_person();
    if person.is_empty() {
        return Err(GltfError::Nobody);
    }
    let animation = bake(take, &person, &mut rig);
    let bytes = file.with_animation("take", &animation, &rig)?;
    // Under another name until it is whole: whatever ends the program leaves no half of a file.
    let unfinished = with_added(out, "unfinished");
    std::fs::write(&unfinished, bytes)
        .and_then(|()| std::fs::rename(&unfinished, out))
        .map_err(|error| GltfError::Write {
            path: out.into(),
            error,
        })?;
    Ok(out.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::time::Instant;

    use crate::camera::{Intrinsics, LensSource};
    use crate::detect::Person2d;
    use crate::lift::lifter::Lifted;
    use crate::pipeline::{Capture, Person, StageTimes};
    use crate::retarget::solve::tests::waving;
    use crate::skeleton::Pose2d;
    use crate::source::Frame;

    fn recording(start: StartRecording) -> App {
        let mut app = App::new();
        app.add_plugins((MinimalPlugins, RecordingPlugin));
        app.world_mut().write_message(start);
        app.update();
        app
    }

    /// One person, the first of an epoch, in the frame `n` of it.
    fn show(app: &mut App, camera: Entity, epoch: u64, n: u32) {
        let lifted = Lifted {
            pose: waving(),
            root: Vec3::new(0.0, 0.0, 3.0),
        };
        let seen = Person2d {
            looks: None,
            id: 1,
            bounds: Rect::default(),
            pose: Pose2d::default(),
        };
        let capture = Arc::new(Capture {
            frame: Frame {
                epoch,
                number: u64::from(n),
                time: f64::from(n) / 30.0,
                captured_at: Instant::now(),
                decoding: Duration::ZERO,
                image: Arc::default(),
            },
            people: vec![Person {
                seen,
                lifted: Some(lifted),
            }],
            camera: Intrinsics::assumed(64, 48),
            lens: LensSource::Assumed,
            up: None,
            times: StageTimes::default(),
        });
        app.world_mut().write_message(Captured { camera, capture });
        app.update();
    }

    #[test]
    fn an_app_that_closes_saves_its_take_and_clips_that_begin_anew_or_cameras_that_are_replaced_go_on_in_it()
    -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let mut app = recording(StartRecording {
            file: folder.path().join("one"),
            ..default()
        });
        let source = || CaptureCamera::video("a.mp4");
        let first = app.world_mut().spawn(source()).id();
        (0..10).for_each(|n| show(&mut app, first, 5, n));
        (0..10).for_each(|n| show(&mut app, first, 6, n));
        app.world_mut().despawn(first);
        let second = app.world_mut().spawn(source()).id();
        (0..10).for_each(|n| show(&mut app, second, 7, n));
        drop(app);
        let take = Take::read(&folder.path().join("one.take"))?;
        assert_eq!(take.header.source, "a");
        let ids: Vec<u32> = take.frames.iter().map(|frame| frame.id).collect();
        let expected: Vec<u32> = (0..30).map(|n| n / 10 + 1).collect();
        assert_eq!(
            ids, expected,
            "whoever comes in another epoch is somebody else"
        );
        let advance = |pair: &[TakeFrame]| (pair[1].time - pair[0].time - 1.0 / 30.0).abs() < 1e-4;
        assert!(
            take.frames.windows(2).all(advance),
            "{:?}",
            take.frames.last()
        );
        assert_eq!(take.main_person(), [1, 2, 3]);
        assert!(std::fs::metadata(folder.path().join("one.glb"))?.len() > 10_000);
        Ok(())
    }

    #[test]
    fn a_take_goes_on_when_a_room_takes_over_and_nobody_is_taken_for_another()
    -> Result<(), Box<dyn std::error::Error>> {
        use crate::multiview::RoomPerson;
        use crate::reconstruct::figure::{FigureJoint, Joints};
        use crate::room::RoomTimes;
        let folder = tempfile::tempdir()?;
        let mut app = recording(StartRecording {
            file: folder.path().join("three"),
            ..default()
        });
        let camera = app.world_mut().spawn(CaptureCamera::video("a.mp4")).id();
        // By the clock of a clip that is far on, then by that of a room that has just begun; each counts from 1.
        (900..905).for_each(|n| show(&mut app, camera, 1, n));
        let mut joints = Joints::default();
        joints[crate::skeleton::Joint::Nose] = Some(FigureJoint {
            position: bevy::math::DVec3::Y,
            sigma: 0.01,
            views: 2,
        });
        for n in 0..5 {
            let person = RoomPerson {
                id: 1,
                joints: joints.clone(),
                seen: Vec::new(),
            };
            let time = f64::from(n) / 30.0;
            let capture = RoomCapture::new(time, Vec::new(), vec![person], RoomTimes::default());
            app.world_mut().write_message(RoomCaptured {
                capture: Arc::new(capture),
                captured_at: Instant::now(),
                epoch: 1,
            });
            app.update();
        }
        drop(app);
        let take = Take::read(&folder.path().join("three.take"))?;
        let told: Vec<(u32, i32)> = take
            .frames
            .iter()
            .map(|frame| (frame.id, (frame.time * 30.0).round() as i32))
            .collect();
        let expected: Vec<(u32, i32)> = (0..10).map(|n| (1 + n / 5, n as i32)).collect();
        assert_eq!(told, expected);
        Ok(())
    }

    #[test]
    fn a_take_of_an_avatar_that_cannot_be_used_gets_the_mannequins_skin_and_says_so()
    -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let mut app = recording(StartRecording {
            file: folder.path().join("two"),
            avatar: Some("no/such/avatar.glb".into()),
            bone_table: [("hips".to_owned(), "Root".to_owned())].into(),
        });
        let camera = app.world_mut().spawn(CaptureCamera::video("a.mp4")).id();
        (0..5).for_each(|n| show(&mut app, camera, 0, n));
        let began = Instant::now();
        let told = loop {
            app.update();
            let trouble = app.world().resource::<Recording>().trouble.clone();
            if let Some(told) = trouble.filter(|told| told.contains("avatar.glb")) {
                break told;
            }
            assert!(began.elapsed() < Duration::from_secs(20), "nothing is told");
            std::thread::sleep(Duration::from_millis(5));
        };
        assert!(told.contains("mannequin"), "{told}");
        drop(app);
        assert!(std::fs::metadata(folder.path().join("two.glb"))?.len() > 10_000);
        Ok(())
    }

    #[test]
    fn no_take_is_written_over_and_dots_stay_in_names() -> std::io::Result<()> {
        let folder = tempfile::tempdir()?;
        let wanted = folder.path().join("scene.1");
        assert_eq!(free_name(wanted.clone(), &[]), wanted);
        std::fs::write(folder.path().join("scene.1.take"), "")?;
        std::fs::write(folder.path().join("scene.1_2.glb"), "")?;
        let third = folder.path().join("scene.1_3");
        assert_eq!(free_name(wanted.clone(), &[]), third);
        let in_use = [third];
        assert_eq!(free_name(wanted, &in_use), folder.path().join("scene.1_4"));
        Ok(())
    }
}
