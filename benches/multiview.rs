//! What following people through several cameras costs, from keypoints, on one thread, and how that grows with both:
//! `cargo xtask bench`. Besides the table it draws `target/multiview.svg`.

#[path = "../examples/support/chart.rs"]
mod chart;

use std::path::Path;
use std::time::Instant;

use bevy::math::DVec3;
use bevy_pose_capture::associate::Sighting;
use bevy_pose_capture::multiview::{MultiView, MultiViewSettings};
use bevy_pose_capture::reconstruct::figure::Method;
use bevy_pose_capture::source::synthetic::{Faults, Random, Walker, cameras_around, look};
use chart::{Words, by_cameras};

const MOMENTS: usize = 300;

/// Numbers of cameras and of people whose growth is drawn.
const CAMERAS: [usize; 7] = [2, 3, 4, 5, 6, 8, 12];
const PEOPLE: [usize; 4] = [1, 2, 4, 8];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!(
        "{:>7} {:>7} {:>12} {:>12} {:>14}",
        "cameras", "people", "median ms", "p95 ms", "moments a s"
    );
    row(5, 2, Method::Search, "  every joint by search");
    let mut lines = Vec::new();
    for people in PEOPLE {
        let line = CAMERAS.map(|cameras| {
            let median = row(cameras, people, Method::WhereAmbiguous, "");
            (cameras as f64, median)
        });
        lines.push((people, line.to_vec()));
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/multiview.svg");
    std::fs::create_dir_all(file.parent().unwrap_or(Path::new(".")))?;
    let words = Words {
        caption: "Following people through cameras: milliseconds a moment, one thread",
        across: "cameras",
        measured: "median, ms",
    };
    by_cameras(&lines, &words, &file)?;
    println!("saved {}", file.display());
    Ok(())
}

/// Prints a row, and returns its median in milliseconds.
fn row(cameras: usize, people: usize, method: Method, remark: &str) -> f64 {
    let mut times = follow(cameras, people, method);
    times.sort_by(f64::total_cmp);
    let total: f64 = times.iter().sum();
    let median = times[times.len() / 2];
    println!(
        "{cameras:7} {people:7} {median:12.3} {:12.3} {:14.0}{remark}",
        times[times.len() * 95 / 100],
        times.len() as f64 / total * 1e3
    );
    median
}

/// Milliseconds for each moment.
fn follow(cameras: usize, people: usize, method: Method) -> Vec<f64> {
    let views = cameras_around(cameras, 4.5);
    let walkers: Vec<Walker> = (0..people)
        .map(|n| Walker {
            centre: DVec3::new(0.25 * n as f64 - 0.6, 0.0, 0.2),
            radius: 0.7 + 0.25 * n as f64,
            speed: if n % 2 == 0 { 1.1 } else { -0.9 },
            start: n as f64 * 1.7,
            stature: 1.6 + 0.05 * n as f64,
        })
        .collect();
    let faults = Faults {
        noise: 0.012,
        missing: 0.1,
        exchanged: 0.02,
    };
    let settings = MultiViewSettings {
        method,
        ..MultiViewSettings::default()
    };
    let mut room = MultiView::new(views.clone(), settings);
    let mut random = Random::new(1);
    let mut times = Vec::with_capacity(MOMENTS);
    for n in 0..MOMENTS {
        let time = n as f64 / 30.0;
        let mut seen = Vec::new();
        for walker in &walkers {
            let joints = walker.joints(time);
            for (v, view) in views.iter().enumerate() {
                seen.extend(look(view, &joints, &faults, &mut random).map(|pose| (v, pose)));
            }
        }
        let began = Instant::now();
        let sightings: Vec<Sighting> = seen
            .iter()
            .map(|(v, pose)| Sighting::new(*v, &views[*v], pose, None))
            .collect();
        std::hint::black_box(room.advance(time, &sightings));
        times.push(began.elapsed().as_secs_f64() * 1e3);
    }
    times
}
