//! The table of networks that were both attacked and verified.

use crate::report::board::Board;
use crate::report::bracket::of_board;
use crate::report::format::{self, Cell};
use crate::report::grid::Field;

/// One network under one threat and budget.
pub(super) struct Between {
    pub(super) model: String,
    pub(super) threat: String,
    pub(super) proof: String,
    pub(super) verified: Field,
    pub(super) robust: Field,
    pub(super) undecided: String,
}

/// A row per network, threat and budget.
pub(super) fn between(board: &Board) -> Vec<Between> {
    let rows = of_board(board).into_iter().map(|(model, bracket)| Between {
        model: model.into(),
        threat: bracket.title.clone(),
        proof: bracket.proof.clone(),
        verified: Cell::measured(bracket.verified, false).into(),
        robust: Cell::measured(bracket.robust, false).into(),
        undecided: format::count(bracket.undecided as f64),
    });
    rows.collect()
}
