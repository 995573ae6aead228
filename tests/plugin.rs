//! The plugin in an app without a window and without a GPU: the sample clip moves the mannequin and becomes a take.
#![cfg(all(feature = "embedded-models", feature = "video"))]

mod common;

use std::time::{Duration, Instant};

use bevy::ecs::schedule::{LogLevel, ScheduleBuildSettings, ScheduleLabel};
use bevy::math::DVec3;
use bevy::prelude::*;
use bevy_pose_capture::avatar::{AvatarRefused, AvatarRig};
use bevy_pose_capture::camera::{Extrinsics, Intrinsics, View};
use bevy_pose_capture::capture::{CameraState, CameraStatus};
use bevy_pose_capture::prelude::*;
use bevy_pose_capture::record::take::Take;
use common::{app, sample, spawn_mannequin};

fn until(app: &mut App, seconds: u64, what: &str, mut done: impl FnMut(&mut World) -> bool) {
    let began = Instant::now();
    while !done(app.world_mut()) {
        assert!(
            began.elapsed() < Duration::from_secs(seconds),
            "{what}: not within {seconds} s"
        );
        app.update();
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[derive(Resource, Default)]
struct Saved(Vec<TakeSaved>);

#[test]
fn the_sample_clip_moves_the_mannequin_and_becomes_a_take() -> Result<(), Box<dyn std::error::Error>>
{
    let folder = tempfile::tempdir()?;
    let mut app = app();
    app.init_resource::<Saved>()
        .add_observer(|saved: On<TakeSaved>, mut all: ResMut<Saved>| all.0.push(saved.clone()));
    spawn_mannequin(&mut app);
    until(&mut app, 60, "the avatar's bones", |world| {
        world.query::<&AvatarRig>().iter(world).count() == 1
    });
    assert_eq!(
        app.world_mut()
            .query::<&AvatarRefused>()
            .iter(app.world())
            .count(),
        0
    );
    let hand = |world: &mut World| {
        let mut bones = world.query::<(&Name, &GlobalTransform)>();
        bones
            .iter(world)
            .find(|(name, _)| name.as_str() == "leftHand")
            .map(|(_, place)| place.translation())
    };
    app.update();
    let at_rest = hand(app.world_mut()).ok_or("no hand")?;
    assert!(at_rest.x > 0.6, "a T-pose: {at_rest}");

    app.world_mut().write_message(StartRecording {
        file: folder.path().join("one"),
        ..default()
    });
    app.update();
    app.world_mut().spawn(CaptureCamera::video(sample()).once());
    until(&mut app, 60, "somebody in the clip", |world| {
        world.query::<&Performer>().iter(world).count() > 0
    });
    app.update();
    let moved = hand(app.world_mut()).ok_or("no hand")?;
    assert!(moved.distance(at_rest) > 0.2, "the arm came down: {moved}");
    // At its beginning the person in the clip faces us, so their left is on our right, at +x.
    let place = |app: &mut App, wanted: &str| {
        let world = app.world_mut();
        let mut bones = world.query::<(&Name, &GlobalTransform)>();
        bones
            .iter(world)
            .find(|(name, _)| name.as_str() == wanted)
            .map(|(_, place)| place.translation())
            .unwrap_or_default()
    };
    assert!(
        place(&mut app, "head").y > place(&mut app, "hips").y + 0.4,
        "upright"
    );
    assert!(
        place(&mut app, "leftUpperArm").x > place(&mut app, "rightUpperArm").x + 0.15,
        "left is left"
    );
    until(&mut app, 120, "the end of the clip", |world| {
        world
            .query::<&CameraStatus>()
            .iter(world)
            .any(|status| status.state == CameraState::Ended)
    });
    app.world_mut().write_message(StopRecording);
    until(&mut app, 60, "the take", |world| {
        !world.resource::<Saved>().0.is_empty()
    });
    let saved = app.world().resource::<Saved>().0[0].clone();
    let take = Take::read(&saved.take?)?;
    assert_eq!(
        (take.header.source.as_str(), take.header.size),
        ("sample", (640, 480))
    );
    assert!(
        take.frames.len() > 200,
        "{} frames of 300",
        take.frames.len()
    );
    assert!(
        saved
            .glb
            .is_ok_and(|glb| std::fs::metadata(glb).is_ok_and(|file| file.len() > 400_000))
    );
    Ok(())
}

#[test]
fn an_avatar_may_come_after_its_model_and_its_model_may_be_changed() {
    let mut app = app();
    let avatar = spawn_mannequin(&mut app);
    let late = app
        .world_mut()
        .entity_mut(avatar)
        .take::<Avatar>()
        .unwrap_or_default();
    let hand = |world: &mut World| {
        let mut bones = world.query::<(Entity, &Name)>();
        bones
            .iter(world)
            .find(|(_, name)| name.as_str() == "leftHand")
            .map(|(entity, _)| entity)
    };
    until(&mut app, 60, "the model", |world| hand(world).is_some());
    app.update();
    app.world_mut().entity_mut(avatar).insert(late);
    until(&mut app, 10, "the avatar's bones", |world| {
        world.get::<AvatarRig>(avatar).is_some()
    });
    // The same model again stands for another one: it is loaded anew.
    let before = hand(app.world_mut());
    let model = app.world().get::<WorldAssetRoot>(avatar).cloned();
    app.world_mut()
        .entity_mut(avatar)
        .insert(model.unwrap_or_default());
    until(&mut app, 60, "another model", |world| {
        hand(world).is_some_and(|now| Some(now) != before)
    });
    app.world_mut().spawn(CaptureCamera::video(sample()));
    until(&mut app, 60, "a hand that moves", |world| {
        let hand = hand(world).and_then(|hand| world.get::<GlobalTransform>(hand));
        hand.is_some_and(|hand| hand.translation().y < 1.1)
    });
}

#[test]
fn a_source_that_cannot_be_opened_is_told_and_ends_nothing() {
    let mut app = app();
    app.world_mut()
        .spawn(CaptureCamera::video("no/such/clip.mp4"));
    let mut reason = String::new();
    until(&mut app, 60, "the failure", |world| {
        let failed = world
            .query::<&CameraStatus>()
            .iter(world)
            .find_map(|status| match &status.state {
                CameraState::Failed(reason) => Some(reason.clone()),
                _ => None,
            });
        reason = failed.clone().unwrap_or_default();
        failed.is_some()
    });
    assert!(reason.contains("no/such/clip.mp4"), "{reason}");
    app.update();
}

#[test]
fn a_calibration_that_comes_late_tells_the_lens_all_the_same() {
    let mut app = app();
    let camera = app.world_mut().spawn(CaptureCamera::video(sample())).id();
    let lens = |world: &mut World| {
        world
            .get::<CameraStatus>(camera)
            .and_then(|status| status.lens)
    };
    until(&mut app, 60, "a picture", |world| lens(world).is_some());
    let mut intrinsics = Intrinsics::assumed(640, 480);
    intrinsics.focal *= 1.3;
    app.world_mut()
        .entity_mut(camera)
        .insert(CalibratedCamera(View {
            name: "sample".into(),
            intrinsics,
            extrinsics: Extrinsics::looking_at(DVec3::new(0.0, 1.0, 3.0), DVec3::Y, DVec3::Y),
        }));
    until(&mut app, 60, "its lens", |world| {
        lens(world).is_some_and(|(lens, _)| lens.focal == intrinsics.focal)
    });
}

#[test]
fn a_camera_that_is_taken_off_its_entity_leaves_nothing_behind() {
    let mut app = app();
    let camera = app.world_mut().spawn(CaptureCamera::video(sample())).id();
    until(&mut app, 60, "somebody in the clip", |world| {
        world.query::<&Performer>().iter(world).count() > 0
    });
    app.world_mut().entity_mut(camera).remove::<CaptureCamera>();
    app.update();
    assert!(app.world().get::<CameraStatus>(camera).is_none());
    until(&mut app, 60, "nobody", |world| {
        world.query::<&Performer>().iter(world).count() == 0
    });
}

#[test]
fn no_two_systems_of_the_plugin_are_in_doubt_about_their_order() {
    let mut app = app();
    for label in [PreUpdate.intern(), PostUpdate.intern(), Update.intern()] {
        app.edit_schedule(label, |schedule| {
            schedule.set_build_settings(ScheduleBuildSettings {
                ambiguity_detection: LogLevel::Error,
                ..default()
            });
        });
    }
    app.update();
}
