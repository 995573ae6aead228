//! From a network's numbers to boxes and joints. Plain functions on slices; results in pixels of the crop, whole numbers
//! being centres of pixels.

use bevy::math::{Rect, Vec2};

use crate::inference::Tensor;
use crate::skeleton::{Confidence, Keypoint};

/// A box with this score is clearly somebody.
pub(super) const CLEAR: f32 = 0.65;

/// A box and its score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScoredBox {
    /// Pixels.
    pub bounds: Rect,
    /// 0–1.
    pub score: f32,
}

impl ScoredBox {
    /// Whether this is somebody, and nothing that looks like it.
    pub fn is_clear(&self) -> bool {
        self.score >= CLEAR
    }
}

/// Reads YOLOX's grids (Ge et al. 2021): `rows` of dx, dy, log w, log h, objectness and class scores, cell after cell.
/// `None` where there are not as many rows as cells, or no column for the class.
pub fn yolox(
    rows: &Tensor,
    input: (usize, usize),
    strides: &[usize],
    person: usize,
    least: f32,
) -> Option<Vec<ScoredBox>> {
    let columns = rows.shape.last().copied().unwrap_or(0);
    let expected: usize = strides
        .iter()
        .map(|stride| (input.0 / stride) * (input.1 / stride))
        .sum();
    if columns < 6 + person || rows.data.len() != expected * columns {
        return None;
    }
    let cells = strides.iter().flat_map(|&stride| {
        let (across, down) = (input.0 / stride, input.1 / stride);
        (0..across * down).map(move |n| {
            (
                Vec2::new((n % across) as f32, (n / across) as f32),
                stride as f32,
            )
        })
    });
    let mut boxes = Vec::new();
    for ((cell, stride), row) in cells.zip(rows.data.chunks_exact(columns)) {
        let score = row[4] * row[5 + person];
        if score >= least {
            // The grid counts from the crop's edge; centres of pixels lie half a pixel further.
            let centre = (Vec2::new(row[0], row[1]) + cell) * stride - 0.5;
            let half = Vec2::new(row[2].min(20.0).exp(), row[3].min(20.0).exp()) * stride * 0.5;
            boxes.push(ScoredBox {
                bounds: Rect::from_center_half_size(centre, half),
                score,
            });
        }
    }
    Some(suppress(boxes, 0.55))
}

/// Intersection over union of two boxes.
pub fn overlap(a: Rect, b: Rect) -> f32 {
    let shared = a.intersect(b);
    let area = |r: Rect| {
        if r.is_empty() {
            0.0
        } else {
            r.width() * r.height()
        }
    };
    area(shared) / (area(a) + area(b) - area(shared)).max(1e-6)
}

/// Non-maximum suppression: of boxes that overlap by more than `most`, the best stays.
pub fn suppress(mut boxes: Vec<ScoredBox>, most: f32) -> Vec<ScoredBox> {
    boxes.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut kept: Vec<ScoredBox> = Vec::new();
    for candidate in boxes {
        if kept
            .iter()
            .all(|better| overlap(better.bounds, candidate.bounds) <= most)
        {
            kept.push(candidate);
        }
    }
    kept
}

/// Where a parabola through three values around a peak has its top, as an offset in -0.5..=0.5.
fn top_of_parabola(before: f32, peak: f32, after: f32) -> f32 {
    let bend = before - 2.0 * peak + after;
    if bend < -1e-9 {
        (0.5 * (before - after) / bend).clamp(-0.5, 0.5)
    } else {
        0.0
    }
}

/// Reads SimCC (Li et al. 2022): per joint one distribution along x, one along y, `split` bins to a pixel.
pub fn simcc(x: &Tensor, y: &Tensor, split: f32) -> Vec<Keypoint> {
    let peak = |bins: &[f32]| {
        let at = (0..bins.len())
            .max_by(|&a, &b| bins[a].total_cmp(&bins[b]))
            .unwrap_or(0);
        let near = |n: Option<usize>| n.and_then(|n| bins.get(n)).copied().unwrap_or(bins[at]);
        let shift = top_of_parabola(near(at.checked_sub(1)), bins[at], near(Some(at + 1)));
        (at as f32 + shift, bins[at])
    };
    let (Some(&width), Some(&height)) = (x.shape.last(), y.shape.last()) else {
        return Vec::new();
    };
    if width == 0 || height == 0 {
        return Vec::new();
    }
    x.data
        .chunks_exact(width)
        .zip(y.data.chunks_exact(height))
        .map(|(x, y)| {
            let ((x, sure_x), (y, sure_y)) = (peak(x), peak(y));
            Keypoint {
                position: Vec2::new(x, y) / split,
                confidence: Confidence::new(sure_x).least(Confidence::new(sure_y)),
            }
        })
        .collect()
}

/// Reads heat maps `(1, joints, rows, columns)`: the peak, moved to the top of a parabola through the logarithms of its
/// neighbours (Zhang et al. 2020, "DARK", equation 10 for a round bell).
pub fn heatmap(maps: &Tensor, input: (usize, usize)) -> Vec<Keypoint> {
    let &[_, _, rows, columns] = maps.shape.as_slice() else {
        return Vec::new();
    };
    if rows * columns == 0 {
        return Vec::new();
    }
    let stride = Vec2::new(
        input.0 as f32 / columns as f32,
        input.1 as f32 / rows as f32,
    );
    maps.data
        .chunks_exact(rows * columns)
        .map(|map| {
            let at = (0..map.len())
                .max_by(|&a, &b| map[a].total_cmp(&map[b]))
                .unwrap_or(0);
            let (x, y) = (at % columns, at / columns);
            let log = |x: usize, y: usize| map[y * columns + x].max(1e-6).ln();
            let mut cell = Vec2::new(x as f32, y as f32);
            if x > 0 && x + 1 < columns {
                cell.x += top_of_parabola(log(x - 1, y), log(x, y), log(x + 1, y));
            }
            if y > 0 && y + 1 < rows {
                cell.y += top_of_parabola(log(x, y - 1), log(x, y), log(x, y + 1));
            }
            Keypoint {
                position: (cell + 0.5) * stride - 0.5,
                confidence: Confidence::new(map[at]),
            }
        })
        .collect()
}

/// How the rows of a regressing network are read; see [`Decoder::Regression`](crate::inference::Decoder::Regression).
#[derive(Clone, Copy, Debug)]
pub struct RegressionRows<'a> {
    /// Numbers per row.
    pub row: usize,
    /// Column of x.
    pub x: usize,
    /// Column of y.
    pub y: usize,
    /// Coordinates are fractions of the crop.
    pub fractions: bool,
    /// Columns of the confidence.
    pub confidence: &'a [usize],
    /// Confidences are logits.
    pub logits: bool,
}

/// Reads coordinates given as numbers (BlazePose, MoveNet).
pub fn regression(rows: &Tensor, how: &RegressionRows, input: (usize, usize)) -> Vec<Keypoint> {
    let columns = how
        .confidence
        .iter()
        .copied()
        .chain([how.x, how.y])
        .max()
        .unwrap_or(0);
    if how.row <= columns {
        return Vec::new();
    }
    let size = Vec2::new(input.0 as f32, input.1 as f32);
    let logistic = |v: f32| {
        if how.logits {
            1.0 / (1.0 + (-v).exp())
        } else {
            v
        }
    };
    rows.data
        .chunks_exact(how.row)
        .map(|row| {
            let point = Vec2::new(row[how.x], row[how.y]);
            let position = if how.fractions {
                point * size - 0.5
            } else {
                point
            };
            let confidence = how
                .confidence
                .iter()
                .map(|&column| Confidence::new(logistic(row[column])))
                .fold(Confidence::FULL, Confidence::least);
            Keypoint {
                position,
                confidence,
            }
        })
        .collect()
}

/// Sharpens coordinates by the heat maps that some networks give beside them: the weighted mean of the 7 × 7 cells around
/// each point, where the map is sure (MediaPipe's landmark refinement).
pub fn sharpen(points: &mut [Keypoint], maps: &Tensor, input: (usize, usize)) {
    let &[_, rows, columns, channels] = maps.shape.as_slice() else {
        return;
    };
    let stride = Vec2::new(
        input.0 as f32 / columns as f32,
        input.1 as f32 / rows as f32,
    );
    for (joint, point) in points.iter_mut().enumerate().take(channels) {
        // In these maps cell n stands for pixel n · stride, without the half cell.
        let middle = (point.position / stride).as_ivec2();
        let (mut sum, mut total, mut best) = (Vec2::ZERO, 0.0, 0.0f32);
        for y in middle.y.saturating_sub(3).max(0)..middle.y.saturating_add(4).min(rows as i32) {
            for x in
                middle.x.saturating_sub(3).max(0)..middle.x.saturating_add(4).min(columns as i32)
            {
                let logit = maps.data[(y as usize * columns + x as usize) * channels + joint];
                let weight = 1.0 / (1.0 + (-logit).exp());
                sum += Vec2::new(x as f32, y as f32) * weight;
                total += weight;
                best = best.max(weight);
            }
        }
        if best >= 0.5 {
            point.position = sum / total * stride;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::crop::Region;
    use crate::skeleton::{Joint, JointSet};

    fn tensor(shape: &[usize], data: Vec<f32>) -> Tensor {
        Tensor {
            shape: shape.to_vec(),
            data,
        }
    }

    #[test]
    fn yolox_rows_become_boxes_on_their_own_grid() {
        // 16 × 16 pixels: four cells of stride 8, one of stride 16. Only the last cell of each grid is sure.
        let mut rows = vec![0.0; 5 * 7];
        rows[3 * 7..4 * 7].copy_from_slice(&[0.5, 0.25, 0.0, 2f32.ln(), 0.9, 0.1, 0.8]);
        rows[4 * 7..].copy_from_slice(&[0.5, 0.5, 0.0, 0.0, 1.0, 0.0, 0.6]);
        let found =
            yolox(&tensor(&[1, 5, 7], rows), (16, 16), &[8, 16], 1, 0.3).unwrap_or_default();
        assert_eq!(found.len(), 2);
        assert!((found[0].score - 0.72).abs() < 1e-5);
        assert!(
            found[0].bounds.center().distance(Vec2::new(11.5, 9.5)) < 1e-4,
            "{:?}",
            found[0]
        );
        assert!((found[0].bounds.size() - Vec2::new(8.0, 16.0)).length() < 1e-4);
        assert!(found[1].bounds.center().distance(Vec2::new(7.5, 7.5)) < 1e-4);
    }

    /// What networks said of a frame of the sample clip, and where its joints are, in pixels of the picture; written by
    /// `python -m posetrain.recorded`.
    #[derive(serde::Deserialize)]
    struct Recorded {
        picture: (f32, f32),
        joints: std::collections::BTreeMap<Joint, (f32, f32)>,
        /// Of the square that the keypoint networks saw.
        centre: (f32, f32),
        side: f32,
        movenet: Vec<f32>,
        blazepose: Vec<f32>,
        heatmaps: Sparse<f32>,
        rows: Sparse<[f32; 6]>,
    }

    #[derive(serde::Deserialize)]
    struct Sparse<T> {
        shape: Vec<usize>,
        values: Vec<(usize, T)>,
    }

    fn recorded() -> Recorded {
        serde_json::from_str(include_str!("recorded.json")).expect("the table is whole")
    }

    /// Asserts that points of a crop of `size` pixels lie on the limbs of the person in the picture, within `most` pixels.
    fn assert_on_limbs(
        recorded: &Recorded,
        size: usize,
        joints: &[Joint],
        points: &[Keypoint],
        most: f32,
    ) {
        let region = Region {
            centre: recorded.centre.into(),
            size: Vec2::splat(recorded.side),
            angle: 0.0,
        };
        let picture_from_crop = region.picture_from_crop(size, size);
        use Joint::*;
        for joint in [
            LeftWrist, RightWrist, LeftElbow, RightElbow, LeftKnee, RightKnee, LeftAnkle,
            RightAnkle,
        ] {
            let point = joints.iter().position(|j| *j == joint).map(|n| points[n]);
            let found = point.map(|point| picture_from_crop.transform_point2(point.position));
            let off = found.map(|found| found.distance(recorded.joints[&joint].into()));
            assert!(
                off.is_some_and(|off| off < most),
                "{joint:?} is off by {off:?}"
            );
            assert!(point.is_some_and(|point| point.confidence.get() > 0.3));
        }
    }

    #[test]
    fn what_movenet_and_blazepose_said_of_the_sample_lies_on_its_limbs() {
        let recorded = recorded();
        let movenet = RegressionRows {
            row: 3,
            x: 1,
            y: 0,
            fractions: true,
            confidence: &[2],
            logits: false,
        };
        let rows = tensor(&[1, 1, 17, 3], recorded.movenet.clone());
        let points = regression(&rows, &movenet, (192, 192));
        assert_on_limbs(&recorded, 192, JointSet::Coco17.joints(), &points, 14.0);
        let blazepose = RegressionRows {
            row: 5,
            x: 0,
            y: 1,
            fractions: false,
            confidence: &[3, 4],
            logits: true,
        };
        let rows = tensor(&[1, 195], recorded.blazepose.clone());
        let points = regression(&rows, &blazepose, (256, 256));
        assert_on_limbs(
            &recorded,
            256,
            JointSet::Blazepose33.joints(),
            &points,
            14.0,
        );
    }

    #[test]
    fn what_our_heat_maps_said_of_the_sample_lies_on_its_limbs() {
        let recorded = recorded();
        let Sparse { shape, values } = &recorded.heatmaps;
        let mut maps = tensor(shape, vec![0.0; shape.iter().product()]);
        for &(at, value) in values {
            maps.data[at] = value;
        }
        let points = heatmap(&maps, (192, 192));
        assert_on_limbs(&recorded, 192, JointSet::Body25.joints(), &points, 20.0);
    }

    #[test]
    fn what_our_detector_said_of_the_sample_is_a_box_around_its_person() {
        let recorded = recorded();
        let Sparse { shape, values } = &recorded.rows;
        let mut rows = tensor(shape, vec![0.0; shape.iter().product()]);
        for (row, value) in values {
            rows.data[row * 6..row * 6 + 6].copy_from_slice(value);
        }
        let boxes = yolox(&rows, (256, 256), &[8], 0, 0.4).unwrap_or_default();
        let scale = recorded.picture.0 / 256.0;
        let corner = |point: Vec2| (point + 0.5) * scale - 0.5;
        let found = boxes
            .first()
            .map(|found| Rect::from_corners(corner(found.bounds.min), corner(found.bounds.max)));
        let spots = recorded.joints.values().map(|&spot| Vec2::from(spot));
        let truth = spots.fold(None, |bounds: Option<Rect>, spot| {
            Some(bounds.map_or(Rect::from_corners(spot, spot), |b| b.union_point(spot)))
        });
        let shared = found.zip(truth).map(|(found, truth)| overlap(found, truth));
        assert!(
            shared.is_some_and(|shared| shared > 0.5),
            "{found:?} for {truth:?}"
        );
        assert_eq!(boxes.len(), 1);
    }

    #[test]
    fn of_boxes_on_one_person_the_best_stays() {
        let at = |x: f32, score| ScoredBox {
            bounds: Rect::new(x, 0.0, x + 10.0, 20.0),
            score,
        };
        let kept = suppress(vec![at(0.0, 0.6), at(1.0, 0.9), at(30.0, 0.5)], 0.5);
        assert_eq!(kept.iter().map(|b| b.score).collect::<Vec<_>>(), [0.9, 0.5]);
    }

    #[test]
    fn heat_maps_are_read_between_their_cells() {
        let truth = Vec2::new(5.3, 2.8);
        let bell = |x: usize, y: usize| {
            0.8 * (-0.5 * Vec2::new(x as f32, y as f32).distance_squared(truth) / 2.0).exp()
        };
        let map: Vec<f32> = (0..8 * 10).map(|n| bell(n % 10, n / 10)).collect();
        let found = heatmap(&tensor(&[1, 1, 8, 10], map), (40, 32));
        // Cell c covers pixels 4c..4c+3: its centre is pixel 4c + 1.5.
        assert!(
            found[0].position.distance(truth * 4.0 + 1.5) < 0.01,
            "{:?}",
            found[0]
        );
        assert!((found[0].confidence.get() - 0.8).abs() < 0.05);
    }

    #[test]
    fn simcc_peaks_are_read_between_their_bins() {
        let line = |truth: f32, bins: usize| {
            (0..bins)
                .map(|n| 1.0 - (n as f32 - truth).powi(2) * 0.01)
                .collect::<Vec<_>>()
        };
        let found = simcc(
            &tensor(&[1, 1, 40], line(21.4, 40)),
            &tensor(&[1, 1, 60], line(33.0, 60)),
            2.0,
        );
        assert!(
            found[0].position.distance(Vec2::new(10.7, 16.5)) < 0.01,
            "{:?}",
            found[0]
        );
    }

    #[test]
    fn regressed_rows_may_be_fractions_or_logits() {
        let movenet = RegressionRows {
            row: 3,
            x: 1,
            y: 0,
            fractions: true,
            confidence: &[2],
            logits: false,
        };
        let found = regression(
            &tensor(&[1, 1, 1, 3], vec![0.25, 0.5, 0.7]),
            &movenet,
            (192, 192),
        );
        assert_eq!(found[0].position, Vec2::new(95.5, 47.5));
        let blazepose = RegressionRows {
            row: 5,
            x: 0,
            y: 1,
            fractions: false,
            confidence: &[3, 4],
            logits: true,
        };
        let found = regression(
            &tensor(&[1, 5], vec![12.0, 34.0, 0.0, 5.0, 0.0]),
            &blazepose,
            (256, 256),
        );
        assert_eq!(found[0].position, Vec2::new(12.0, 34.0));
        assert!(
            (found[0].confidence.get() - 0.5).abs() < 1e-6,
            "the least of the two counts"
        );
    }

    #[test]
    fn sharpening_moves_to_the_peak_near_by_but_not_to_an_unsure_one() {
        let mut maps = tensor(&[1, 16, 16, 2], vec![-9.0; 16 * 16 * 2]);
        maps.data[(5 * 16 + 7) * 2] = 4.0;
        maps.data[(5 * 16 + 7) * 2 + 1] = -1.0;
        let point = Keypoint {
            position: Vec2::new(24.0, 22.0),
            confidence: Confidence::FULL,
        };
        let mut points = [point; 2];
        sharpen(&mut points, &maps, (64, 64));
        assert!(
            points[0].position.distance(Vec2::new(28.0, 20.0)) < 0.3,
            "{:?}",
            points[0]
        );
        assert_eq!(points[1], point);
    }
}
