//! Attack and proof of one network side by side: robust accuracy is an upper bound of the truth, verified
//! accuracy a lower one, and the images between them are undecided.

use serde::Serialize;

use super::board::Board;
use super::columns::ThreatColumn;
use super::proportion::Proportion;
use super::standing::Standing;
use super::verified::VerifiedColumn;

/// The two bounds under one threat model at one budget.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bracket {
    /// `Linf 0.1`.
    pub title: String,
    /// Verified accuracy, by the best bounds.
    pub verified: Proportion,
    /// Label of these bounds.
    pub proof: String,
    /// Robust accuracy, the worst case over the attacks of the threat.
    pub robust: Proportion,
    /// Images that no attack broke and nothing proves.
    pub undecided: usize,
}

/// The brackets of a network: threats and budgets at which it was attacked and verified, all jobs finished
/// and over the same images.
pub(super) fn brackets(
    standing: &Standing,
    threats: &[ThreatColumn],
    verified: &[VerifiedColumn],
) -> Vec<Bracket> {
    let bracket = |threat: &ThreatColumn| {
        let same = |v: &&VerifiedColumn| v.threat == threat.threat && Some(v.eps) == threat.eps;
        let (proof, verified) = standing.verified(verified.iter().find(same)?)?;
        let worst = standing.threat(threat).filter(|worst| worst.finished())?;
        let robust = worst.robust.filter(|_| worst.images == proof.image_set)?;
        Some(Bracket {
            title: threat.title.clone(),
            verified,
            proof: proof.label.clone(),
            robust,
            undecided: robust.count.saturating_sub(verified.count),
        })
    };
    threats.iter().filter(|threat| !threat.targeted()).filter_map(bracket).collect()
}

/// All brackets of a board with the names of their networks.
pub(super) fn of_board(board: &Board) -> Vec<(&str, &Bracket)> {
    board
        .standings
        .iter()
        .flat_map(|s| s.brackets.iter().map(move |b| (&*s.model.name, b)))
        .collect()
}
