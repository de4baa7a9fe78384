//! Patches on the first 100 images of CIFAR-10 and MNIST: what the searches of the suite leave, alone and together, and
//! what they spend. `EPSBALL_ATTACK=patch-search` takes only the attacks whose names contain that.

use std::collections::BTreeSet;

use epsball::attack::Outcome;
use epsball::data::Batch;
use epsball::model::{Classifier as _, FrozenNetwork};
use epsball::rows::{Location, Rows};
use epsball::threat::{Patch, Threat};

use super::{Run, cifar, first, mnist, network, trades};

/// The attacks of the suite that no control is, and what was in it before `patch-search`.
const ATTACKS: [&str; 4] = ["patch-search", "roa", "patch-rs", "patch-pgd"];

/// How many of the broken images `outcomes` the network in f64 classifies as their labels say: rounding broke them.
fn by_rounding(model: &FrozenNetwork, outcomes: &[&Outcome]) -> usize {
    let [c, h, w] = model.info().input_shape;
    let pixels = outcomes.iter().flat_map(|outcome| outcome.image.iter().copied()).collect();
    let images = Rows::new(&Location::default(), [outcomes.len(), c, h, w], pixels).unwrap();
    let logits = model.logits_in_f64(&images).unwrap();
    let rows = logits.chunks_exact(model.info().classes).zip(outcomes);
    rows.filter(|(z, outcome)| {
        let own = z[outcome.label as usize];
        z.iter().enumerate().all(|(class, z)| class == outcome.label as usize || *z < own)
    })
    .count()
}

/// Images that the suite leaves, at most `most`; it is not to spend more than with `patch-pgd` in place of
/// `patch-search`. A backward pass counts as two forward passes.
fn measure(what: &str, (model, batch): (&FrozenNetwork, &Batch), side: usize, most: usize) {
    let wanted = std::env::var("EPSBALL_ATTACK").unwrap_or_default();
    let mut left: BTreeSet<u64> = batch.ids.iter().copied().collect();
    let mut spent = Vec::new();
    for name in ATTACKS.into_iter().filter(|name| name.contains(&wanted)) {
        let threat = Threat::Patch(Patch::rectangle(side, side));
        let begin = std::time::Instant::now();
        let outcomes = Run::new(name, &[], threat).on(model, batch);
        let robust: BTreeSet<u64> = outcomes.iter().filter(|o| !o.found).map(|o| o.id).collect();
        let passes = outcomes.iter().map(|o| o.forwards + 2 * o.backwards).sum::<u64>() as f64;
        let passes = passes / batch.len() as f64;
        eprintln!(
            "{what}, {side}x{side}, {name}: {} left, {passes:.0} passes per image, {:.1} s",
            robust.len(),
            begin.elapsed().as_secs_f64()
        );
        spent.push(passes);
        let new: Vec<&Outcome> = outcomes
            .iter()
            .filter(|o| {
                o.found && o.prediction != o.label && o.by != "clean" && left.contains(&o.id)
            })
            .collect();
        if name != "patch-pgd" && !new.is_empty() {
            let by_rounding = by_rounding(model, &new);
            eprintln!("{what}: of {} broken first by {name}, {by_rounding} by rounding", new.len());
            // An image is judged at the first step across the boundary, so a few may be that near to it.
            assert!(20 * by_rounding <= new.len(), "{what} {name}");
        }
        if name != "patch-pgd" {
            left = left.intersection(&robust).copied().collect();
        }
    }
    eprintln!("{what}, {side}x{side}: {} left by the suite: {left:?}", left.len());
    if wanted.is_empty() {
        assert!(left.len() <= most, "{what} {side}: {}", left.len());
        assert!(spent[0] <= spent[3], "{what} {side}: {spent:?}");
    }
}

#[test]
#[ignore = "needs the oracle files; a few minutes"]
fn patch_suite_leaves_what_is_known_to_be_left() {
    let resnet = network("models/akamaster_resnet20.safetensors", "cifar-resnet20-a");
    let (images, digits) = (first(cifar().as_ref(), 100), first(mnist().as_ref(), 100));
    measure("ResNet-20", (&resnet, &images), 3, 11);
    measure("ResNet-20", (&resnet, &images), 5, 2);
    measure("TRADES-MNIST", (&trades(), &digits), 5, 16);
}
