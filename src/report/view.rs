//! What a reader wants to see of a board: which columns, in which order of the networks, with how many decimals. It is
//! applied to the columns that all printed formats share; the numbers behind them stay what they are.

use super::board::Board;
use super::grid::{self, Column, Kind};
use crate::error::{Error, Result};
use crate::results::{Field, distinct};

/// A choice; by default everything, as ranked.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct View {
    /// Titles of columns, or parts of them, in any case; empty for all. The networks' names are always there.
    pub columns: Vec<String>,
    /// Title of the column that networks are sorted by, the highest first; with `-` in front the lowest.
    pub sort: Option<String>,
    /// Decimals of percentages; otherwise one, or two from 1,000 images on.
    pub digits: Option<usize>,
}

impl View {
    /// Refuses titles that no column of any board has.
    ///
    /// # Errors
    /// If there is one, with the titles that there are.
    pub fn check(&self, boards: &[Board]) -> Result<()> {
        let all = boards.iter().flat_map(|board| grid::columns(board, None));
        let titles = distinct(all.map(|column| column.title));
        let sort = self.sort.as_deref().map(|title| title.strip_prefix('-').unwrap_or(title));
        for wanted in self.columns.iter().map(String::as_str).chain(sort) {
            if !titles.iter().any(|title| names(wanted, title)) {
                let titles = titles.iter().map(String::as_str);
                return Err(Error::unknown("column", wanted, titles));
            }
        }
        Ok(())
    }

    /// The columns of `board` as they are wanted.
    pub(super) fn columns(&self, board: &Board) -> Vec<Column> {
        let mut columns = grid::columns(board, self.digits);
        if let Some(order) = self.order(&columns) {
            for column in &mut columns {
                column.fields = order.iter().map(|row| column.fields[*row].clone()).collect();
            }
        }
        columns.retain(|column| {
            column.kind == Kind::Model
                || self.columns.is_empty()
                || self.columns.iter().any(|wanted| names(wanted, &column.title))
        });
        columns
    }

    /// The rows by the column that is sorted by. Those without a number come last.
    fn order(&self, columns: &[Column]) -> Option<Vec<usize>> {
        let sort = self.sort.as_deref()?;
        let (title, sign) = sort.strip_prefix('-').map_or((sort, -1.0), |title| (title, 1.0));
        let column = columns.iter().find(|column| names(title, &column.title))?;
        let key = |field: &Field| match field.rate {
            Some(rate) => sign * rate,
            // Ranks are numbers, and names are sorted as text.
            None => field.text.parse::<f64>().map_or(f64::INFINITY, |rank| -sign * rank),
        };
        let mut order: Vec<usize> = (0..column.fields.len()).collect();
        match column.kind {
            Kind::Model => order.sort_by(|a, b| {
                let ordering = column.fields[*a].text.cmp(&column.fields[*b].text);
                if sign < 0.0 { ordering } else { ordering.reverse() }
            }),
            _ => order.sort_by(|a, b| key(&column.fields[*a]).total_cmp(&key(&column.fields[*b]))),
        }
        Some(order)
    }
}

/// Whether a user means the column of this title.
fn names(wanted: &str, title: &str) -> bool {
    let plain = |text: &str| text.to_lowercase().replace([' ', '≤'], "");
    let (wanted, title) = (plain(wanted), plain(title));
    wanted == title || (wanted.len() > 1 && title.contains(&wanted))
}
