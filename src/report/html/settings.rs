//! The table of hyper-parameters: every number an attack was run with.

use crate::report::board::Board;
use crate::report::format;
use crate::report::goal;

/// The hyper-parameters of a job, with the networks it was used on if not on all.
pub(super) struct Setting {
    pub(super) label: String,
    pub(super) attack: String,
    pub(super) threat: String,
    pub(super) budgets: String,
    pub(super) about: String,
    pub(super) parameters: Vec<(String, String)>,
    pub(super) models: Vec<String>,
    pub(super) everywhere: bool,
}

/// Hyper-parameters of attacks, equal ones of several networks together.
pub(super) fn settings(board: &Board) -> Vec<Setting> {
    let mut settings: Vec<Setting> = Vec::new();
    for standing in &board.standings {
        for attack in &standing.attacks {
            let budgets: Vec<String> =
                attack.budgets.iter().filter_map(|b| b.eps).map(format::eps).collect();
            let setting = Setting {
                label: attack.label.clone(),
                attack: attack.attack.clone(),
                threat: attack.threat.clone(),
                budgets: budgets.join(", "),
                about: match (attack.control, attack.minimal) {
                    (true, _) => "control".into(),
                    (false, true) => format!("minimal distance{}", goal::words(&attack.goal)),
                    (false, false) => format!("fixed budget{}", goal::words(&attack.goal)),
                },
                parameters: attack.parameters.clone().into_iter().collect(),
                models: vec![standing.model.name.clone()],
                everywhere: false,
            };
            let same = |s: &&mut Setting| {
                (&s.label, &s.attack, &s.threat, &s.budgets, &s.about, &s.parameters)
                    == (
                        &setting.label,
                        &setting.attack,
                        &setting.threat,
                        &setting.budgets,
                        &setting.about,
                        &setting.parameters,
                    )
            };
            match settings.iter_mut().find(same) {
                Some(known) => known.models.extend(setting.models),
                None => settings.push(setting),
            }
        }
    }
    for setting in &mut settings {
        setting.everywhere = setting.models.len() == board.standings.len();
    }
    settings
}
