//! Somebody who is followed through a room: what is known of them, whether they were seen, and which side of them is which.

use super::LEAST_JOINTS;
use crate::associate::{Sighting, identity};
use crate::looks::Looks;
use crate::reconstruct::figure::{Figure, Method};
use crate::skeleton::{ARMS, LEGS};

#[derive(Clone, Debug)]
pub(super) struct Followed {
    pub id: u32,
    pub figure: Figure,
    pub began: f64,
    pub last_seen: f64,
    pub looks: Option<Looks>,
    pub seen: Vec<(usize, usize)>,
    /// At how many moments two views or more agreed on them.
    pub agreed: u32,
    /// How their joints are found, where that was said of them.
    pub method: Option<Method>,
    /// Of each [part](identity::PARTS), by how many sightings more, over time, it seemed to be exchanged than not.
    pub exchanged: [usize; identity::PARTS.len()],
    /// For how many moments they have been twisted.
    pub twisted: u32,
}

/// Views that mistake left for right are put right by where the person's joints were going; but legs that cross, seen too
/// seldom, may go on as one another. So many sightings more that say so are believed.
const EXCHANGED: usize = 8;
/// For so many moments may hips face backward, as they do when legs are hidden or cross.
const TWISTED: u32 = 3;

/// At how many moments views must have agreed on somebody before one view is enough to go on with.
const TRUSTED: u32 = 10;
/// How fast remembered looks follow what is seen.
const LOOKS_RATE: f32 = 0.1;

impl Followed {
    /// Whether nobody saw them for so long that they may be anywhere.
    pub fn is_lost(&self, time: f64, patience: f64) -> bool {
        time - self.last_seen > patience
    }

    /// Exchanges the sides of their arms, legs or face where most views have said so for a while, or the body is twisted as
    /// nobody's is; says whether anything changed.
    pub fn takes_sides_of(&mut self, predicted: &identity::Prediction, seen: &[&Sighting]) -> bool {
        let (before, mut changed) = (self.figure.clone(), false);
        let velocity = before.velocity();
        for (part, count) in identity::PARTS.iter().zip(&mut self.exchanged) {
            let said: Vec<bool> = seen
                .iter()
                .filter_map(|seen| identity::is_exchanged(predicted, seen, part))
                .collect();
            let exchanged = said.iter().filter(|exchanged| **exchanged).count();
            *count = (*count + exchanged).saturating_sub(said.len() - exchanged);
            if *count >= EXCHANGED {
                self.figure.exchange(part);
                changed = true;
            }
        }
        let time = self.figure.time();
        if identity::twisted(&self.figure.predict(time), velocity).is_some() {
            // However many views say so, unless they say it of arms and legs alike, and one comes a moment before the other.
            (self.figure, changed) = (before, false);
            let [arms, legs, _] = self.exchanged;
            if arms.min(legs) >= EXCHANGED - 1 {
                self.figure.exchange(ARMS);
                self.figure.exchange(LEGS);
                (self.exchanged, changed) = (Default::default(), true);
            }
        }
        let done = self
            .exchanged
            .iter_mut()
            .filter(|count| **count >= EXCHANGED);
        done.for_each(|count| *count = 0);
        let twisted = identity::twisted(predicted, velocity);
        self.twisted = twisted.map_or(0, |_| self.twisted + 1);
        if let Some(part) = twisted
            && self.twisted >= TWISTED
        {
            if !changed {
                self.figure.exchange(part);
            }
            (self.twisted, changed) = (0, true);
        }
        changed
    }

    pub fn is_seen_in(&self, view: usize) -> bool {
        self.seen.iter().any(|seen| seen.0 == view)
    }

    /// Takes in whether they were seen, and what they look like. Whoever views agreed on for long goes on with one view that
    /// sees them; a newcomer wants two, as any two sightings may meet somewhere by chance.
    pub fn remember(&mut self, time: f64, sightings: &[Sighting]) {
        if self.seen.is_empty() {
            return;
        }
        let seen_by = |views: u32| {
            let joints = self.figure.joints().present();
            joints.filter(|(_, joint)| joint.views >= views).count() >= LEAST_JOINTS
        };
        let agreed = seen_by(2);
        if agreed || (self.agreed >= TRUSTED && seen_by(1)) {
            self.last_seen = time;
        }
        self.agreed += u32::from(agreed);
        for seen in self
            .seen
            .iter()
            .filter_map(|&(_, n)| sightings[n].looks.as_ref())
        {
            self.looks = Some(match &self.looks {
                Some(looks) => looks.mixed(seen, LOOKS_RATE),
                None => seen.clone(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use bevy::math::DVec3;

    use super::*;
    use crate::associate::tests::{room, seen_by, standing};
    use crate::multiview::{MultiView, MultiViewSettings};

    #[test]
    fn sides_that_went_on_as_one_another_are_put_right() {
        use crate::skeleton::Joint;
        let views = room(3);
        let both: Vec<Joint> = [ARMS, LEGS].concat();
        for part in [ARMS, LEGS, &both] {
            let mut followed = MultiView::new(views.clone(), MultiViewSettings::default());
            let person = standing(DVec3::ZERO);
            let mut off = 0.0;
            for n in 0..40 {
                if n == 10 {
                    followed.people[0].figure.exchange(part);
                }
                let mut seen: Vec<Sighting> = (0..views.len())
                    .map(|view| seen_by(view, &views, &person))
                    .collect();
                // Fewer views tell of legs than of arms.
                for &joint in LEGS {
                    (seen[0].rays[joint], seen[0].rays[joint.mirror()]) = (None, None);
                }
                let found = followed.advance(f64::from(n) / 30.0, &seen);
                let place = |joint: Joint| found[0].joints[joint].map(|found| found.position);
                off = [
                    Joint::LeftWrist,
                    Joint::LeftShoulder,
                    Joint::LeftHip,
                    Joint::LeftAnkle,
                ]
                .iter()
                .filter_map(|&joint| Some(place(joint)?.distance(person[joint]?)))
                .fold(0.0, f64::max);
                if n == 11 {
                    assert!(off > 0.15, "{part:?} were not exchanged: {off}");
                }
            }
            assert!(off < 0.05, "{part:?} stay exchanged: {off}");
        }
    }
}
