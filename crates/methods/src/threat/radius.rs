//! What a radius means in a norm, and radii that were not meant: in units of 0 to 255, so large that the ball holds every
//! image, or a part of a value where values are counted.

use super::{Norm, TOLERANCE};
use crate::error::{Error, Result};

impl Norm {
    /// The distance up to which an image lies inside the ball of radius `eps`: the radius and the rounding of f32 pixels.
    /// Counts are not rounded.
    pub(crate) fn farthest(self, eps: f64) -> f64 {
        match self {
            Self::Linf | Self::L2 | Self::L1 => eps + TOLERANCE * eps.max(1.0),
            Self::L0 | Self::L0Pixels => eps,
        }
    }

    /// Refuses a radius that no distance in this norm has: L0 counts values, or pixels. An infinite one is none, and allowed.
    ///
    /// # Errors
    /// If it is so.
    pub(crate) fn refuse_fraction(self, eps: f64) -> Result<()> {
        if !self.counts() || eps == eps.round() {
            return Ok(());
        }
        let (counted, remedy) = match self {
            Self::L0Pixels => ("pixels", "give a number of pixels such as 8"),
            _ => {
                ("values", "give a number of values such as 8; a pixel of a colour image has three")
            }
        };
        Err(Error::setting(
            "eps",
            format!("{eps} is not a whole number, and {self} counts the {counted} that change"),
            remedy,
        ))
    }

    /// Refuses a radius whose ball holds every image `[C, H, W]` in [0, 1], inside which an attack says nothing (8 was
    /// meant to be 8/255), and a fraction where values are counted.
    ///
    /// # Errors
    /// If it is one of these.
    pub fn check_radius(self, eps: f64, [c, h, w]: [usize; 3]) -> Result<()> {
        self.refuse_fraction(eps)?;
        let elements = c as f64 * h as f64 * w as f64;
        let diameter = match self {
            Self::Linf => 1.0,
            Self::L2 => elements.sqrt(),
            Self::L1 | Self::L0 => elements,
            Self::L0Pixels => h as f64 * w as f64,
        };
        if eps < diameter {
            return Ok(());
        }
        let remedy = match self {
            Self::L0 => format!("an image has {elements} values: give a number below that"),
            Self::L0Pixels => format!("an image has {diameter} pixels: give a number below that"),
            _ if eps / 255.0 < diameter => {
                format!("pixels are in [0, 1]: did you mean {eps}/255?")
            }
            _ => format!("pixels are in [0, 1]: give a radius below {diameter}"),
        };
        Err(Error::setting(
            "eps",
            format!("the {self} ball of radius {eps} holds every image"),
            remedy,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ball_that_holds_the_box_is_refused() {
        let refused = |norm: Norm, eps: f64| {
            let error = norm.check_radius(eps, [3, 4, 4]).err()?;
            Some((error.to_string(), error.hint().unwrap()))
        };
        let (error, hint) = refused(Norm::Linf, 8.0).unwrap();
        assert_eq!(error, "eps: the Linf ball of radius 8 holds every image");
        assert_eq!(hint, "pixels are in [0, 1]: did you mean 8/255?");
        assert!(refused(Norm::Linf, 300.0).unwrap().1.ends_with("give a radius below 1"));
        for (norm, below, from) in
            [(Norm::Linf, 0.999, 1.0), (Norm::L2, 6.92, 48_f64.sqrt()), (Norm::L1, 47.9, 48.0)]
        {
            assert!(refused(norm, below).is_none() && refused(norm, from).is_some(), "{norm}");
        }
        assert!(refused(Norm::L0, 47.0).is_none());
        let (error, hint) = refused(Norm::L0, 48.0).unwrap();
        assert_eq!(error, "eps: the L0 ball of radius 48 holds every image");
        assert_eq!(hint, "an image has 48 values: give a number below that");
        assert!(refused(Norm::L0Pixels, 15.0).is_none());
        let (error, hint) = refused(Norm::L0Pixels, 16.0).unwrap();
        assert_eq!(error, "eps: the L0-pixels ball of radius 16 holds every image");
        assert_eq!(hint, "an image has 16 pixels: give a number below that");
    }

    #[test]
    fn a_count_has_no_fraction() {
        for eps in [0.5, 8.0 / 255.0, 7.999] {
            let error = Norm::L0.check_radius(eps, [3, 4, 4]).unwrap_err();
            assert!(
                error.to_string().starts_with(&format!("eps: {eps} is not a whole")),
                "{error}"
            );
            assert!(error.hint().unwrap().contains("such as 8"));
        }
        let error = Norm::L0Pixels.check_radius(0.5, [3, 4, 4]).unwrap_err();
        assert!(error.hint().unwrap().contains("pixels such as 8"));
        assert!(Norm::L0.refuse_fraction(f64::INFINITY).is_ok());
        assert!(Norm::L1.check_radius(0.5, [3, 4, 4]).is_ok());
        // However many values there are, one more is one more.
        assert!(Norm::L0.farthest(1e7) < 1e7 + 1.0);
    }
}
