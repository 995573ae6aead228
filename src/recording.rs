//! Recording in the running game: start and stop by message; the take is on disk while it runs, the glTF file after it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bevy::prelude::*;

use crate::capture::Captured;
use crate::plugin::{PoseCaptureSystems, order_stages};
use crate::record::bake::bake;
use crate::record::gltf::{AvatarFile, GltfError};
use crate::record::take::{Take, TakeFrame, TakeWriter};
use crate::worker::{Inbox, Outbox, Received, StopFlag, WhenFull, Worker, mailbox};

/// Begins a take. A running one is stopped first.
#[derive(Message, Clone, Debug)]
pub struct StartRecording {
    /// Name of the files, without extension: `<file>.take` while it runs, `<file>.glb` after.
    pub file: PathBuf,
    /// The avatar whose skin the `.glb` gets; ours where it is `None`.
    pub avatar: Option<PathBuf>,
}

/// Ends the running take.
#[derive(Message, Clone, Copy, Debug, Default)]
pub struct StopRecording;

/// A take is saved.
#[derive(Event, Clone, Debug)]
pub struct TakeSaved {
    /// The take itself.
    pub take: PathBuf,
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
    first: Option<f64>,
    last: f64,
    camera: Option<Entity>,
    /// Ends the thread with the take; it writes what it still has first.
    _worker: Worker,
}

enum Line {
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
            .add_systems(PostUpdate, record.in_set(PoseCaptureSystems::Record));
    }
}

/// Frames that may wait for a slow disk: half a minute.
const PATIENCE: usize = 1024;

fn record(
    mut commands: Commands,
    mut recording: ResMut<Recording>,
    mut starts: MessageReader<StartRecording>,
    mut stops: MessageReader<StopRecording>,
    mut captured: MessageReader<Captured>,
) {
    for Captured { camera, capture } in captured.read() {
        let Some(running) = recording.running.as_mut() else {
            continue;
        };
        // One camera's clock counts: that of the first whose frame came.
        if *running.camera.get_or_insert(*camera) != *camera {
            continue;
        }
        let first = *running.first.get_or_insert(capture.frame.time);
        running.last = capture.frame.time;
        for frame in TakeFrame::of(capture, capture.frame.time - first) {
            running
                .frames
                .send(Line::Frame(frame), &StopFlag::default());
        }
    }
    if stops.read().count() > 0 {
        stop(&mut recording);
    }
    for start in starts.read() {
        stop(&mut recording);
        match begin(start.clone()) {
            Ok(running) => {
                recording.trouble = None;
                recording.running = Some(running);
            }
            Err(error) => recording.trouble = Some(format!("no thread to record on: {error}")),
        }
    }
    let mut outcomes = Vec::new();
    let mut drain = |running: &Running| loop {
        match running.results.try_receive() {
            Received::Item(outcome) => outcomes.push(outcome),
            Received::Empty => break true,
            Received::Closed => break false,
        }
    };
    if let Some(running) = &recording.running {
        drain(running);
    }
    recording.finishing.retain(|running| drain(running));
    for outcome in outcomes {
        match outcome {
            Outcome::Trouble(text) => {
                error!("{text}");
                recording.trouble = Some(text);
            }
            Outcome::Saved(saved) => {
                match &saved.glb {
                    Ok(glb) => info!("saved {} and {}", saved.take.display(), glb.display()),
                    Err(error) => {
                        error!("{error}");
                        recording.trouble = Some(error.clone());
                    }
                }
                commands.trigger(saved);
            }
        }
    }
}

fn stop(recording: &mut Recording) {
    if let Some(running) = recording.running.take() {
        running.frames.send(Line::Stop, &StopFlag::default());
        recording.finishing.push(running);
    }
}

fn begin(start: StartRecording) -> std::io::Result<Running> {
    let (frames, lines) = mailbox(PATIENCE, WhenFull::DropOldest);
    let (results_out, results) = mailbox(16, WhenFull::Wait);
    let worker = Worker::spawn("pose capture: take", move |stop| {
        write(&start, &lines, &results_out, stop)
    })?;
    Ok(Running {
        frames,
        results,
        first: None,
        last: 0.0,
        camera: None,
        _worker: worker,
    })
}

/// The recording thread. A disk that fails does not end the take: its frames stay in memory for the `.glb`.
fn write(start: &StartRecording, lines: &Inbox<Line>, results: &Outbox<Outcome>, stop: &StopFlag) {
    let path = start.file.with_extension("take");
    let mut take = Take::new(&start.file.display().to_string(), (0, 0));
    let mut writer = None;
    let mut failed = false;
    match TakeWriter::create(&path, &take.header) {
        Ok(created) => writer = Some(created),
        Err(error) => {
            failed = true;
            results.send(Outcome::Trouble(error.to_string()), stop);
        }
    }
    // A raised flag means that the app is ending: what was sent is still written.
    loop {
        match lines.receive(Duration::from_millis(200)) {
            Received::Item(Line::Frame(frame)) => {
                if let Some(Err(error)) = writer.as_mut().map(|writer| writer.push(&frame))
                    && !failed
                {
                    failed = true;
                    results.send(Outcome::Trouble(error.to_string()), stop);
                }
                take.frames.push(frame);
            }
            Received::Empty if !stop.raised() => {
                if let Some(writer) = writer.as_mut().filter(|_| !failed) {
                    failed = writer.flush().is_err();
                }
            }
            Received::Item(Line::Stop) | Received::Empty | Received::Closed => break,
        }
    }
    if let Some(Err(error)) = writer.as_mut().map(TakeWriter::flush)
        && !failed
    {
        results.send(Outcome::Trouble(error.to_string()), stop);
    }
    let glb = export(
        &take,
        start.avatar.as_deref(),
        &start.file.with_extension("glb"),
    )
    .map_err(|error| error.to_string());
    results.send(Outcome::Saved(TakeSaved { take: path, glb }), stop);
}

/// Puts the person who is seen longest in a take on an avatar and writes the `.glb`.
///
/// # Errors
/// [`GltfError`] when the avatar cannot be read or driven, or the file not written.
pub fn export(take: &Take, avatar: Option<&Path>, out: &Path) -> Result<PathBuf, GltfError> {
    let file = avatar.map_or_else(AvatarFile::mannequin, AvatarFile::open)?;
    let mut rig = file.rig(&HashMap::new())?;
    let animation = bake(take, take.longest_seen().unwrap_or_default(), &mut rig);
    let bytes = file.with_animation("take", &animation, &rig);
    std::fs::write(out, bytes).map_err(|error| GltfError::Write {
        path: out.into(),
        error,
    })?;
    Ok(out.into())
}
