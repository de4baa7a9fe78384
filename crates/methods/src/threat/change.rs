//! How far an image is from the clean one, in every way that a threat model asks: an adversarial image
//! is evidence under each threat model that it lies inside, whatever it was searched for.

use super::Norm;
use super::patch::changed_pixels;

/// The difference of two images.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Change {
    /// Largest absolute difference of a value.
    pub linf: f64,
    /// Euclidean length of the difference.
    pub l2: f64,
    /// Sum of the absolute differences.
    pub l1: f64,
    /// Number of pixels in which a value differs.
    pub l0: u64,
    /// Number of values that differ, at least `l0` and at most C times that; `None` if it is not known.
    pub features: Option<u64>,
    /// Height of the smallest rectangle around these pixels; 0 if there are none.
    pub height: u64,
    /// Width of that rectangle.
    pub width: u64,
    /// Row and column of its upper left pixel; `None` if there is no such rectangle, or it is not known.
    pub place: Option<[u64; 2]>,
}

impl Change {
    /// The difference of `x` and `x0`, both `[C, H, W]` of this shape.
    pub fn of(x: &[f32], x0: &[f32], [channels, _, width]: [usize; 3]) -> Self {
        let distance = |norm: Norm| norm.geometry().distance(x, x0);
        let (mut l0, mut bounds) = (0, None::<[usize; 4]>);
        for pixel in changed_pixels(x, x0, channels) {
            let (row, column) = (pixel / width.max(1), pixel % width.max(1));
            let [top, bottom, left, right] = bounds.unwrap_or([row, row, column, column]);
            bounds = Some([top.min(row), bottom.max(row), left.min(column), right.max(column)]);
            l0 += 1;
        }
        let place = bounds.map(|[top, _, left, _]| [top as u64, left as u64]);
        let [top, bottom, left, right] = bounds.unwrap_or([1, 0, 1, 0]);
        Self {
            linf: distance(Norm::Linf),
            l2: distance(Norm::L2),
            l1: distance(Norm::L1),
            l0,
            features: Some(distance(Norm::L0) as u64),
            height: (bottom + 1 - top) as u64,
            width: (right + 1 - left) as u64,
            place,
        }
    }

    /// Its length in the norm of this name: `Linf`, `L2`, `L1`, `L0`, `L0-pixels`; `None` for other names, and where it is not known.
    pub fn length(&self, norm: &str) -> Option<f64> {
        match norm {
            "Linf" => Some(self.linf),
            "L2" => Some(self.l2),
            "L1" => Some(self.l1),
            "L0" => self.features.map(|features| features as f64),
            "L0-pixels" => Some(self.l0 as f64),
            _ => None,
        }
    }

    /// It lies inside the ball of radius `eps` in the norm of this name, up to the rounding of f32 pixels;
    /// `false` where there is no [`Self::length`].
    pub fn inside_ball(&self, norm: &str, eps: f64) -> bool {
        let farthest = norm.parse().map(|norm: Norm| norm.farthest(eps));
        self.length(norm).zip(farthest.ok()).is_some_and(|(length, farthest)| length <= farthest)
    }

    /// It lies inside one rectangle of this size.
    pub fn inside_patch(&self, height: u64, width: u64) -> bool {
        self.height <= height && self.width <= width
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_by_hand() {
        // Two channels of 3 rows and 4 columns; one pixel changed in both, another in the second.
        let x0 = vec![0.5_f32; 24];
        let mut x = x0.clone();
        x[5] = 0.25;
        x[12 + 5] = 1.0;
        x[12 + 11] = 0.0;
        let change = Change::of(&x, &x0, [2, 3, 4]);
        assert_eq!((change.linf, change.l1, change.l0, change.features), (0.5, 1.25, 2, Some(3)));
        assert!((change.l2 - 0.5625_f64.sqrt()).abs() < 1e-12);
        assert_eq!((change.height, change.width, change.place), (2, 3, Some([1, 1])));
        let none = Change { features: Some(0), ..Change::default() };
        assert_eq!(Change::of(&x0, &x0, [2, 3, 4]), none);
        // Of what nobody has counted nothing is said.
        assert!(change.inside_ball("L0", 3.0) && !change.inside_ball("L0", 2.0));
        assert!(!Change::default().inside_ball("L0", 99.0));
        assert!(change.inside_ball("L0-pixels", 2.0) && !change.inside_ball("L0-pixels", 1.0));
    }
}
