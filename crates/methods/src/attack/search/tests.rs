//! What a search does with an attack that loses sight of the active set.

use super::*;
use crate::attack::tests::{linear, random_network};
use crate::attack::{Attack, Configured, Outcome, Request, attack};
use crate::data::Batch;
use crate::model::FrozenNetwork;
use crate::threat::Norm;

fn run(
    search: impl Attack + 'static,
    model: &FrozenNetwork,
    batch: &Batch,
) -> Result<Vec<Outcome>> {
    let search = Configured::new("test", Threat::ball(Norm::Linf, 0.6), search)?;
    attack(&search, model, batch, &Request::default())
}

/// Inverts every image and goes on as its number says.
struct Careless(usize);

impl Attack for Careless {
    fn run(&self, search: &mut Search<'_>) -> Result<()> {
        let clean = search.clean().clone();
        let mut x = crate::rows::map(crate::rows::Kernel::NONE, [&clean], |_, [x0], x| {
            for (x, x0) in x.iter_mut().zip(x0) {
                *x = (1.0 - x0).clamp(x0 - 0.6, x0 + 0.6);
            }
        })?;
        let (n, mut losses) = (search.len(), vec![0.0; search.len()]);
        let logits = search.logits(&x)?;
        let candidates = x.clone();
        match self.0 {
            0..4 => search.propose(&candidates, &logits, &mut x)?,
            _ => search.propose(&candidates, &logits, (&mut x, &mut losses))?,
        }
        assert!((1..n).contains(&search.len()), "{} of {n} are left", search.len());
        match self.0 {
            // A column that was left out is handed over after all.
            0 => search.sync((&mut x, &mut losses)),
            // Candidates of the time before.
            1 => search.logits(&candidates).map(drop),
            2 => search.gradient(&candidates, Loss::Margin).map(drop),
            3 => search.propose(&candidates, &logits, ()),
            4 => search.logits_of(&[n - 1], &x.select(&[0])?).map(drop),
            _ => {
                assert_eq!((x.len(), losses.len()), (search.len(), search.len()));
                search.sync((&mut x, &mut losses))
            }
        }
    }
}

#[test]
fn an_attack_that_forgets_a_column_is_refused() {
    // As many as the driver attacks together.
    let (model, batch) = random_network(8, false);
    let error = |number| run(Careless(number), &model, &batch).unwrap_err().to_string();
    let column = error(0);
    assert!(column.contains("column 1: it has 8 rows, and "), "{column}");
    for number in 1..4 {
        let stale = error(number);
        assert!(stale.contains("a batch has 8 rows, not "), "{number}: {stale}");
    }
    let row = error(4);
    assert!(row.contains("row 7 is named, and "), "{row}");
    let outcomes = run(Careless(5), &model, &batch).unwrap();
    assert!(outcomes.iter().any(|o| o.found) && outcomes.iter().any(|o| !o.found));
}

/// A step that changes a column in place must find it shared with nobody after a proposal.
#[test]
fn a_proposal_holds_on_to_no_column() {
    struct InPlace;
    impl Attack for InPlace {
        fn run(&self, search: &mut Search<'_>) -> Result<()> {
            let mut x = search.clean().select(&[0])?;
            let logits = search.logits(&x)?;
            search.propose(&x.clone(), &logits, &mut x)?;
            if !search.location().is_gpu() {
                // One for the batch, one for the values that are asked for here.
                assert_eq!(std::sync::Arc::strong_count(&x.values()?), 2);
            }
            Ok(())
        }
    }
    let model = linear(&[1.0; 4], 1.0, [1, 2, 2]);
    let images =
        candle_core::Tensor::ones((1, 1, 2, 2), candle_core::DType::F32, &candle_core::Device::Cpu);
    let batch = Batch { ids: vec![0], images: images.unwrap(), labels: vec![0] };
    run(InPlace, &model, &batch).unwrap();
}
