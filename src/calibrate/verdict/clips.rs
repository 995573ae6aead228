//! Clips that are not those of their cameras: mirrored, exchanged, or given twice.

use super::seen::{Seen, mean_error};
use super::{HELD_OUT, Verdict};
use crate::calibrate::people::Moment;
use crate::calibrate::projection::median;
use crate::camera::View;

/// What may have happened to the pictures, so that they are not those of the cameras.
#[derive(Clone, Copy, Debug)]
enum Mistake {
    /// A camera shows itself as a mirror does.
    Mirrored(usize),
    /// Two clips were exchanged.
    Exchanged(usize, usize),
}

impl Mistake {
    /// What would have been seen without it.
    fn undone(self, views: &[View], moments: &[Moment]) -> Vec<Moment> {
        let undone = |moment: &Moment| {
            let mut moment = moment.clone();
            moment.resize(views.len(), None);
            match self {
                Mistake::Mirrored(view) => {
                    let width = views[view].intrinsics.width as f32;
                    moment[view] = moment[view].take().map(|seen| seen.mirrored(width));
                }
                Mistake::Exchanged(a, b) => moment.swap(a, b),
            }
            moment
        };
        moments.iter().map(undone).collect()
    }
}

/// So many moments tell whether clips were mixed up.
const ENOUGH: usize = 80;
/// Two cameras cannot see all joints of somebody in the same pixels: this far apart, as a part of the picture.
const SAME_PIXEL: f32 = 0.003;

/// Where what the cameras see does not fit: whether it would if one picture were not mirrored, or two clips not exchanged. Whether
/// two clips are the same, in any case.
pub(super) fn judge_clips(
    views: &[View],
    moments: &[Moment],
    errors: &[f64],
    verdict: &mut Verdict,
) {
    let step = moments.len().div_ceil(ENOUGH).max(1);
    let moments: Vec<Moment> = moments.iter().step_by(step).cloned().collect();
    judge_twins(views, &moments, verdict);
    let fits = errors.iter().all(|error| error * 100.0 <= HELD_OUT.0);
    if fits || moments.is_empty() {
        return;
    }
    let total = |moments: &[Moment]| mean_error(&Seen::collect(views, moments).held_out(views));
    let Some(as_given) = total(&moments) else {
        return;
    };
    let lens = |view: usize| (views[view].intrinsics.width, views[view].intrinsics.height);
    let pairs = (0..views.len()).flat_map(|a| (a + 1..views.len()).map(move |b| (a, b)));
    let exchanges = pairs
        .filter(|&(a, b)| lens(a) == lens(b))
        .map(|(a, b)| Mistake::Exchanged(a, b));
    let best = (0..views.len())
        .map(Mistake::Mirrored)
        .chain(exchanges)
        .filter_map(|mistake| Some((total(&mistake.undone(views, &moments))?, mistake)))
        .min_by(|a, b| a.0.total_cmp(&b.0));
    let Some((error, mistake)) = best else { return };
    let gain = (1.0 - error / as_given) * 100.0;
    if gain <= 30.0 {
        return;
    }
    let name = |view: usize| &views[view].name;
    let sentence = match mistake {
        Mistake::Mirrored(view) => format!(
            "everything fits {gain:.0} % better with the picture of {0} mirrored; switch off the mirror in the program that records {0}",
            name(view)
        ),
        Mistake::Exchanged(a, b) => format!(
            "everything fits {gain:.0} % better with the clips of {} and {} exchanged; are the files in the order of the cameras?",
            name(a),
            name(b)
        ),
    };
    verdict.add("mixed-up clips", gain, (30.0, 50.0), sentence);
}

fn judge_twins(views: &[View], moments: &[Moment], verdict: &mut Verdict) {
    for a in 0..views.len() {
        for b in a + 1..views.len() {
            let size = views[a].intrinsics.width.max(views[a].intrinsics.height) as f32;
            let apart = |moment: &Moment| {
                let (one, other) = (moment.get(a)?.as_ref()?, moment.get(b)?.as_ref()?);
                let both = one
                    .present()
                    .filter_map(|(joint, p)| Some(p.position.distance(other[joint]?.position)));
                let mut apart: Vec<f64> = both.map(f64::from).collect();
                (!apart.is_empty()).then(|| median(&mut apart))
            };
            let apart: Vec<f64> = moments.iter().filter_map(apart).collect();
            let same = apart
                .iter()
                .filter(|apart| **apart < f64::from(SAME_PIXEL * size));
            let share = 100.0 * same.count() as f64 / apart.len().max(1) as f64;
            if apart.len() >= 10 && share > 20.0 {
                let sentence = format!(
                    "{} and {} show the same at {share:.0} % of the moments; was one file given twice?",
                    views[a].name, views[b].name
                );
                verdict.add("clips given twice", share, (20.0, 50.0), sentence);
            }
        }
    }
}
