//! Where an adversarial image has to lie to count in a column: the ball or the patch of the column's
//! threat model, whatever the attack that found the image was looking for.

use crate::threat::Change;

/// What a threat model allows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Region {
    /// A ball around the clean image, in the norm of this name.
    Ball(String, f64),
    /// One rectangle of this height and width.
    Patch(u64, u64),
    /// Every image: the threat model is none that this version knows.
    Anywhere,
}

impl Region {
    /// Of a threat model in words at a budget.
    pub(crate) fn new(threat: &str, eps: Option<f64>) -> Self {
        let patch = || {
            let (height, width) = threat.strip_prefix("patch ")?.split_once('x')?;
            Some(Self::Patch(height.parse().ok()?, width.parse().ok()?))
        };
        match (threat, eps) {
            ("Linf" | "L2" | "L1" | "L0", Some(eps)) => Self::Ball(threat.to_owned(), eps),
            _ => patch().unwrap_or(Self::Anywhere),
        }
    }

    /// Whether an image that differs from the clean one by `change` lies here.
    pub(crate) fn holds(&self, change: &Change) -> bool {
        match self {
            Self::Ball(norm, eps) => change.inside_ball(norm, *eps),
            Self::Patch(height, width) => change.inside_patch(*height, *width),
            Self::Anywhere => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_lies_where_its_change_fits() {
        let change =
            Change { linf: 0.1, l2: 0.5, l1: 1.5, l0: 4, features: Some(9), height: 2, width: 3 };
        for (threat, eps, expected) in [
            ("Linf", Some(0.1), true),
            ("Linf", Some(0.099), false),
            ("L2", Some(0.5), true),
            ("L2", Some(0.4), false),
            ("L1", Some(1.5), true),
            ("L0", Some(9.0), true),
            ("L0", Some(8.0), false),
            ("patch 2x3", None, true),
            ("patch 3x2", None, false),
            ("hue", None, true),
        ] {
            assert_eq!(Region::new(threat, eps).holds(&change), expected, "{threat} {eps:?}");
        }
    }
}
