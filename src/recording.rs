//! Recording in the running game: start and stop by message; the take is on disk while it runs, the glTF file after it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use bevy::prelude::*;

use crate::capture::Captured;
use crate::capture::room::RoomCaptured;
use crate::plugin::{PoseCaptureSystems, order_stages};
use crate::record::take::{Take, TakeFrame, to_microsecond};
use crate::worker::{Inbox, Outbox, Received, StopFlag, WhenFull, Worker, mailbox};

mod cameras;
mod writer;

use cameras::Cameras;
pub use writer::export;
use writer::{Line, Outcome, free_name, with_added, write};

/// Begins a take. A running one is stopped first.
#[derive(Message, Clone, Debug, Default)]
pub struct StartRecording {
    /// Name of the files, without extension, in the folder from which the program runs; where a take has it, `_2` and so on is added. Everybody is
    /// in `<file>.take`, which is written while it runs and stays; in `<file>.glb`, written after, is whom the take is about
    /// ([`Take::main_person`](crate::record::take::Take::main_person)).
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
    /// Whose frames it is of, while it is not of a room's.
    camera: Option<Entity>,
    /// When the last frame of that came,
    heard: Instant,
    /// and when the last of all was taken.
    taken: Instant,
    /// Seconds in which nothing came, between one clock and the next.
    unseen: f64,
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
    fn take_in_room(&mut self, moment: &RoomCaptured) {
        self.head("room", (0, 0));
        self.camera = None;
        let (clock, time) = (Clock::Room(moment.epoch), moment.capture.time);
        let time = self.time(clock, time, moment.captured_at);
        self.push(TakeFrame::of_room(&moment.capture, time));
    }

    /// Says what the take is of, once.
    fn head(&mut self, source: &str, size: (u32, u32)) {
        if !std::mem::replace(&mut self.headed, true) {
            let header = Take::new(source, size).header;
            self.frames.tell(Line::Header(header));
        }
    }

    /// Seconds of the take, at a time of one of the clocks that it goes by, for pictures that were `taken` then. Another clock goes on where
    /// the last was, and as much later as it was in the game.
    fn time(&mut self, clock: Clock, time: f64, taken: Instant) -> f64 {
        if self.clock.is_some_and(|before| before != clock) {
            let later = taken.saturating_duration_since(self.taken).as_secs_f64();
            self.shift = self.last + later.max(SEAM) - time;
            self.unseen += (later - SEAM).max(0.0);
        }
        self.taken = taken;
        self.clock = Some(clock);
        self.last = time + self.shift;
        self.last - *self.first.get_or_insert(self.last)
    }

    /// Writes what was found at one moment.
    fn push(&mut self, found: Vec<TakeFrame>) {
        let Some(clock) = self.clock else { return };
        let unseen = to_microsecond(self.unseen);
        for mut frame in found {
            frame.unseen = (unseen > 0.0).then_some(unseen);
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

/// Lines, one for each person in each frame, that may wait for a slow disk: half a minute of eight people.
const PATIENCE: usize = 8192;
/// The least seconds from the last frame by one clock to the first by the next. Takes know such a seam by it
/// ([`Take::main_person`]), and it is less than they allow for.
const SEAM: f64 = 1.0 / 30.0;

fn record(
    mut commands: Commands,
    mut recording: ResMut<Recording>,
    mut starts: MessageReader<StartRecording>,
    mut stops: MessageReader<StopRecording>,
    mut captured: MessageReader<Captured>,
    mut in_room: MessageReader<RoomCaptured>,
    cameras: Cameras,
) {
    let in_charge = cameras.room_is_in_charge();
    for moment in in_room.read() {
        if let Some(running) = recording.running.as_mut() {
            // Moments that were on their way when one camera went on by itself are of before.
            if running.camera.is_none() || in_charge != Some(false) {
                running.take_in_room(moment);
            }
        }
    }
    let captured: Vec<&Captured> = captured.read().collect();
    for Captured { camera, capture } in &captured {
        let Some(running) = recording.running.as_mut() else {
            continue;
        };
        // A take goes by one clock: while a room is followed that is the room's, whatever other cameras see; else one camera's.
        let just_seen = |other| captured.iter().any(|captured| captured.camera == other);
        if in_charge == Some(true) || !cameras.is_next(*camera, running, just_seen) {
            continue;
        }
        (running.camera, running.heard) = (Some(*camera), Instant::now());
        let size = (capture.camera.width, capture.camera.height);
        running.head(&cameras.name_of(*camera), size);
        let frame = &capture.frame;
        let time = running.time(Clock::Source(frame.epoch), frame.time, frame.captured_at);
        running.push(match cameras.view_of(*camera) {
            Some(view) => TakeFrame::of_view(capture, &view.extrinsics, time),
            None => TakeFrame::of(capture, time),
        });
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
            Outcome::Mended => recording.trouble = None,
            Outcome::Saved(saved) => {
                // That the take is not on the disk is the worst of it, and said last.
                for file in [&saved.glb, &saved.take] {
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
        let began = Instant::now();
        for running in self.finishing.drain(..) {
            loop {
                let left = LAST_WAIT.saturating_sub(began.elapsed());
                match running.results.receive(left) {
                    Received::Item(Outcome::Trouble(text)) => error!("{text}"),
                    Received::Item(Outcome::Mended) => {}
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
        heard: Instant::now(),
        taken: Instant::now(),
        unseen: 0.0,
        people: Vec::new(),
        headed: false,
        saved: false,
        _worker: worker,
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use tempfile::TempDir;

    use super::cameras::GONE;
    use super::*;

    use crate::associate::tests::room;
    use crate::camera::{Intrinsics, LensSource};
    use crate::capture::room::{CalibratedCamera, RoomPlugin};
    use crate::capture::{CameraState, CameraStatus, CaptureCamera};
    use crate::detect::Person2d;
    use crate::lift::lifter::Lifted;
    use crate::multiview::RoomPerson;
    use crate::pipeline::{Capture, Person, StageTimes};
    use crate::reconstruct::figure::{FigureJoint, Joints};
    use crate::record::take::TakeError;
    use crate::retarget::solve::tests::waving;
    use crate::room::{RoomCapture, RoomTimes};
    use crate::skeleton::{Joint, Pose2d};
    use crate::source::Frame;

    fn recording(start: StartRecording) -> App {
        let mut app = App::new();
        app.add_plugins((MinimalPlugins, RecordingPlugin));
        app.world_mut().write_message(start);
        app.update();
        app
    }

    /// A folder, and an app that makes a take of this name in it.
    fn recording_in_folder(name: &str) -> std::io::Result<(TempDir, App)> {
        let folder = tempfile::tempdir()?;
        let app = recording(StartRecording {
            file: folder.path().join(name),
            ..default()
        });
        Ok((folder, app))
    }

    /// Goes on until something is so; false where it never is.
    fn until(app: &mut App, is_so: impl Fn(&Recording) -> bool) -> bool {
        let began = Instant::now();
        while !is_so(app.world().resource::<Recording>()) {
            if began.elapsed() > Duration::from_secs(20) {
                return false;
            }
            app.update();
            std::thread::sleep(Duration::from_millis(5));
        }
        true
    }

    /// Somebody in a room of whom the nose is known.
    fn somebody() -> RoomPerson {
        let mut joints = Joints::default();
        joints[Joint::Nose] = Some(FigureJoint {
            position: bevy::math::DVec3::Y,
            sigma: 0.01,
            views: 2,
        });
        RoomPerson {
            id: 1,
            joints,
            seen: Vec::new(),
        }
    }

    /// These people in a room, at a time in seconds, of pictures that were just taken.
    fn show_room(app: &mut App, time: f64, people: Vec<RoomPerson>) {
        tell_room(app, time, people, Instant::now(), 1);
    }

    /// The same of pictures that were taken then.
    fn tell_room(
        app: &mut App,
        time: f64,
        people: Vec<RoomPerson>,
        captured_at: Instant,
        epoch: u64,
    ) {
        let capture = RoomCapture::new(time, Vec::new(), people, RoomTimes::default());
        app.world_mut().write_message(RoomCaptured {
            capture: Arc::new(capture),
            captured_at,
            epoch,
        });
    }

    /// One person, the first of an epoch, in the frame `n` of it.
    fn show(app: &mut App, camera: Entity, epoch: u64, n: u32) {
        tell(app, camera, epoch, n, Instant::now());
        app.update();
    }

    /// The same of a picture that was taken then, before the app looks.
    fn tell(app: &mut App, camera: Entity, epoch: u64, n: u32, captured_at: Instant) {
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
                captured_at,
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
    }

    #[test]
    fn an_app_that_closes_saves_its_take_and_clips_that_begin_anew_or_cameras_that_are_replaced_go_on_in_it()
    -> Result<(), Box<dyn std::error::Error>> {
        let (folder, mut app) = recording_in_folder("one")?;
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
    fn what_happens_while_no_camera_sees_it_takes_its_time_and_loses_nobody()
    -> Result<(), Box<dyn std::error::Error>> {
        let (folder, mut app) = recording_in_folder("eight")?;
        app.add_plugins(RoomPlugin);
        let members = room(2).into_iter().map(CalibratedCamera);
        let members: Vec<Entity> = members
            .map(|member| {
                let camera = (CaptureCamera::webcam(0), member);
                app.world_mut().spawn(camera).id()
            })
            .collect();
        app.update();
        let began = Instant::now();
        let then = |seconds| began + Duration::from_secs(seconds);
        let lose = |app: &mut App, state: CameraState| {
            if let Some(mut status) = app.world_mut().get_mut::<CameraStatus>(members[0]) {
                status.state = state;
            }
            app.update();
        };
        // A room that is begun anew, one of its cameras, which is begun anew while the game stands still, and the room again.
        tell_room(&mut app, 5.0, vec![somebody()], then(0), 1);
        tell_room(&mut app, 5.03, vec![somebody()], then(4), 2);
        app.update();
        lose(&mut app, CameraState::Lost("unplugged".into()));
        tell(&mut app, members[1], 3, 0, then(14));
        tell(&mut app, members[1], 4, 0, then(20));
        app.update();
        lose(&mut app, CameraState::Running);
        tell_room(&mut app, 6.0, vec![somebody()], then(30), 5);
        app.update();
        drop(app);
        let take = Take::read(&folder.path().join("eight.take"))?;
        let times = take.frames.iter().map(|frame| frame.time);
        assert_eq!(times.collect::<Vec<_>>(), [0.0, 4.0, 14.0, 20.0, 30.0]);
        assert_eq!(take.main_person(), [1, 2, 3, 4, 5]);
        Ok(())
    }

    #[test]
    fn a_take_goes_on_when_a_room_takes_over_and_nobody_is_taken_for_another()
    -> Result<(), Box<dyn std::error::Error>> {
        let (folder, mut app) = recording_in_folder("three")?;
        let camera = app.world_mut().spawn(CaptureCamera::video("a.mp4")).id();
        // By the clock of a clip that is far on, then by that of a room that has just begun; each counts from 1.
        (900..905).for_each(|n| show(&mut app, camera, 1, n));
        for n in 0..5 {
            show_room(&mut app, f64::from(n) / 30.0, vec![somebody()]);
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

    fn ids_of(file: &Path) -> Result<Vec<u32>, TakeError> {
        let take = Take::read(file)?;
        Ok(take.frames.iter().map(|frame| frame.id).collect())
    }

    #[test]
    fn where_a_camera_stays_away_the_next_goes_on() -> Result<(), Box<dyn std::error::Error>> {
        let (folder, mut app) = recording_in_folder("four")?;
        let mut camera = || app.world_mut().spawn(CaptureCamera::video("a.mp4")).id();
        let [first, second] = [camera(), camera()];
        (0..4).for_each(|n| show(&mut app, first, 1, n));
        (0..4).for_each(|n| show(&mut app, second, 2, n));
        if let Some(mut status) = app.world_mut().get_mut::<CameraStatus>(first) {
            status.state = CameraState::Lost("unplugged".into());
        }
        // It may come back.
        (4..6).for_each(|n| show(&mut app, second, 2, n));
        if let Some(running) = &mut app.world_mut().resource_mut::<Recording>().running {
            running.heard -= GONE + Duration::from_millis(1);
        }
        (6..9).for_each(|n| show(&mut app, second, 2, n));
        drop(app);
        let ids = ids_of(&folder.path().join("four.take"))?;
        assert_eq!(ids, [1, 1, 1, 1, 2, 2, 2]);
        Ok(())
    }

    #[test]
    fn after_a_room_one_of_its_cameras_goes_on_and_no_other_is_ever_in_its_take()
    -> Result<(), Box<dyn std::error::Error>> {
        let (folder, mut app) = recording_in_folder("seven")?;
        app.add_plugins(RoomPlugin);
        let camera = || CaptureCamera::video("a.mp4");
        let other = app.world_mut().spawn(camera()).id();
        let members = room(2).into_iter().map(CalibratedCamera);
        let members: Vec<Entity> = members
            .map(|member| app.world_mut().spawn((camera(), member)).id())
            .collect();
        app.update();
        show(&mut app, other, 1, 0);
        // A moment in which nobody is seen.
        let moment = |app: &mut App| show_room(app, 0.1, Vec::new());
        moment(&mut app);
        app.update();
        if let Some(mut status) = app.world_mut().get_mut::<CameraStatus>(members[0]) {
            status.state = CameraState::Lost("unplugged".into());
        }
        app.update();
        for n in 1..4 {
            // Between those of the room's cameras.
            show(&mut app, other, 3, n);
            // What was on its way.
            moment(&mut app);
            show(&mut app, members[1], 2, n);
        }
        drop(app);
        let take = Take::read(&folder.path().join("seven.take"))?;
        let told: Vec<(u32, bool)> = take.frames.iter().map(|f| (f.id, f.up.is_some())).collect();
        assert_eq!(told, [(1, true); 3]);
        Ok(())
    }

    #[test]
    fn a_take_of_a_calibrated_camera_is_told_where_rooms_are()
    -> Result<(), Box<dyn std::error::Error>> {
        let (folder, mut app) = recording_in_folder("five")?;
        app.add_plugins(RoomPlugin);
        let view = room(1).remove(0);
        let camera = CaptureCamera::video("a.mp4");
        let camera = app
            .world_mut()
            .spawn((camera, CalibratedCamera(view.clone())));
        let camera = camera.id();
        app.update();
        show(&mut app, camera, 1, 0);
        drop(app);
        let take = Take::read(&folder.path().join("five.take"))?;
        assert_eq!(take.frames[0].up, Some([0.0, -1.0, 0.0]));
        let told = take.frames[0].pose();
        for joint in [Joint::Nose, Joint::LeftWrist, Joint::RightAnkle] {
            let (Some(told), Some(lifted)) = (told[joint], waving()[joint]) else {
                return Err("a joint is missing".into());
            };
            // From the room's axes, y up, back into the camera's.
            let there = told.position.as_dvec3() * bevy::math::DVec3::new(1.0, -1.0, -1.0);
            let seen = view.extrinsics.camera_from_world(there).as_vec3();
            assert!(seen.distance(lifted.position) < 1e-4, "{seen}");
        }
        Ok(())
    }

    #[test]
    fn a_disk_that_fails_for_a_while_costs_nothing_and_one_that_goes_on_failing_is_what_is_told()
    -> Result<(), Box<dyn std::error::Error>> {
        for comes_back in [true, false] {
            let folder = tempfile::tempdir()?;
            // A file where a folder should be.
            let blocked = folder.path().join("blocked");
            std::fs::write(&blocked, "")?;
            let mut app = recording(StartRecording {
                file: blocked.join("six"),
                ..default()
            });
            let camera = app.world_mut().spawn(CaptureCamera::video("a.mp4")).id();
            (0..5).for_each(|n| show(&mut app, camera, 0, n));
            let is_told = until(&mut app, |recording| recording.trouble.is_some());
            assert!(is_told, "nothing is told");
            if comes_back {
                std::fs::remove_file(&blocked)?;
            }
            app.world_mut().write_message(StopRecording);
            app.update();
            let is_done = until(&mut app, |recording| recording.finishing.is_empty());
            assert!(is_done, "it is not finished");
            let told = app.world().resource::<Recording>().trouble.clone();
            if comes_back {
                assert_eq!(told, None);
                assert_eq!(Take::read(&blocked.join("six.take"))?.frames.len(), 5);
                continue;
            }
            assert!(
                told.is_some_and(
                    |told| told.contains("six.take") && !told.contains("itself is kept")
                )
            );
        }
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
        let is_told = until(&mut app, |recording| {
            let told = recording.trouble.as_ref();
            told.is_some_and(|told| told.contains("avatar.glb"))
        });
        assert!(is_told, "nothing is told");
        let told = app.world().resource::<Recording>().trouble.clone();
        let told = told.unwrap_or_default();
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
