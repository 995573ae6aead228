//! What following people through several cameras costs, from keypoints, on one thread, and how that grows with both:
//! `cargo xtask bench`. Besides the table it draws `target/multiview.svg`.

use std::path::Path;
use std::time::Instant;

use bevy::math::DVec3;
use bevy_pose_capture::associate::Sighting;
use bevy_pose_capture::multiview::{MultiView, MultiViewSettings};
use bevy_pose_capture::reconstruct::figure::Method;
use bevy_pose_capture::source::synthetic::{Faults, Random, Walker, cameras_around, look};
use plotters::prelude::*;

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
        lines.push((people, line));
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/multiview.svg");
    std::fs::create_dir_all(file.parent().unwrap_or(Path::new(".")))?;
    draw(&lines, &file)?;
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

/// The median by the number of cameras, a line for each number of people.
fn draw(
    lines: &[(usize, [(f64, f64); CAMERAS.len()])],
    file: &Path,
) -> Result<(), Box<dyn std::error::Error>> {
    let highest = lines.iter().flat_map(|(_, line)| line).map(|at| at.1);
    let highest = highest.fold(0.1, f64::max);
    let most = CAMERAS.into_iter().max().unwrap_or(1);
    let area = SVGBackend::new(file, (760, 460)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(
            "Following people through cameras: milliseconds a moment, one thread",
            ("sans-serif", 18),
        )
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(46)
        .build_cartesian_2d(1.5..most as f64 + 0.5, 0.0..highest * 1.1)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(WHITE)
        .x_labels(most)
        .x_label_formatter(&|x| format!("{x:.0}"))
        .x_desc("cameras")
        .y_desc("median, ms")
        .draw()?;
    for (n, (people, line)) in lines.iter().enumerate() {
        let colour = Palette99::pick(n).to_rgba();
        chart
            .draw_series(LineSeries::new(*line, colour.stroke_width(2)))?
            .label(match people {
                1 => "1 person".to_owned(),
                _ => format!("{people} people"),
            })
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
        let dots = line.iter().map(|at| Circle::new(*at, 3, colour.filled()));
        chart.draw_series(dots)?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .border_style(BLACK.mix(0.3))
        .background_style(WHITE.mix(0.8))
        .draw()?;
    area.present()?;
    Ok(())
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
