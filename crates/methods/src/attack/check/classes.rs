//! Whether there are enough classes for the difference of logits ratio: its denominator needs three,
//! that of the targeted form four.

use super::{Check, Subject, When};

pub(super) const CHECK: Check = Check {
    name: "classes",
    meaning: "The difference of logits ratio needs three classes and its targeted form four: with two \
the plain difference of logits stands in, with three a denominator without the fourth logit.",
    remedy: "Say so beside the number; it is not comparable with that of the published attack.",
    when: When::Before(|subject: &Subject<'_>| {
        let runs = |name: &str| subject.parts.iter().any(|part| part.name == name);
        Ok(match subject.model.info().classes {
            0..3 if ["apgd-dlr", "apgd-t", "alma"].into_iter().any(runs) => {
                Some("2 classes: no difference of logits ratio".into())
            }
            3 if runs("apgd-t") => Some("3 classes: no targeted difference of logits ratio".into()),
            _ => None,
        })
    }),
    misleads: false,
    single: false,
};
