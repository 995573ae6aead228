//! How a joint moves: a constant-velocity Kalman filter with one variance for all three axes.
//!
//! The filter is never given a measurement: [`body::solve`](super::body::solve) weighs its prediction against everything else
//! that is known, and hands back the joint's posterior, from which velocity and variances follow.

use bevy::math::DVec3;

use super::body::Prior;

/// A joint's state.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Motion {
    /// Metres of the world.
    pub position: DVec3,
    /// Metres a second.
    pub velocity: DVec3,
    /// Variance of the position, m².
    position_variance: f64,
    /// Covariance of position and velocity, m²/s.
    covariance: f64,
    /// Variance of the velocity, m²/s².
    velocity_variance: f64,
}

/// Standard deviation of the acceleration of joints, m/s²: walking is calmer, boxing is not.
const ACCELERATION: f64 = 18.0;
/// Standard deviation of the velocity of a joint that was never seen before, m/s.
const FIRST_VELOCITY: f64 = 1.5;
/// Seconds in which a joint that nobody sees loses most of its own velocity: arms stop, and go where their person goes.
const COAST: f64 = 0.25;
/// Seconds for which a motion goes on as it was.
const STRAIGHT_ON: f64 = 0.3;
/// No joint is surer than this: a millimetre.
const LEAST_VARIANCE: f64 = 1e-6;
/// No joint is less sure than this: half of a room.
const MOST_VARIANCE: f64 = 4.0;

impl Motion {
    /// A joint that is seen for the first time.
    pub fn new(position: DVec3, variance: f64) -> Motion {
        Motion {
            position,
            velocity: DVec3::ZERO,
            position_variance: variance.max(LEAST_VARIANCE),
            covariance: 0.0,
            velocity_variance: FIRST_VELOCITY * FIRST_VELOCITY,
        }
    }

    /// Where it will be after `elapsed` seconds, as if nothing were seen in between.
    pub fn predict(&self, elapsed: f64) -> Motion {
        let dt = elapsed.max(0.0);
        // Nobody goes on in a straight line for seconds.
        let beyond = (dt - STRAIGHT_ON).max(0.0);
        let slower = (-beyond / STRAIGHT_ON).exp();
        let coasted = dt.min(STRAIGHT_ON) + STRAIGHT_ON * (1.0 - slower);
        // White acceleration, held over the step.
        let (q, dt2) = (ACCELERATION * ACCELERATION, dt * dt);
        let position_variance = self.position_variance
            + 2.0 * dt * self.covariance
            + dt2 * self.velocity_variance
            + q * dt2 * dt2 / 4.0;
        Motion {
            position: self.position + self.velocity * coasted,
            velocity: self.velocity * slower,
            position_variance: position_variance.min(MOST_VARIANCE),
            covariance: self.covariance + dt * self.velocity_variance + q * dt2 * dt / 2.0,
            velocity_variance: self.velocity_variance + q * dt2,
        }
    }

    /// The prediction as other knowledge sees it.
    pub fn prior(&self) -> Prior {
        Prior {
            position: self.position,
            variance: self.position_variance,
        }
    }

    /// Takes in where the joint turned out to be, and how sure that is now.
    pub fn settle(&mut self, position: DVec3, variance: f64) {
        let before = self.position_variance;
        let variance = variance.min(before).max(LEAST_VARIANCE);
        // The velocity follows from the position as far as the two went together.
        let gain = self.covariance / before;
        self.velocity += (position - self.position) * gain;
        self.velocity_variance -= gain * self.covariance * (1.0 - variance / before).max(0.0);
        self.velocity_variance = self.velocity_variance.max(LEAST_VARIANCE);
        self.covariance *= variance / before;
        self.position_variance = variance;
        self.position = position;
    }

    /// Lets a joint that nobody saw for `elapsed` seconds come to move as the body does, `carried` in metres a second.
    pub fn coast(&mut self, elapsed: f64, carried: DVec3) {
        self.velocity = carried + (self.velocity - carried) * (-elapsed / COAST).exp();
        self.velocity_variance = self.velocity_variance.min(FIRST_VELOCITY * FIRST_VELOCITY);
        let most = (self.position_variance * self.velocity_variance).sqrt();
        self.covariance = self.covariance.clamp(-most, most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_joint_in_steady_motion_is_predicted_ever_better() {
        let at = |n: u32| DVec3::new(1.2, 0.0, -0.5) * f64::from(n) / 30.0;
        let mut motion = Motion::new(at(0), 4e-4);
        let mut errors = Vec::new();
        for n in 1..30 {
            motion = motion.predict(1.0 / 30.0);
            errors.push(motion.position.distance(at(n)));
            motion.settle(at(n), 4e-4);
        }
        assert!((errors[0] - 1.3 / 30.0).abs() < 1e-9, "at first it stands");
        assert!(errors[28] < 0.003, "{errors:?}");
        assert!(motion.velocity.distance(DVec3::new(1.2, 0.0, -0.5)) < 0.1);
    }

    #[test]
    fn what_is_not_seen_becomes_unsure_and_stops() {
        let mut motion = Motion::new(DVec3::ZERO, 4e-4);
        motion.velocity = DVec3::X * 2.0;
        let mut last = motion.prior().variance;
        for _ in 0..60 {
            motion = motion.predict(1.0 / 30.0);
            motion.coast(1.0 / 30.0, DVec3::ZERO);
            assert!(motion.prior().variance >= last);
            last = motion.prior().variance;
        }
        assert!(last > 0.5);
        assert!(
            motion.position.x < 0.7 && motion.velocity.x < 0.01,
            "{motion:?}"
        );
    }
}
