//! Cameras as entities, and the people before them.
//!
//! Each [`CaptureCamera`] has two threads: one reads its source, one runs its [`Pipeline`](crate::pipeline::Pipeline).
//! What they find arrives in [`PoseCaptureSystems::Receive`] as [`Captured`] messages and as [`Performer`]s.

mod feed;
mod moments;
pub mod room;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bevy::platform::collections::HashMap;
use bevy::prelude::*;

pub(crate) use moments::Presence;

use crate::camera::{Intrinsics, LensSource};
use crate::inference::Task;
use crate::pipeline::{Capture, StageTimes};
use crate::plugin::{PoseCaptureSettings, PoseCaptureSystems, order_stages};
use crate::retarget::contact::Ground;
use crate::skeleton::convert::{bevy_from_opencv, with_bevy_axes};
use crate::skeleton::{Joint, Pose2d, Pose3d};
use crate::source::{Pace, SourceSpec, WebcamPick};
use crate::worker::Received;
use feed::{Feed, FeedEvent};
use room::{CalibratedCamera, Room};

/// A camera, or a clip in its place. Spawn it and people before it become [`Performer`]s; change it and it starts anew;
/// remove it and its threads end.
#[derive(Component, Clone, Debug, PartialEq)]
#[require(Transform, CameraStatus, CameraGround)]
pub struct CaptureCamera {
    /// What to open.
    pub source: SourceSpec,
    /// Its lens, for pictures of any size of these proportions. Where it is `None`, it is that of the [`CalibratedCamera`] beside it,
    /// else what the edges of the room tell, else a usual one.
    pub intrinsics: Option<Intrinsics>,
    /// Whether a file plays over and over at its own speed.
    pub pace: Pace,
}

impl CaptureCamera {
    /// Any source.
    pub fn new(source: SourceSpec) -> Self {
        CaptureCamera {
            source,
            intrinsics: None,
            pace: Pace::Loop,
        }
    }

    /// The n-th webcam of the system.
    pub fn webcam(index: u32) -> Self {
        Self::new(SourceSpec::parse(&format!("webcam:{index}")))
    }

    /// The webcam whose name contains this.
    pub fn webcam_named(name: &str) -> Self {
        let mut camera = Self::webcam(0);
        if let SourceSpec::Webcam { pick, .. } = &mut camera.source {
            *pick = WebcamPick::Name(name.into());
        }
        camera
    }

    /// A video file, over and over.
    pub fn video(path: impl Into<std::path::PathBuf>) -> Self {
        Self::new(SourceSpec::Video(path.into()))
    }

    /// Plays a file once, as fast as it is processed.
    pub fn once(mut self) -> Self {
        self.pace = Pace::AsFastAsPossible;
        self
    }
}

/// How a camera is doing. Added with [`CaptureCamera`]; written by [`CapturePlugin`].
#[derive(Component, Clone, Debug, Default)]
pub struct CameraStatus {
    /// Where it is in its life.
    pub state: CameraState,
    /// Which engine runs its networks, and why.
    pub engine: String,
    /// Names of its networks: for people, keypoints, lifting.
    pub models: Vec<String>,
    /// All models that it could use, by task.
    pub at_hand: Vec<(Task, String)>,
    /// Pictures thrown away because newer ones had come.
    pub dropped: u64,
    /// Times of the last frame's stages.
    pub times: StageTimes,
    /// From the picture's arrival to the avatar's bones, for the last frame.
    pub latency: Duration,
    /// Frames a second of the source's clock, smoothed.
    pub rate: f32,
    /// Size of its pictures in pixels.
    pub size: UVec2,
    /// Its lens, and how that is known.
    pub lens: Option<(Intrinsics, LensSource)>,
    /// The direction opposite to gravity in its frame (OpenCV), of length 1, where the room tells it.
    pub up: Option<Vec3>,
    pub(crate) last: Option<f64>,
}

/// Where a camera is in its life.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum CameraState {
    /// Its source is being opened, its networks are being loaded.
    #[default]
    Starting,
    /// It gives pictures.
    Running,
    /// It is gone and tried again; why.
    Lost(String),
    /// It cannot be used; why.
    Failed(String),
    /// Its file is at its end.
    Ended,
}

/// Up and the floor as found out for one camera. Added with [`CaptureCamera`].
#[derive(Component, Clone, Debug, Default)]
pub struct CameraGround {
    ground: Ground,
    last_time: f64,
}

/// The last picture of a camera, as a texture. Added by [`CapturePlugin`] with the first frame.
#[derive(Component, Clone, Debug)]
pub struct CameraPreview {
    /// The texture; its size follows the camera's.
    pub texture: Handle<Image>,
}

/// Everybody in one frame of a camera, in the order of the frames; written in [`PoseCaptureSystems::Receive`].
///
/// After a hitch of the main thread many frames come at once; the older ones of a live camera have no picture then
/// (`capture.frame.image` is 0 × 0), while what was found in them is whole.
#[derive(Message, Clone)]
pub struct Captured {
    /// The camera.
    pub camera: Entity,
    /// What was found.
    pub capture: Arc<Capture>,
}

/// Somebody before a camera. Spawned when they enter, despawned a second after they left.
#[derive(Component, Clone, Debug)]
pub struct Performer {
    /// The camera that sees them; in a [room] of several, one of those that do.
    pub camera: Entity,
    /// Their number in that view, or in the room.
    pub id: u32,
    /// Their joints in the world (Bevy's axes, metres). The floor, at y = 0, is told by the people themselves, and up by them or by
    /// the room; the camera entity's transform says where on that floor the camera stands and which way it faces.
    pub pose: Pose3d,
    /// Their joints in the camera's picture, in pixels.
    pub seen: Pose2d,
    /// Their box there.
    pub bounds: Rect,
    /// Seconds of the source's clock.
    pub time: f64,
    /// When the picture arrived.
    pub captured_at: Instant,
    epoch: u64,
    entered: Instant,
    last_seen: Instant,
}

impl Performer {
    /// Somebody who is not seen but told: for tests, replays, and rendering. It is forgotten with `camera`'s entity, and a
    /// second after it was last inserted.
    pub fn scripted(camera: Entity, pose: Pose3d, time: f64) -> Performer {
        let now = Instant::now();
        Performer {
            camera,
            id: 1,
            pose,
            seen: Pose2d::default(),
            bounds: Rect::default(),
            time,
            captured_at: now,
            epoch: 0,
            entered: now,
            last_seen: now,
        }
    }

    /// When they came into view.
    pub fn entered(&self) -> Instant {
        self.entered
    }

    /// Whether they were seen just now, rather than waited for.
    pub fn is_seen(&self) -> bool {
        self.last_seen.elapsed() < MISSED
    }
}

/// Performers who are not seen this long may be out of view; another is as good to follow.
const MISSED: Duration = Duration::from_millis(300);

/// Somebody came into view.
#[derive(EntityEvent, Clone, Copy, Debug)]
pub struct PerformerEntered {
    /// The performer.
    pub entity: Entity,
}

/// Somebody left; the performer is despawned after this.
#[derive(EntityEvent, Clone, Copy, Debug)]
pub struct PerformerLeft {
    /// The performer.
    pub entity: Entity,
}

/// A camera went away, or fell silent; it is tried again every second, unless its driver hangs.
#[derive(EntityEvent, Clone, Debug)]
pub struct CameraLost {
    /// The camera.
    pub entity: Entity,
    /// Why, in one sentence.
    pub reason: String,
}

/// Reads cameras and finds performers.
pub struct CapturePlugin;

impl Plugin for CapturePlugin {
    fn build(&self, app: &mut App) {
        order_stages(app);
        app.add_message::<Captured>()
            .add_observer(stop_camera)
            .add_systems(
                PreUpdate,
                (start_cameras, send_settings, receive, forget_performers)
                    .chain()
                    .in_set(PoseCaptureSystems::Receive),
            );
    }
}

/// Performers who are not seen this long are gone.
const GONE: Duration = Duration::from_secs(1);

fn start_cameras(
    mut commands: Commands,
    mut cameras: Query<(
        Entity,
        Ref<CaptureCamera>,
        &mut CameraStatus,
        &mut CameraGround,
        Option<&Feed>,
        Option<&CalibratedCamera>,
    )>,
    settings: Res<PoseCaptureSettings>,
) {
    for (entity, camera, mut status, mut ground, before, calibrated) in &mut cameras {
        // The camera's own word on its lens goes before its calibration's.
        let calibrated = calibrated
            .filter(|calibrated| camera.intrinsics.is_none() && calibrated.0.is_finite())
            .map(|calibrated| calibrated.0.intrinsics);
        // A calibration may come, change or go while it runs.
        let is_as_it_was = before.is_none_or(|before| before.calibrated == calibrated);
        if !camera.is_changed() && is_as_it_was {
            continue;
        }
        *status = CameraStatus::default();
        *ground = CameraGround::default();
        match Feed::start(&camera, calibrated, &settings, before) {
            Ok(feed) => {
                commands.entity(entity).insert(feed);
            }
            Err(error) => {
                let reason = format!("no thread for the camera {}: {error}", camera.source.name());
                error!("{reason}");
                status.state = CameraState::Failed(reason);
                commands.entity(entity).remove::<Feed>();
            }
        }
    }
}

/// Who is no camera any more reads nothing any more.
fn stop_camera(removed: On<Remove, CaptureCamera>, mut commands: Commands) {
    commands
        .entity(removed.entity)
        .try_remove::<(Feed, CameraStatus, CameraGround, CameraPreview)>();
}

fn send_settings(mut feeds: Query<&mut Feed>, settings: Res<PoseCaptureSettings>) {
    if settings.is_changed() {
        for mut feed in &mut feeds {
            feed.follow(&settings);
        }
    }
}

fn receive(
    mut commands: Commands,
    mut cameras: Query<(
        Entity,
        &Feed,
        &mut CameraStatus,
        &mut CameraGround,
        &GlobalTransform,
        Option<&CameraPreview>,
    )>,
    mut performers: Query<(Entity, &mut Performer)>,
    mut images: Option<ResMut<Assets<Image>>>,
    mut captured: MessageWriter<Captured>,
    room: Option<Res<Room>>,
) {
    for (camera, feed, mut status, mut ground, transform, preview) in &mut cameras {
        // A clip that is far ahead of the room's other clips waits for them.
        if room.as_ref().is_some_and(|room| room.has_enough_of(camera)) {
            continue;
        }
        let (mut newest_preview, mut newest) = (None, None);
        loop {
            let event = match feed.inbox.try_receive() {
                Received::Item(event) => event,
                Received::Empty => break,
                Received::Closed => {
                    if matches!(
                        status.state,
                        CameraState::Starting | CameraState::Running | CameraState::Lost(_)
                    ) {
                        status.state = CameraState::Failed(
                            "its inference thread ended; the log says why".into(),
                        );
                    }
                    break;
                }
            };
            match event {
                FeedEvent::Started {
                    engine,
                    models,
                    at_hand,
                } => {
                    info!("{}; models: {}", engine, models.join(", "));
                    (status.engine, status.models, status.at_hand) = (engine, models, at_hand);
                }
                FeedEvent::Frame {
                    capture,
                    preview,
                    dropped,
                } => {
                    status.state = CameraState::Running;
                    status.take_in(&capture);
                    status.dropped = dropped + feed.inbox.dropped();
                    newest_preview = preview.or(newest_preview);
                    ground.learn(&capture);
                    newest = Some(capture.clone());
                    captured.write(Captured { camera, capture });
                }
                FeedEvent::Lost(reason) => {
                    warn!("{reason}");
                    status.state = CameraState::Lost(reason.clone());
                    commands.trigger(CameraLost {
                        entity: camera,
                        reason,
                    });
                }
                FeedEvent::Failed(reason) => {
                    error!("{reason}");
                    status.state = CameraState::Failed(reason);
                }
                FeedEvent::Ended(cut_short) => {
                    if let Some(reason) = cut_short {
                        warn!("{reason}");
                    }
                    status.state = CameraState::Ended;
                }
            }
        }
        // Cameras of a room see the same people: those are placed by all of them together.
        let is_told = |room: &Res<Room>| room.tells_people_of(camera);
        if let Some(capture) = newest.filter(|_| !room.as_ref().is_some_and(is_told)) {
            place_performers(
                &mut commands,
                camera,
                &capture,
                &ground.ground,
                on_the_floor(transform),
                &mut performers,
            );
        }
        if let (Some(image), Some(images)) = (newest_preview, images.as_mut()) {
            show_preview(&mut commands, camera, *image, preview, images);
        }
    }
}

impl CameraGround {
    /// Whoever entered first tells where the floor is, and up where the room does not.
    fn learn(&mut self, capture: &Capture) {
        let elapsed = (capture.frame.time - self.last_time).clamp(0.0, 0.2) as f32;
        self.last_time = capture.frame.time;
        if let Some(lifted) = capture
            .people
            .iter()
            .find_map(|person| person.lifted.as_ref())
        {
            let up = capture.up.map(bevy_from_opencv);
            self.ground
                .learn(&with_bevy_axes(&lifted.pose), up, elapsed);
        }
    }
}

impl CameraStatus {
    fn take_in(&mut self, capture: &Capture) {
        let elapsed = capture.frame.time - self.last.unwrap_or(capture.frame.time);
        if elapsed > 1e-4 {
            self.rate += (1.0 / elapsed as f32 - self.rate) * 0.1;
        }
        self.last = Some(capture.frame.time);
        self.times = capture.times;
        self.size = UVec2::new(capture.camera.width, capture.camera.height);
        self.lens = Some((capture.camera, capture.lens));
        self.up = capture.up;
    }
}

/// What of a camera's place matters to people whose height over the floor is known: where on it, and which way it faces.
pub(crate) fn on_the_floor(camera: &GlobalTransform) -> Transform {
    let back = camera.back().as_vec3().with_y(0.0);
    // A camera that looks straight down faces where its picture's top is.
    let back = if back.length() > 1e-3 {
        back
    } else {
        (-camera.up().as_vec3()).with_y(0.0)
    };
    Transform {
        translation: camera.translation().with_y(0.0),
        rotation: Quat::from_rotation_arc(Vec3::Z, back.normalize_or(Vec3::Z)),
        scale: Vec3::ONE,
    }
}

fn place_performers(
    commands: &mut Commands,
    camera: Entity,
    capture: &Capture,
    ground: &Ground,
    transform: Transform,
    performers: &mut Query<(Entity, &mut Performer)>,
) {
    let now = Instant::now();
    let mut here: HashMap<u32, Entity> = HashMap::default();
    for (entity, performer) in performers.iter().filter(|(_, p)| p.camera == camera) {
        if performer.epoch == capture.frame.epoch {
            here.insert(performer.id, entity);
        } else {
            // The source started anew: whoever is there now is somebody else.
            commands.trigger(PerformerLeft { entity });
            commands.entity(entity).despawn();
        }
    }
    for person in &capture.people {
        let known = here.remove(&person.seen.id);
        let Some(lifted) = &person.lifted else {
            // Too little of them is seen to say where their joints are; they are there all the same.
            if let Some((_, mut old)) = known.and_then(|entity| performers.get_mut(entity).ok()) {
                old.last_seen = now;
            }
            continue;
        };
        let mut pose = ground.place(&with_bevy_axes(&lifted.pose));
        for &joint in Joint::ALL {
            if let Some(point) = &mut pose[joint] {
                point.position = transform.transform_point(point.position);
            }
        }
        let mut performer = Performer {
            camera,
            id: person.seen.id,
            pose,
            seen: person.seen.pose.clone(),
            bounds: person.seen.bounds,
            time: capture.frame.time,
            captured_at: capture.frame.captured_at,
            epoch: capture.frame.epoch,
            entered: now,
            last_seen: now,
        };
        if let Some((_, mut old)) = known.and_then(|entity| performers.get_mut(entity).ok()) {
            performer.entered = old.entered;
            *old = performer;
        } else {
            let entity = commands
                .spawn((Name::new(format!("performer {}", performer.id)), performer))
                .id();
            commands.trigger(PerformerEntered { entity });
        }
    }
}

fn forget_performers(
    mut commands: Commands,
    performers: Query<(Entity, &Performer)>,
    entities: Query<()>,
) {
    for (entity, performer) in &performers {
        if performer.last_seen.elapsed() > GONE || !entities.contains(performer.camera) {
            commands.trigger(PerformerLeft { entity });
            commands.entity(entity).despawn();
        }
    }
}

fn show_preview(
    commands: &mut Commands,
    camera: Entity,
    image: Image,
    preview: Option<&CameraPreview>,
    images: &mut Assets<Image>,
) {
    match preview {
        Some(preview) => {
            // Fails only where somebody else removed the texture; the next frame makes a new one.
            if images.insert(preview.texture.id(), image).is_err() {
                commands.entity(camera).remove::<CameraPreview>();
            }
        }
        None => {
            commands.entity(camera).insert(CameraPreview {
                texture: images.add(image),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cameras_height_and_tilt_do_not_count_twice() {
        let stands = Vec3::new(2.0, 1.6, -1.0);
        let camera =
            Transform::from_translation(stands).looking_at(Vec3::new(5.0, 0.2, -1.0), Vec3::Y);
        let placed = on_the_floor(&GlobalTransform::from(camera));
        // Three metres ahead of the camera, on the floor.
        let point = placed.transform_point(Vec3::new(0.0, 0.0, -3.0));
        assert!(point.distance(Vec3::new(5.0, 0.0, -1.0)) < 1e-4, "{point}");
        let down =
            Transform::from_translation(stands).looking_at(Vec3::new(2.0, 0.0, -1.0), Vec3::X);
        let point = on_the_floor(&GlobalTransform::from(down)).transform_point(Vec3::NEG_Z);
        assert!(point.distance(Vec3::new(3.0, 0.0, -1.0)) < 1e-4, "{point}");
    }
}
