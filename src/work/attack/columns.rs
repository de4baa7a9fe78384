//! The columns of attacks on a board: one for each attack and budget, and one for each threat model and
//! budget that they are about.

use serde::Serialize;

use super::attacked::Attacked;
use super::goal::{self, UNTARGETED};
use crate::work::method::Method;

/// A threat model at a budget.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ThreatColumn {
    /// `Linf 0.1`, `Linf 0.1 to class 3`.
    pub title: String,
    /// Threat model in words.
    pub threat: String,
    /// Budget, if the threat has one.
    pub eps: Option<f64>,
    /// The goal of its attacks.
    pub goal: String,
}

/// An attack at a budget.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AttackColumn {
    /// `pgd-linf 0.1`.
    pub title: String,
    /// Label of its jobs, which attacks with other settings may share.
    pub label: String,
    /// Threat model in words.
    pub threat: String,
    /// Budget, if the threat has one.
    pub eps: Option<f64>,
    /// What the attack wants.
    pub goal: String,
    /// A control, kept out of every worst case.
    pub control: bool,
}

impl ThreatColumn {
    /// It is about targeted attacks.
    pub fn targeted(&self) -> bool {
        self.goal != UNTARGETED
    }

    /// What it is about without the budget: `Linf`, `Linf to class 3`.
    pub(crate) fn about(&self) -> String {
        goal::title(&self.threat, None, &self.goal)
    }

    /// Of the same threat model and goal.
    pub(crate) fn beside(&self, other: &Self) -> bool {
        self.threat == other.threat && self.goal == other.goal
    }
}

impl AttackColumn {
    /// It is targeted.
    pub fn targeted(&self) -> bool {
        self.goal != UNTARGETED
    }

    /// Title of its [`ThreatColumn`].
    pub(crate) fn aim(&self) -> String {
        goal::title(&self.threat, self.eps, &self.goal)
    }
}

/// A column for each attack and budget, in the order of the methods.
pub(crate) fn attack_columns(
    methods: &[Method<'_>],
    attacks: &[&Attacked<'_>],
) -> Vec<AttackColumn> {
    let mut columns: Vec<AttackColumn> = Vec::new();
    for method in methods {
        let mut all = attacks.iter();
        let Some(attack) = all.find(|attack| std::ptr::eq(attack.method, method)) else { continue };
        for eps in attack.budgets() {
            columns.push(AttackColumn {
                title: method.title(eps),
                label: method.label.clone(),
                threat: attack.threat().to_owned(),
                eps,
                goal: attack.goal().to_owned(),
                control: attack.is_control(),
            });
        }
    }
    columns
}

/// A column for each threat model and budget that an attack other than a control is about: threats in the
/// order of the attacks, untargeted ones first, budgets ascending.
pub(crate) fn threat_columns(attacks: &[AttackColumn]) -> Vec<ThreatColumn> {
    let mut columns: Vec<ThreatColumn> = Vec::new();
    for attack in attacks.iter().filter(|attack| !attack.control) {
        let title = attack.aim();
        if !columns.iter().any(|column| column.title == title) {
            let AttackColumn { threat, eps, goal, .. } = attack.clone();
            columns.push(ThreatColumn { title, threat, eps, goal });
        }
    }
    let order = columns.clone();
    let place = |c: &ThreatColumn| order.iter().position(|other| other.beside(c));
    columns.sort_by(|a, b| {
        (a.targeted(), place(a))
            .cmp(&(b.targeted(), place(b)))
            .then(a.eps.unwrap_or(0.0).total_cmp(&b.eps.unwrap_or(0.0)))
    });
    columns
}
