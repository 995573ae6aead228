//! What following people through several cameras costs, from keypoints, on one thread: `cargo xtask bench`.

use std::time::Instant;

use bevy::math::DVec3;
use bevy_pose_capture::associate::Sighting;
use bevy_pose_capture::multiview::{MultiView, MultiViewSettings};
use bevy_pose_capture::reconstruct::figure::Method;
use bevy_pose_capture::source::synthetic::{Faults, Random, Walker, cameras_around, look};

const MOMENTS: usize = 300;

fn main() {
    println!(
        "{:>7} {:>7} {:>12} {:>12} {:>14}",
        "cameras", "people", "median ms", "p95 ms", "moments a s"
    );
    row(5, 2, Method::Search, "  every joint by search");
    for (cameras, people) in [
        (2, 1),
        (3, 2),
        (5, 1),
        (5, 2),
        (5, 4),
        (8, 4),
        (12, 4),
        (12, 8),
    ] {
        row(cameras, people, Method::WhereAmbiguous, "");
    }
}

fn row(cameras: usize, people: usize, method: Method, remark: &str) {
    let mut times = follow(cameras, people, method);
    times.sort_by(f64::total_cmp);
    let total: f64 = times.iter().sum();
    println!(
        "{cameras:7} {people:7} {:12.3} {:12.3} {:14.0}{remark}",
        times[times.len() / 2],
        times[times.len() * 95 / 100],
        times.len() as f64 / total * 1e3
    );
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
