//! Cameras whose places are known, together: their performers come from all of them.
//!
//! Put a [`CalibratedCamera`] beside the [`CaptureCamera`] of two cameras or more, and people are no
//! longer followed in each view by itself: what the views see at one moment goes to a thread that follows everybody in the room
//! ([`MultiView`]), and comes back as [`RoomCaptured`] messages and [`Performer`]s. A camera that is lost is missed, and no more;
//! where only one is left, people are followed in that one by itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bevy::prelude::*;

use super::moments::{Moment, Moments, Presence};
use super::{
    CameraState, CameraStatus, CaptureCamera, Captured, Performer, PerformerEntered, PerformerLeft,
};
use crate::associate::Sighting;
use crate::calibrate::watchdog::{BETWEEN, Bump, Watchdog};
use crate::camera::View;
use crate::multiview::{MultiView, MultiViewSettings};
use crate::pipeline::Capture;
use crate::plugin::{PoseCaptureSystems, order_stages};
use crate::room::{RoomCapture, RoomTimes, fitting_lens};
use crate::skeleton::convert::transform_of;
use crate::worker::{Inbox, Outbox, Received, StopFlag, WhenFull, Worker, mailbox};

/// What is known of a camera: its lens, and where it stands in the world (Bevy's, y up, the floor at y = 0). See
/// [`calibrate::files`](crate::calibrate::files) for reading it. The entity's `Transform` follows it.
#[derive(Component, Clone, Debug, PartialEq)]
#[require(Transform)]
pub struct CalibratedCamera(pub View);

/// Everybody in the room at a moment; written in [`PoseCaptureSystems::Receive`].
#[derive(Message, Clone)]
pub struct RoomCaptured {
    /// What was found.
    pub capture: Arc<RoomCapture>,
    /// When the newest picture of that moment arrived.
    pub captured_at: Instant,
    /// Another number whenever the cameras change or the clips begin anew.
    pub epoch: u64,
}

/// A camera of a room does not stand as it did, as what stands still before it tells, or the people who move there: since a
/// moment ago, or, where it is off by more than a degree, since before anybody came. By people, three cameras or more are needed
/// to know. Triggered once for each bump.
#[derive(EntityEvent, Clone, Debug)]
pub struct CameraBumped {
    /// The camera.
    pub entity: Entity,
    /// The camera as it stands now: insert it as [`CalibratedCamera`] to go on with that.
    pub view: View,
    /// Whether people told that, before three cameras or more. Else the camera is taken to have been turned and not moved, which
    /// shows what is far away where it is.
    pub solved: bool,
    /// What happened, in one sentence.
    pub reason: String,
}

/// Somebody who is followed by several cameras.
#[derive(Component, Clone, Copy, Debug)]
pub struct InRoom;

/// Follows people through all cameras that are calibrated.
pub struct RoomPlugin;

impl Plugin for RoomPlugin {
    fn build(&self, app: &mut App) {
        order_stages(app);
        app.add_message::<Captured>()
            .add_message::<RoomCaptured>()
            .init_resource::<Room>()
            .add_systems(
                PreUpdate,
                (place_cameras, gather, place_people)
                    .chain()
                    .in_set(PoseCaptureSystems::Receive)
                    .after(super::forget_performers),
            );
    }
}

/// The cameras, and the thread that follows people in them.
#[derive(Resource)]
pub(crate) struct Room {
    cameras: Vec<Member>,
    moments: Moments,
    follower: Option<Follower>,
    /// Whether it follows people: two cameras give pictures, or what a clip gave before its end is still to be gone through.
    in_charge: bool,
    /// Since when live cameras see more than is followed.
    behind: Option<Instant>,
}

impl Default for Room {
    fn default() -> Self {
        Room {
            cameras: Vec::new(),
            moments: Moments::new(),
            follower: None,
            in_charge: false,
            behind: None,
        }
    }
}

/// A camera of the room.
#[derive(Clone, Debug, PartialEq)]
struct Member {
    entity: Entity,
    view: View,
    /// What it reads, and how: with another the camera starts anew. Others hand in what they captured themselves.
    camera: Option<CaptureCamera>,
}

impl Member {
    fn is_live(&self) -> bool {
        self.camera
            .as_ref()
            .is_none_or(|camera| camera.source.is_live())
    }
}

struct Follower {
    moments: Outbox<Moment>,
    found: Inbox<RoomCaptured>,
    bumps: Inbox<Bump>,
    /// Of each camera, the time of the last picture that went along with what was found in it, in seconds of its source.
    pictured: Vec<f64>,
    _worker: Worker,
}

/// Moves a calibrated camera's entity to where the camera stands.
fn place_cameras(
    mut cameras: Query<(&CalibratedCamera, &mut Transform), Changed<CalibratedCamera>>,
) {
    for (camera, mut transform) in &mut cameras {
        *transform = transform_of(&camera.0.extrinsics);
    }
}

/// Collects what the cameras see, and sends each moment on.
fn gather(
    mut room: ResMut<Room>,
    cameras: Query<(
        Entity,
        &CalibratedCamera,
        Option<&CaptureCamera>,
        Option<&CameraStatus>,
    )>,
    mut captured: MessageReader<Captured>,
) {
    let mut present: Vec<Member> = cameras
        .iter()
        .filter(|(_, calibrated, ..)| {
            let is_finite = calibrated.0.is_finite();
            if !is_finite {
                error_once!(
                    "the calibration of the camera {} has what are no numbers in it, so the room does without it; calibrate it anew",
                    calibrated.0.name
                );
            }
            is_finite
        })
        .map(|(entity, calibrated, camera, _)| Member {
            entity,
            view: calibrated.0.clone(),
            camera: camera.cloned(),
        })
        .collect();
    present.sort_by_key(|member| member.entity);
    if present != room.cameras {
        room.begin(present);
    }
    let Room {
        cameras: members,
        moments,
        follower,
        in_charge,
        behind,
    } = &mut *room;
    let Some(follower) = follower else {
        *in_charge = false;
        captured.clear();
        return;
    };
    let now = Instant::now();
    for Captured { camera, capture } in captured.read() {
        if let Some(view) = members.iter().position(|member| member.entity == *camera) {
            let capture = pictured_now_and_then(capture, &mut follower.pictured[view]);
            moments.push(view, capture, now);
        }
    }
    let presence = |view: usize| {
        let status = cameras.get(members[view].entity);
        Presence::of(status.ok().and_then(|(.., status)| status))
    };
    let working = (0..members.len()).filter(|view| presence(*view) != Presence::Gone);
    let has_ended = |view: &usize| {
        let status = cameras.get(members[*view].entity);
        let status = status.ok().and_then(|(.., status)| status);
        status.is_some_and(|status| status.state == CameraState::Ended)
    };
    let mut ended = (0..members.len()).filter(has_ended);
    *in_charge = working.count() >= 2 || ended.any(|view| moments.waits(view));
    if !*in_charge {
        // People are followed in the last camera by itself.
        moments.forget();
        return;
    }
    // Clips wait for whoever follows people through them; what live cameras see does not.
    let is_live = members.iter().any(Member::is_live);
    // What a game that stood still has missed is sent a part at a time; where it does not become less, it is left out.
    let is_behind = is_live && moments.backlog() >= BEHIND;
    let since = behind.get_or_insert(now);
    if !is_behind {
        *behind = None;
    } else if now.duration_since(*since) > CATCH_UP {
        *behind = None;
        moments.forget();
        warn_once!(
            "the room's people are followed more slowly than its cameras see them; moments are left out"
        );
    }
    let most = if is_live { BEHIND } else { AHEAD };
    while follower.moments.waiting() < most
        && let Some(moment) = moments.next(now, presence)
    {
        follower.moments.send(moment, &StopFlag::default());
    }
}

/// What was found in a picture, without the picture, as many moments may wait; with it, more often than the watchdog wants to see
/// one, and not in step with it: moments may be left out, and have a clock of their own. `last` is when the source gave the last one.
fn pictured_now_and_then(capture: &Arc<Capture>, last: &mut f64) -> Arc<Capture> {
    let time = capture.frame.time;
    if time >= *last && time - *last < 0.37 * BETWEEN {
        let mut found = Capture::clone(capture);
        found.frame.image = Arc::default();
        return Arc::new(found);
    }
    *last = time;
    Arc::clone(capture)
}

/// So many moments of clips wait to be followed.
const AHEAD: usize = 4;
/// So many of live cameras do: more, and what is followed is late.
const BEHIND: usize = 16;
/// What a game that stood still has missed is followed within this time, or left out.
const CATCH_UP: Duration = Duration::from_secs(2);

impl Room {
    /// Whether a camera's people are told by the room rather than by the camera itself.
    pub(crate) fn tells_people_of(&self, camera: Entity) -> bool {
        self.in_charge && self.view_of(camera).is_some()
    }

    /// Whether people are followed by several cameras together.
    pub(crate) fn is_in_charge(&self) -> bool {
        self.in_charge
    }

    /// Where a camera that is calibrated stands, and its lens.
    pub(crate) fn view_of(&self, camera: Entity) -> Option<&View> {
        let mut members = self.cameras.iter();
        let member = members.find(|member| member.entity == camera)?;
        Some(&member.view)
    }

    /// Whether a clip is so far ahead of the others that no more of it should be read.
    pub(super) fn has_enough_of(&self, camera: Entity) -> bool {
        let place = self
            .cameras
            .iter()
            .position(|member| member.entity == camera);
        self.follower.is_some() && place.is_some_and(|view| self.moments.has_enough_of(view))
    }

    /// Starts anew with other cameras; one alone is no room.
    fn begin(&mut self, cameras: Vec<Member>) {
        self.cameras = cameras;
        self.follower = None;
        let live = self.cameras.iter().any(Member::is_live);
        self.moments.start_anew(self.cameras.len(), live);
        if self.cameras.len() < 2 {
            return;
        }
        let views = self
            .cameras
            .iter()
            .map(|member| member.view.clone())
            .collect();
        let (moments, moments_in) = mailbox(BEHIND, WhenFull::DropOldest);
        let (found_out, found) = mailbox(4 * BEHIND, WhenFull::DropOldest);
        let (bumps_out, bumps) = mailbox(4, WhenFull::DropOldest);
        let worker = Worker::spawn("pose capture: room", move |stop| {
            follow(views, &moments_in, &found_out, &bumps_out, stop);
        });
        match worker {
            Ok(worker) => {
                self.follower = Some(Follower {
                    moments,
                    found,
                    bumps,
                    pictured: vec![f64::NEG_INFINITY; self.cameras.len()],
                    _worker: worker,
                });
            }
            Err(error) => error!("no thread to follow people through the room on: {error}"),
        }
    }
}

/// The thread: follows everybody through the views.
fn follow(
    views: Vec<View>,
    moments: &Inbox<Moment>,
    found: &Outbox<RoomCaptured>,
    bumps: &Outbox<Bump>,
    stop: &StopFlag,
) {
    let mut dog = Watchdog::new(views.clone());
    let mut looked = 0.0;
    let mut room = MultiView::new(views.clone(), MultiViewSettings::default());
    let mut unfit = vec![false; views.len()];
    let mut epoch = None;
    while !stop.raised() {
        let moment = match moments.receive(Duration::from_millis(100)) {
            Received::Item(moment) => moment,
            Received::Empty => continue,
            Received::Closed => return,
        };
        if epoch
            .replace(moment.epoch)
            .is_some_and(|before| before != moment.epoch)
        {
            // The clips began again: whoever is there now came from nowhere.
            room = MultiView::new(views.clone(), MultiViewSettings::default());
        }
        let capture = advance(&mut room, &views, &moment, &mut unfit, &mut dog);
        if (moment.time - looked).abs() >= 1.0 {
            looked = moment.time;
            for bump in dog.check() {
                bumps.tell(bump);
            }
        }
        let captured = RoomCaptured {
            capture: Arc::new(capture),
            captured_at: moment.captured_at,
            epoch: moment.epoch,
        };
        if !found.send(captured, stop) {
            return;
        }
    }
}

/// `unfit` remembers of which views it was said that their pictures are not those of their lens.
fn advance(
    room: &mut MultiView,
    views: &[View],
    moment: &Moment,
    unfit: &mut [bool],
    dog: &mut Watchdog,
) -> RoomCapture {
    let began = Instant::now();
    let mut seen = vec![Vec::new(); views.len()];
    let (mut sightings, mut shown) = (Vec::new(), Vec::new());
    for (view, capture) in &moment.seen {
        let given = (capture.camera.width, capture.camera.height);
        match fitting_lens(&views[*view], given) {
            Ok(lens) => {
                room.set_lens(*view, lens);
                dog.set_lens(*view, lens);
            }
            Err(error) => {
                if !std::mem::replace(&mut unfit[*view], true) {
                    error!("{error}; until then it is left out");
                }
                continue;
            }
        }
        for person in &capture.people {
            sightings.push(Sighting::new(
                *view,
                &room.views()[*view],
                &person.seen.pose,
                person.seen.looks.clone(),
            ));
            seen[*view].push(person.seen.clone());
        }
        shown.push((view, capture));
    }
    let time = moment.time;
    let people = room.advance(time, &sightings);
    let times = RoomTimes {
        space: began.elapsed(),
        ..RoomTimes::default()
    };
    dog.take(time, &people, &sightings);
    for (view, capture) in shown {
        let boxes: Vec<Rect> = seen[*view].iter().map(|person| person.bounds).collect();
        dog.look(time, *view, &capture.frame.image, &boxes);
    }
    RoomCapture::new(time, seen, people, times)
}

/// Makes performers of the people in the room.
fn place_people(
    mut commands: Commands,
    mut room: ResMut<Room>,
    mut written: MessageWriter<RoomCaptured>,
    mut performers: Query<(Entity, &mut Performer), With<InRoom>>,
) {
    let mut newest = None;
    let mut ended = false;
    if let Some(follower) = &room.follower {
        while let Received::Item(bump) = follower.bumps.try_receive() {
            warn!("{}", bump.sentence);
            let member = &room.cameras[bump.view];
            commands.trigger(CameraBumped {
                entity: member.entity,
                view: View {
                    extrinsics: bump.extrinsics,
                    ..member.view.clone()
                },
                solved: bump.solved,
                reason: bump.sentence,
            });
        }
        loop {
            match follower.found.try_receive() {
                Received::Item(found) => {
                    newest = Some(found.clone());
                    written.write(found);
                }
                Received::Empty => break,
                Received::Closed => {
                    ended = true;
                    break;
                }
            }
        }
    }
    if ended {
        error!(
            "the thread that follows people through the room ended, the log says why; each camera goes on by itself \
             until one of them changes"
        );
        room.follower = None;
    }
    // Of a room that is not in charge any more nobody is left: the cameras count people anew.
    let epoch = newest.as_ref().map(|found| found.epoch);
    let is_stale = |performer: &Performer| {
        !room.in_charge || epoch.is_some_and(|epoch| performer.epoch != epoch)
    };
    for (entity, _) in performers
        .iter()
        .filter(|(_, performer)| is_stale(performer))
    {
        commands.trigger(PerformerLeft { entity });
        commands.entity(entity).despawn();
    }
    let Some(found) = newest.filter(|_| room.in_charge) else {
        return;
    };
    let now = Instant::now();
    for person in &found.capture.people {
        let (view, seen) = person
            .seen
            .iter()
            .find_map(|&(view, n)| Some((view, found.capture.seen.get(view)?.get(n)?)))
            .unzip();
        let known = performers
            .iter_mut()
            .find(|(_, performer)| performer.id == person.id && performer.epoch == found.epoch);
        let camera = room.cameras[view.unwrap_or(0)].entity;
        let is_seen = seen.is_some();
        let mut performer = Performer {
            camera,
            id: person.id,
            pose: person.pose(),
            seen: seen.map(|seen| seen.pose.clone()).unwrap_or_default(),
            bounds: seen.map(|seen| seen.bounds).unwrap_or_default(),
            time: found.capture.time,
            captured_at: found.captured_at,
            epoch: found.epoch,
            entered: now,
            last_seen: now,
        };
        if let Some((_, mut old)) = known {
            performer.entered = old.entered;
            if !is_seen {
                // Waited for.
                (performer.camera, performer.last_seen) = (old.camera, old.last_seen);
            }
            *old = performer;
        } else {
            let name = Name::new(format!("performer {}", person.id));
            let entity = commands.spawn((name, performer, InRoom)).id();
            commands.trigger(PerformerEntered { entity });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::associate::tests::{room, seen_by, standing};
    use crate::camera::{Intrinsics, LensSource};
    use crate::detect::Person2d;
    use crate::pipeline::{Person, StageTimes};
    use crate::skeleton::Joint;
    use crate::source::Frame;
    use bevy::math::DVec3;

    fn capture(view: usize, views: &[View], at: DVec3, number: u64) -> Arc<Capture> {
        let pose = seen_by(view, views, &standing(at)).pose;
        let seen = Person2d {
            looks: None,
            id: 1,
            bounds: Rect::new(0.0, 0.0, 1.0, 1.0),
            pose,
        };
        Arc::new(Capture {
            frame: Frame {
                epoch: view as u64,
                number,
                time: number as f64 / 30.0,
                captured_at: Instant::now(),
                decoding: Duration::ZERO,
                image: Arc::default(),
            },
            people: vec![Person { seen, lifted: None }],
            camera: Intrinsics::assumed(1280, 720),
            lens: LensSource::Assumed,
            up: None,
            times: StageTimes::default(),
        })
    }

    #[test]
    fn two_cameras_make_one_performer_where_the_person_stands() {
        let views = room(2);
        let mut app = App::new();
        app.add_plugins((MinimalPlugins, RoomPlugin));
        let cameras: Vec<Entity> = views
            .iter()
            .map(|view| app.world_mut().spawn(CalibratedCamera(view.clone())).id())
            .collect();
        app.update();
        let at = DVec3::new(0.4, 0.0, -0.2);
        let began = Instant::now();
        let mut number = 0;
        let found = loop {
            for (view, &camera) in cameras.iter().enumerate() {
                let capture = capture(view, &views, at, number);
                app.world_mut().write_message(Captured { camera, capture });
            }
            number += 1;
            app.update();
            let world = app.world_mut();
            let poses: Vec<_> = world
                .query::<&Performer>()
                .iter(world)
                .map(|p| p.pose.clone())
                .collect();
            if !poses.is_empty() || began.elapsed() > Duration::from_secs(20) {
                break poses;
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        assert_eq!(found.len(), 1, "one person, though two cameras see them");
        let truth = standing(at);
        for joint in [Joint::Nose, Joint::LeftWrist, Joint::RightAnkle] {
            let off = found[0][joint]
                .zip(truth[joint])
                .map(|(p, q)| p.position.distance(q.as_vec3()));
            assert!(off.is_some_and(|off| off < 0.06), "{joint:?}: {off:?}");
        }
        let world = app.world_mut();
        let eye = world
            .get::<Transform>(cameras[0])
            .map(|transform| transform.translation);
        let wanted = views[0].extrinsics.centre().as_vec3();
        assert!(eye.is_some_and(|eye| eye.distance(wanted) < 1e-4));
    }

    #[test]
    fn clips_lose_no_moment_and_the_one_that_is_ahead_waits() {
        const MOMENTS: u64 = 150;
        let views = room(2);
        let mut app = App::new();
        app.add_plugins((MinimalPlugins, RoomPlugin));
        let cameras: Vec<Entity> = views
            .iter()
            .map(|view| {
                let clip = CaptureCamera::video("a.mp4");
                app.world_mut()
                    .spawn((clip, CalibratedCamera(view.clone())))
                    .id()
            })
            .collect();
        app.update();
        let (mut sent, mut furthest) = ([0, 0], 0);
        let (mut times, mut epochs) = (Vec::new(), Vec::new());
        let began = Instant::now();
        while (times.len() as u64) < MOMENTS && began.elapsed() < Duration::from_secs(30) {
            for (view, speed) in [(0, 3), (1, 1)] {
                // As the cameras' threads are read.
                if app.world().resource::<Room>().has_enough_of(cameras[view]) {
                    continue;
                }
                for _ in 0..speed {
                    if sent[view] < MOMENTS {
                        let capture = capture(view, &views, DVec3::ZERO, sent[view]);
                        let camera = cameras[view];
                        app.world_mut().write_message(Captured { camera, capture });
                        sent[view] += 1;
                    }
                }
            }
            furthest = furthest.max(sent[0].saturating_sub(sent[1]));
            app.update();
            for told in app
                .world_mut()
                .resource_mut::<Messages<RoomCaptured>>()
                .drain()
            {
                times.push(told.capture.time);
                epochs.push(told.epoch);
            }
        }
        let wanted: Vec<f64> = (0..MOMENTS).map(|n| n as f64 / 30.0).collect();
        assert_eq!(times, wanted);
        epochs.dedup();
        assert_eq!(epochs.len(), 1);
        assert!(furthest < 10, "one clip is {furthest} pictures ahead");
    }

    #[test]
    fn the_watchdog_sees_a_picture_a_second_however_clocks_differ() {
        use crate::calibrate::backdrop::tests::SCENE;
        let views = room(2);
        let mut dog = Watchdog::new(views.clone());
        let (still, moved) = (SCENE.picture(), {
            let shift = bevy::math::DVec2::X * 9.0;
            crate::calibrate::backdrop::tests::Scene { shift, ..SCENE }.picture()
        });
        let (still, moved) = (Arc::new(still), Arc::new(moved));
        let (mut last, mut pictures, mut bumps) = (f64::NEG_INFINITY, 0, Vec::new());
        for n in 0..300 {
            let mut capture = Capture::clone(&capture(1, &views, DVec3::ZERO, n));
            // The source's clock shakes, and begins anew as that of a clip that loops.
            capture.frame.time =
                f64::from(n as u32 % 100) / 30.0 + [0.0, 0.004, -0.003][n as usize % 3];
            capture.frame.image = if n < 150 {
                still.clone()
            } else {
                moved.clone()
            };
            let capture = pictured_now_and_then(&Arc::new(capture), &mut last);
            pictures += u32::from(!capture.frame.image.is_empty());
            let time = 100.0 + n as f64 / 30.0;
            dog.look(time, 1, &capture.frame.image, &[]);
            if n % 30 == 29 {
                bumps.extend(dog.check().into_iter().map(|bump| (n, bump.view)));
            }
        }
        assert!((22..36).contains(&pictures), "{pictures} of 300");
        let [(when, 1)] = bumps[..] else {
            panic!("{bumps:?}")
        };
        assert!((210..300).contains(&when), "at {when}");
    }
}
