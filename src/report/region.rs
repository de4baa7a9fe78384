//! Where an adversarial image has to lie to count in a column: the ball or the patch of the column's
//! threat model, whatever the attack that found the image was looking for.

use crate::record::AttackRow;

/// What a threat model allows.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Region {
    /// A ball around the clean image, in the norm of this name.
    Ball(String, f64),
    /// One rectangle of this height and width.
    Patch(u64, u64),
    /// Every image: the threat model is none that this version knows.
    Anywhere,
}

impl Region {
    /// Of a threat model in words at a budget.
    pub(super) fn new(threat: &str, eps: Option<f64>) -> Self {
        let patch = || {
            let (height, width) = threat.strip_prefix("patch ")?.split_once('x')?;
            Some(Self::Patch(height.parse().ok()?, width.parse().ok()?))
        };
        match (threat, eps) {
            ("Linf" | "L2" | "L1", Some(eps)) => Self::Ball(threat.to_owned(), eps),
            _ => patch().unwrap_or(Self::Anywhere),
        }
    }

    /// Whether the adversarial image of `row` lies here.
    pub(super) fn holds(&self, row: &AttackRow) -> bool {
        match self {
            Self::Ball(norm, eps) => row.inside_ball(norm, *eps),
            Self::Patch(height, width) => row.inside_patch(*height, *width),
            Self::Anywhere => row.found == 1,
        }
    }
}

/// Distance of the adversarial image of `row` in the norm of this name.
pub(super) fn distance(row: &AttackRow, norm: &str) -> Option<f64> {
    match norm {
        "Linf" => Some(row.linf),
        "L2" => Some(row.l2),
        "L1" => Some(row.l1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::attack_row;

    #[test]
    fn an_image_lies_where_its_change_fits() {
        let row = AttackRow {
            linf: 0.1,
            l2: 0.5,
            l1: 1.5,
            height: 2,
            width: 3,
            ..attack_row(0, true, Some(0.5))
        };
        let inside = |threat: &str, eps| Region::new(threat, eps).holds(&row);
        for (threat, eps, expected) in [
            ("Linf", Some(0.1), true),
            ("Linf", Some(0.099), false),
            ("L2", Some(0.5), true),
            ("L2", Some(0.4), false),
            ("L1", Some(1.5), true),
            ("patch 2x3", None, true),
            ("patch 3x2", None, false),
            ("hue", None, true),
        ] {
            assert_eq!(inside(threat, eps), expected, "{threat} {eps:?}");
        }
        assert!(!Region::new("hue", None).holds(&attack_row(0, true, None)));
    }
}
