//! The L2 ball inside the box [0, 1].

use super::{Region, clipped_cube};

/// Images in [0, 1] within Euclidean distance `eps` of the clean one.
#[derive(Debug, Clone)]
pub struct L2Ball {
    image: Vec<f64>,
    lower: Vec<f64>,
    upper: Vec<f64>,
    eps: f64,
}

impl L2Ball {
    /// Around `image`, pixels in [0, 1].
    pub fn new(image: &[f32], eps: f64) -> Self {
        let (lower, upper) = clipped_cube(image, eps);
        Self { image: image.iter().map(|x| f64::from(*x)).collect(), lower, upper, eps }
    }

    /// How far pixel i can move in the direction in which `a x` falls, and `|a|`.
    fn moves<'a>(&'a self, a: &'a [f64]) -> impl Iterator<Item = (f64, f64)> + 'a {
        a.iter().enumerate().map(|(i, a)| {
            let x = self.image[i];
            let room = if *a >= 0.0 { x - self.lower[i] } else { self.upper[i] - x };
            (a.abs(), room.next_up())
        })
    }
}

impl Region for L2Ball {
    fn hull(&self) -> (&[f64], &[f64]) {
        (&self.lower, &self.upper)
    }

    /// Every multiplier lambda >= 0 bounds the fall of `a x` by its Lagrangian,
    /// `sum max_t (|a_i| t - lambda t^2) + lambda eps^2` with `0 <= t <= room_i`, whose maxima are at
    /// `t_i = min(|a_i| s, room_i)` with `s = 1 / (2 lambda)`. The best s makes `|t| = eps`; it is found
    /// by fixing the pixels that reach the edge of the box, of which there are more in each round.
    fn minimum(&self, a: &[f64]) -> f64 {
        let here: f64 = a.iter().zip(&self.image).map(|(a, x)| a * x).sum();
        let to_the_edge: f64 = self.moves(a).map(|(a, room)| a * room).sum();
        let (mut s, mut at_edge) = (0.0, usize::MAX);
        // Stopping early leaves a multiplier that is not the best, and a bound that is one still.
        for _ in 0..100 {
            let (mut left, mut squares, mut count) = (self.eps * self.eps, 0.0, 0);
            for (a, room) in self.moves(a) {
                if a * s > room {
                    left -= room * room;
                    count += 1;
                } else {
                    squares += a * a;
                }
            }
            if count == at_edge || squares <= 0.0 || left <= 0.0 {
                break;
            }
            (s, at_edge) = ((left / squares).sqrt(), count);
        }
        if !(s > 0.0 && s.is_finite()) {
            return here - to_the_edge;
        }
        let lambda = 0.5 / s;
        let fall: f64 = self
            .moves(a)
            .map(|(a, room)| match a * s > room {
                true => a * room - lambda * room * room,
                false => 0.5 * a * a * s,
            })
            .sum();
        here - (fall + lambda * self.eps * self.eps).min(to_the_edge)
    }

    fn is_box(&self) -> bool {
        false
    }
}
