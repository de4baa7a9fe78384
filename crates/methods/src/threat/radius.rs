//! Radii that were not meant: in units of 0 to 255, so large that the ball holds every image, or so small that
//! an f32 cannot hold them.

use super::Norm;
use crate::error::{Error, Result};

impl Norm {
    /// Refuses a radius whose ball holds every image `[C, H, W]` in [0, 1]: an attack inside it says nothing, and
    /// 8 was meant to be 8/255.
    ///
    /// # Errors
    /// If it does.
    pub fn refuse_whole_box(self, eps: f64, [c, h, w]: [usize; 3]) -> Result<()> {
        let elements = c as f64 * h as f64 * w as f64;
        let diameter = match self {
            Self::Linf => 1.0,
            Self::L2 => elements.sqrt(),
            Self::L1 => elements,
        };
        if eps < diameter {
            return Ok(());
        }
        let remedy = match eps / 255.0 < diameter {
            true => format!("pixels are in [0, 1]: did you mean {eps}/255?"),
            false => format!("pixels are in [0, 1]: give a radius below {diameter}"),
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
            let error = norm.refuse_whole_box(eps, [3, 4, 4]).err()?;
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
    }
}
