//! Charts of lines.

use std::ops::Range;
use std::path::Path;

use plotters::prelude::*;

/// What stands on a chart.
pub struct Words<'a> {
    /// Above it.
    pub caption: &'a str,
    /// What grows to the right, and in what unit.
    pub across: &'a str,
    /// What is measured, and in what unit.
    pub measured: &'a str,
}

/// Draws a line for each number of people, of points of cameras and of what was measured.
///
/// # Errors
/// What the file system says.
pub fn by_cameras(
    lines: &[(usize, Vec<(f64, f64)>)],
    words: &Words,
    file: &Path,
) -> Result<(), Box<dyn std::error::Error>> {
    let most = lines
        .iter()
        .flat_map(|(_, line)| line)
        .map(|at| at.0)
        .fold(2.0, f64::max);
    let named: Vec<(String, Vec<(f64, f64)>)> = lines
        .iter()
        .map(|(people, line)| match people {
            1 => ("1 person".to_owned(), line.clone()),
            _ => (format!("{people} people"), line.clone()),
        })
        .collect();
    lines_over(&named, words, 1.5..most + 0.5, file)
}

/// Draws lines by name over a range, from 0 up.
///
/// # Errors
/// What the file system says.
pub fn lines_over(
    lines: &[(String, Vec<(f64, f64)>)],
    words: &Words,
    range: Range<f64>,
    file: &Path,
) -> Result<(), Box<dyn std::error::Error>> {
    let points = lines.iter().flat_map(|(_, line)| line);
    let highest = points.map(|at| at.1).fold(0.1, f64::max);
    let area = SVGBackend::new(file, (760, 460)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(words.caption, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(46)
        .build_cartesian_2d(range, 0.0..highest * 1.1)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(WHITE)
        .x_label_formatter(&|x| format!("{x:.1}").trim_end_matches(".0").to_owned())
        .x_desc(words.across)
        .y_desc(words.measured)
        .draw()?;
    for (n, (name, line)) in lines.iter().enumerate() {
        let colour = Palette99::pick(n).to_rgba();
        chart
            .draw_series(LineSeries::new(line.clone(), colour.stroke_width(2)))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
        chart.draw_series(line.iter().map(|at| Circle::new(*at, 3, colour.filled())))?;
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
