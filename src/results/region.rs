//! Where an adversarial image has to lie to count in a column: the ball or the patch of the column's
//! threat model, whatever the attack that found the image was looking for.

use crate::threat::{Change, Patch, PatchSize};

/// What a threat model allows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Region {
    /// A ball around the clean image, in the norm of this name.
    Ball(String, f64),
    /// One rectangle of this height and width.
    Patch(u64, u64),
    /// A patch of another form or several, in the words of the threat model: the patch, where the words say it.
    Form(String, Option<Patch>),
    /// Every image: the threat model is none that this version knows.
    Anywhere,
}

impl Region {
    /// Of a threat model in words at a budget.
    pub(crate) fn new(threat: &str, eps: Option<f64>) -> Self {
        let rectangle = |words: &str| {
            let (height, width) = words.split_once('x')?;
            Some(Self::Patch(height.parse().ok()?, width.parse().ok()?))
        };
        let other = |words: &str| {
            let form = |patch| Some(Self::Form(threat.to_owned(), patch));
            // The words of a mask are not those that name its file.
            if words.contains("mask:") {
                return form(None);
            }
            match words.parse() {
                Ok(PatchSize::Pixels(patch)) if !patch.is_rectangle() => form(Some(patch)),
                _ => None,
            }
        };
        match (threat, eps) {
            ("Linf" | "L2" | "L1" | "L0" | "L0-pixels", Some(eps)) => {
                Self::Ball(threat.to_owned(), eps)
            }
            _ => threat
                .strip_prefix("patch ")
                .and_then(|words| rectangle(words).or_else(|| other(words)))
                .unwrap_or(Self::Anywhere),
        }
    }

    /// Whether an image that differs from the clean one by `change`, found under the threat model in the words
    /// `under`, lies here. Where that depends on more than the smallest rectangle around the change, images count that
    /// were found under the same threat model, and those that certainly lie here.
    pub(crate) fn holds(&self, change: &Change, under: &str) -> bool {
        match self {
            Self::Form(threat, patch) if threat != under => patch.is_some_and(|patch| {
                patch.holds_rectangle(change.height as usize, change.width as usize)
            }),
            _ => self.holds_own(change),
        }
    }

    /// [`Region::holds`] of an image that an attack under this threat model found.
    pub(crate) fn holds_own(&self, change: &Change) -> bool {
        match self {
            Self::Ball(norm, eps) => change.inside_ball(norm, *eps),
            Self::Patch(height, width) => change.inside_patch(*height, *width),
            // The attack has seen to it.
            Self::Form(..) | Self::Anywhere => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_lies_where_its_change_fits() {
        let change = Change {
            linf: 0.1,
            l2: 0.5,
            l1: 1.5,
            l0: 4,
            features: Some(9),
            height: 2,
            width: 3,
            place: Some([0, 1]),
        };
        for (threat, eps, expected) in [
            ("Linf", Some(0.1), true),
            ("Linf", Some(0.099), false),
            ("L2", Some(0.5), true),
            ("L2", Some(0.4), false),
            ("L1", Some(1.5), true),
            ("L0", Some(9.0), true),
            ("L0", Some(8.0), false),
            ("L0-pixels", Some(4.0), true),
            ("L0-pixels", Some(3.0), false),
            ("patch 2x3", None, true),
            ("patch 3x2", None, false),
            // A disc of 4 pixels has no corners, but two rows of three between them.
            ("patch circle:4", None, true),
            ("patch circle:2", None, false),
            ("patch 2x2x3", None, true),
            ("patch 2x2x2", None, false),
            ("patch mask:9x9:01234567", None, false),
            ("hue", None, true),
        ] {
            assert_eq!(Region::new(threat, eps).holds(&change, "patch 9x9"), expected, "{threat}");
        }
        for threat in ["patch circle:2", "patch 2x2x2", "patch 2xmask:9x9:01234567"] {
            let region = Region::new(threat, None);
            assert!(region.holds(&change, threat) && region.holds_own(&change), "{threat}");
        }
    }
}
