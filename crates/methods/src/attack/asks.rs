//! What attacks ask of a network, so that one which tells less than its gradients is attacked by those that do without.

use super::{ALL, configure};
use crate::threat::Threat;

/// What an attack asks of a network, or what a network tells: each of these includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Asks {
    /// The class of an image, which is that of the largest logit.
    Classes,
    /// Logits.
    Logits,
    /// Logits and their gradients with respect to the image.
    Gradients,
}

/// Names of the attacks that work under `threat`, with their default parameters, on a network that tells `told`.
pub fn attacks_that_ask(threat: &Threat, told: Asks) -> Vec<&'static str> {
    let none = std::collections::BTreeMap::new();
    let works = |name: &&'static str| {
        configure(name, threat, &none).is_ok_and(|attack| attack.search.asks() <= told)
    };
    ALL.iter().map(|entry| entry.name).filter(works).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::attack::tests::{cases, random_network};
    use crate::attack::{Outcome, Request, attack};
    use crate::error::{Error, Result};
    use crate::loss::argmax;
    use crate::model::{Classifier, FrozenNetwork, ModelInfo, Pull};
    use crate::rows::Rows;
    use crate::threat::Norm;

    /// A network that tells less than it knows.
    struct Tells<'a>(&'a FrozenNetwork, Asks);

    impl Classifier for Tells<'_> {
        fn info(&self) -> &ModelInfo {
            self.0.info()
        }

        fn logits(&self, images: &Rows) -> Result<Rows> {
            let mut logits = self.0.logits(images)?.values()?.to_vec();
            let classes = self.info().classes;
            if self.1 == Asks::Classes {
                for z in logits.chunks_exact_mut(classes) {
                    let class = argmax(z);
                    z.iter_mut().enumerate().for_each(|(k, z)| *z = -f32::from(k != class));
                }
            }
            Rows::new(&images.location(), [images.len(), classes], logits)
        }

        fn linearise(&self, _: &Rows) -> Result<(Rows, Pull<'_>)> {
            Err(Error::setting("gradient", "is not told", ""))
        }
    }

    #[test]
    fn attacks_ask_for_what_they_say_and_for_no_more() {
        let (network, batch) = random_network(6, true);
        let network = match std::env::var("EPSBALL_TEST_DEVICE") {
            // What tells less is asked in memory.
            Ok(_) => return,
            Err(_) => network,
        };
        let (logits, classes) = (Tells(&network, Asks::Logits), Tells(&network, Asks::Classes));
        let mut seen = [0; 3];
        for (name, given, threat) in cases() {
            let given: BTreeMap<String, String> =
                given.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
            let configured = configure(name, &threat, &given).unwrap();
            let ask = |model: &dyn Classifier| -> Result<Vec<Outcome>> {
                attack(&configured, model, &batch, &Request::default())
            };
            let (asks, with_logits) = (configured.search.asks(), ask(&logits));
            seen[asks as usize] += 1;
            match asks {
                Asks::Gradients => {
                    let error = with_logits.unwrap_err().to_string();
                    assert!(error.contains("is not told"), "{name} {threat}: {error}");
                }
                _ => assert_eq!(with_logits.unwrap(), ask(&network).unwrap(), "{name} {threat}"),
            }
            if asks == Asks::Classes {
                assert_eq!(ask(&classes).unwrap(), ask(&network).unwrap(), "{name} {threat}");
            }
        }
        assert!(seen.iter().all(|count| *count > 1), "{seen:?}");
    }

    #[test]
    fn an_ensemble_asks_for_what_its_parts_ask() {
        let threat = Threat::ball(Norm::Linf, 0.1);
        for (attacks, asks) in [
            ("rays", Asks::Classes),
            ("rays square", Asks::Logits),
            ("square fgsm", Asks::Gradients),
        ] {
            let given = BTreeMap::from([("attacks".to_owned(), attacks.to_owned())]);
            let configured = configure("ensemble", &threat, &given).unwrap();
            assert_eq!(configured.search.asks(), asks, "{attacks}");
        }
        let of = |told| attacks_that_ask(&threat, told);
        assert!(of(Asks::Classes).contains(&"rays") && !of(Asks::Classes).contains(&"square"));
        assert!(of(Asks::Logits).contains(&"square") && !of(Asks::Logits).contains(&"autoattack"));
        assert!(of(Asks::Gradients).contains(&"autoattack"));
        assert!(!of(Asks::Gradients).contains(&"patch-rs"));
    }
}
