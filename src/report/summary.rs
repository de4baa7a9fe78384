//! `summary.json`: the whole leaderboard with every number unrounded, for programs.

use super::{Exporter, Leaderboard};
use crate::error::{Error, Result};

/// Writes JSON.
#[derive(Debug, Clone, Copy, Default)]
pub struct Summary;

impl Exporter for Summary {
    fn export(&self, leaderboard: &Leaderboard) -> Result<String> {
        let mut text = serde_json::to_string_pretty(leaderboard)
            .map_err(|e| Error::setting("summary.json", e.to_string(), ""))?;
        text.push('\n');
        Ok(text)
    }
}
