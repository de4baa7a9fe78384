//! A network on a data set before it is put on a board: its jobs, its attacks, and what is known of it
//! image by image.

use crate::record::ModelRecord;
use crate::results::{ImageSet, Images, common};
use crate::work::{Attacked, Evidence, Job, Method};

/// A network with all its jobs on one data set.
#[derive(Debug)]
pub(super) struct Subject<'a> {
    /// Index in [`Gathered::models`](super::gather::Gathered::models).
    pub(super) number: usize,
    pub(super) model: &'a ModelRecord,
    pub(super) methods: &'a [Method<'a>],
    pub(super) jobs: Vec<&'a Job>,
    pub(super) attacks: Vec<Attacked<'a>>,
    pub(super) evidence: Evidence<'a>,
}

impl<'a> Subject<'a> {
    /// The network `number` under `methods`; `None` if it has no job among them.
    pub(super) fn new(
        number: usize,
        model: &'a ModelRecord,
        methods: &'a [Method<'a>],
    ) -> Option<Self> {
        let all = methods.iter().flat_map(|method| &method.jobs);
        let jobs: Vec<&Job> = all.filter(|job| job.model == number).copied().collect();
        let attacks = methods.iter().filter_map(|method| Attacked::new(method, number)).collect();
        let evidence = Evidence::new(&jobs);
        (!jobs.is_empty()).then_some(Self { number, model, methods, jobs, attacks, evidence })
    }

    /// The images that its row is about: those that all finished attacks of the worst case cover, or all
    /// finished attacks if they are targeted or controls.
    pub(super) fn images(&self) -> Images<'a> {
        let finished = || self.attacks.iter().filter(|attack| attack.pool.finished());
        let of = |wanted: fn(&&Attacked<'a>) -> bool| finished().filter(wanted);
        let none = |wanted| of(wanted).next().is_none();
        let kinds: [fn(&&Attacked<'a>) -> bool; 3] =
            [|attack| attack.counts(), |attack| !attack.is_control(), |_| true];
        let kind = kinds.into_iter().find(|kind| !none(*kind));
        kind.map(|kind| common(of(kind).map(Attacked::covered))).unwrap_or_default()
    }

    /// The same as a set; `None` if there is no such image.
    pub(super) fn image_set(&self) -> Option<ImageSet> {
        ImageSet::of(&self.images())
    }
}
