//! A chart with a line for each number of people, by the number of cameras.

use std::path::Path;

use plotters::prelude::*;

/// What stands on a chart.
pub struct Words<'a> {
    /// Above it.
    pub caption: &'a str,
    /// What is measured, and in what unit.
    pub measured: &'a str,
}

/// Draws the lines: numbers of people, and points of cameras and of what was measured.
///
/// # Errors
/// What the file system says.
pub fn by_cameras(
    lines: &[(usize, Vec<(f64, f64)>)],
    words: &Words,
    file: &Path,
) -> Result<(), Box<dyn std::error::Error>> {
    let points = || lines.iter().flat_map(|(_, line)| line);
    let most = points().map(|at| at.0).fold(2.0, f64::max);
    let highest = points().map(|at| at.1).fold(0.1, f64::max);
    let area = SVGBackend::new(file, (760, 460)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(words.caption, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(46)
        .build_cartesian_2d(1.5..most + 0.5, 0.0..highest * 1.1)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(WHITE)
        .x_labels(most as usize)
        .x_label_formatter(&|x| format!("{x:.0}"))
        .x_desc("cameras")
        .y_desc(words.measured)
        .draw()?;
    for (n, (people, line)) in lines.iter().enumerate() {
        let colour = Palette99::pick(n).to_rgba();
        chart
            .draw_series(LineSeries::new(line.clone(), colour.stroke_width(2)))?
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
