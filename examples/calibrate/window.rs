//! The window: what the cameras show, what to do next, and what was found.

#[path = "../support/mod.rs"]
mod support;

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use bevy::prelude::*;
use bevy::render::view::screenshot::{Screenshot, save_to_disk};
use bevy_egui::{EguiContexts, EguiPlugin, EguiPrimaryContextPass, egui};

use super::screen::{Screen, Shown};

/// What the work shows, and what of that is in textures.
#[derive(Resource)]
struct Window {
    shown: Arc<Mutex<Shown>>,
    version: u64,
    textures: Vec<(String, egui::TextureHandle)>,
    photograph: Option<PathBuf>,
}

/// Does some work on a thread of its own, and shows it in a window until that is closed. A picture of the window as it is when the work
/// has ended goes to `photograph`, which closes it.
///
/// # Errors
/// What the work says, or that there is nothing to show it on.
pub fn run(
    work: impl FnOnce(&mut Screen) -> Result<(), String> + Send + 'static,
    photograph: Option<PathBuf>,
) -> Result<(), String> {
    if !support::has_display() {
        return Err("there is no display to open a window on; leave out --window".into());
    }
    drop(support::renderer()?);
    let shown: Arc<Mutex<Shown>> = Arc::default();
    let of_work = shown.clone();
    let worker = std::thread::Builder::new().name("calibrate".into());
    let worker = worker.spawn(move || {
        let screen = of_work.clone();
        // Whatever breaks must not leave a window that waits for ever.
        let result =
            std::panic::catch_unwind(AssertUnwindSafe(|| work(&mut Screen::window(screen))));
        let broken = |_| Err("the work broke off; the terminal says where".into());
        lock(&of_work).ended = Some(result.unwrap_or_else(broken));
    });
    worker.map_err(|error| format!("no thread to work on: {error}"))?;
    let title = "bevy_pose_capture: calibration";
    let mut app = App::new();
    app.add_plugins((
        support::default_plugins().set(WindowPlugin {
            primary_window: Some(bevy::window::Window {
                title: title.into(),
                resolution: (1280, 760).into(),
                ..default()
            }),
            ..default()
        }),
        EguiPlugin::default(),
    ))
    .insert_resource(bevy::winit::WinitSettings::continuous())
    .insert_resource(Window {
        shown: shown.clone(),
        version: 0,
        textures: Vec::new(),
        photograph,
    })
    .add_systems(Startup, |mut commands: Commands| {
        commands.spawn(Camera2d);
    })
    .add_systems(EguiPrimaryContextPass, draw)
    .add_systems(Update, take_photograph);
    app.run();
    let ended = lock(&shown).ended.take();
    ended.unwrap_or_else(|| Err("the window was closed before the work was done".into()))
}

fn lock(shown: &Mutex<Shown>) -> std::sync::MutexGuard<'_, Shown> {
    shown.lock().unwrap_or_else(|broken| broken.into_inner())
}

fn draw(mut contexts: EguiContexts, mut window: ResMut<Window>) -> Result {
    let ctx = contexts.ctx_mut()?.clone();
    let Window {
        shown,
        version,
        textures,
        ..
    } = &mut *window;
    let shown = lock(shown);
    if *version != shown.version {
        *version = shown.version;
        textures.clear();
        for (name, picture) in &shown.pictures {
            let size = [picture.width() as usize, picture.height() as usize];
            let image = egui::ColorImage::from_rgb(size, picture.as_raw());
            let texture = ctx.load_texture(name, image, egui::TextureOptions::LINEAR);
            textures.push((name.clone(), texture));
        }
    }
    let whole = egui::UiBuilder::new()
        .layer_id(egui::LayerId::background())
        .max_rect(ctx.content_rect());
    let mut all = egui::Ui::new(ctx, egui::Id::new("window"), whole);
    egui::Panel::top("now").show(&mut all, |ui| {
        ui.add_space(6.0);
        let (text, colour) = match &shown.ended {
            None if shown.now.is_empty() => ("working …".to_owned(), egui::Color32::LIGHT_GRAY),
            None => (shown.now.clone(), egui::Color32::WHITE),
            Some(Ok(())) => ("done".into(), egui::Color32::LIGHT_GREEN),
            Some(Err(error)) => (error.clone(), egui::Color32::from_rgb(255, 140, 120)),
        };
        ui.label(egui::RichText::new(text).size(22.0).color(colour));
        if let Some(progress) = shown.progress {
            ui.add(egui::ProgressBar::new(progress).show_percentage());
        }
        ui.add_space(6.0);
    });
    egui::Panel::right("said")
        .exact_size(430.0)
        .show(&mut all, |ui| {
            let scroll = egui::ScrollArea::vertical().stick_to_bottom(true);
            scroll.show(ui, |ui| {
                for line in &shown.said {
                    let colour = match line.trim_start().split(' ').next() {
                        Some("good") => egui::Color32::LIGHT_GREEN,
                        Some("usable") | Some("note:") => egui::Color32::from_rgb(255, 210, 120),
                        Some("failed") => egui::Color32::from_rgb(255, 140, 120),
                        _ => egui::Color32::LIGHT_GRAY,
                    };
                    ui.label(egui::RichText::new(line).color(colour));
                }
            });
        });
    egui::CentralPanel::default().show(&mut all, |ui| {
        let count = textures.len().max(1);
        let columns = (count as f32).sqrt().ceil() as usize;
        let rows = count.div_ceil(columns);
        let space =
            ui.available_size() / egui::vec2(columns as f32, rows as f32) - egui::vec2(8.0, 26.0);
        egui::Grid::new("pictures").show(ui, |ui| {
            for (n, (name, texture)) in textures.iter().enumerate() {
                ui.vertical(|ui| {
                    ui.label(name);
                    let size = texture.size_vec2();
                    let scale = (space / size).min_elem().max(0.01);
                    ui.image((texture.id(), size * scale));
                });
                if n % columns == columns - 1 {
                    ui.end_row();
                }
            }
        });
    });
    Ok(())
}

/// A moment after the end, when what was said is drawn.
fn take_photograph(
    mut commands: Commands,
    window: Res<Window>,
    mut waited: Local<u32>,
    mut exit: MessageWriter<AppExit>,
) {
    let Some(file) = &window.photograph else {
        return;
    };
    if lock(&window.shown).ended.is_none() {
        return;
    }
    *waited += 1;
    if *waited == 10 {
        commands
            .spawn(Screenshot::primary_window())
            .observe(save_to_disk(file.clone()));
    }
    if *waited == 40 {
        exit.write(AppExit::Success);
    }
}
