//! The figures of attacks: how far away the adversarial images are that an attack without a radius finds, and after how
//! many passes an attack with one broke what it broke.

use super::goal::UNTARGETED;
use super::result::AttackResult;
use super::row::AttackRow;
use crate::results::{Figure, Look, Series, distinct, format, steps};
use crate::work::curve::falls;
use crate::work::entrant::Entrant;
use crate::work::outcome::KindResult as _;
use crate::work::pool::Pool;

/// Share of the images that are classified correctly and not broken, against some number of each broken image, as
/// (number, share) from `from` on.
pub(super) fn left(
    pool: &Pool<'_, AttackRow>,
    from: f64,
    number: fn(&AttackRow) -> f64,
) -> Vec<(f64, f64)> {
    let nearest = |rows: &Vec<&AttackRow>| {
        if !rows.iter().all(|row| row.clean_correct()) {
            return Nearest::Misclassified;
        }
        let found = rows.iter().filter(|row| row.found == 1).map(|row| number(row));
        let tried = rows.iter().map(|row| number(row)).filter(|number| number.is_finite());
        let nowhere = || Nearest::Nowhere(tried.fold(0.0, f64::max));
        found.min_by(f64::total_cmp).map_or_else(nowhere, Nearest::At)
    };
    falling(pool.covered.iter().filter_map(|key| pool.rows.get(key)).map(nearest), from)
}

/// Where an image is broken first.
pub(super) enum Nearest {
    /// It is misclassified as it is.
    Misclassified,
    /// At this number.
    At(f64),
    /// It is not, up to this number; 0 where numbers do not say how far it was tried.
    Nowhere(f64),
}

/// Share of these images that are classified correctly and not broken, as in [`left`].
pub(super) fn falling(of: impl Iterator<Item = Nearest>, from: f64) -> Vec<(f64, f64)> {
    let (mut broken, mut never, mut images, mut last) = (Vec::new(), 0, 0, from);
    for nearest in of {
        images += 1;
        match nearest {
            Nearest::Misclassified => {}
            Nearest::At(number) => broken.push(number.max(from)),
            Nearest::Nowhere(tried) => {
                never += 1;
                last = f64::max(last, tried);
            }
        }
    }
    let n = f64::from(images);
    let always = f64::from(never) / n.max(1.0);
    let mut curve: Vec<(f64, f64)> =
        falls(broken, n).into_iter().map(|(at, share)| (at, share + always)).collect();
    // The line goes on as far as images that nothing broke were tried.
    if let Some((at, share)) = curve.last().copied()
        && last > at
    {
        curve.push((last, share));
    }
    if let Some(first) = curve.first_mut() {
        first.0 = first.0.max(from);
    }
    curve
}

/// All figures of a board.
pub(super) fn figures(entrants: &[&Entrant], most: usize) -> Vec<Figure> {
    let all = || entrants.iter().flat_map(|entrant| entrant.results::<AttackResult>());
    let own = || all().filter(|a| !a.control && a.finished() && a.goal == UNTARGETED);
    let minimal = distinct(own().filter(|a| a.minimal).map(|a| (&*a.label, &*a.threat)));
    let distances = minimal.into_iter().filter_map(|of| {
        let series = series(entrants, most, |a| (&*a.label, &*a.threat) == of && a.minimal);
        let caption = format!(
            "Robust accuracy against the {} distance at which {} finds an adversarial image. Bands: 95 % Wilson \
             intervals, distance by distance.{}",
            of.1,
            of.0,
            format::only_first(most, entrants.len())
        );
        Figure::new(&format!("distance {} {}", of.0, of.1), caption, series, &format!("{} distance", of.1))
    });
    let threats = distinct(own().filter(|a| !a.minimal).map(|a| &*a.threat));
    let passes = threats.into_iter().filter_map(|threat| {
        // The attack that takes longest has the most to show.
        let here = own().filter(|a| !a.minimal && a.threat == threat);
        let spent = |a: &&AttackResult| a.cost.forwards + a.cost.backwards;
        let title = |a: &AttackResult| a.budgets.last().map(|budget| budget.title.clone());
        let longest = here.max_by(|a, b| spent(a).total_cmp(&spent(b)))?;
        let (label, named) = (&longest.label, title(longest)?);
        let same = |a: &AttackResult| {
            !a.minimal && a.threat == threat && a.label == *label && title(a).as_ref() == Some(&named)
        };
        let caption = format!(
            "Images that {named} ({threat}) has not broken, against the forward and backward passes spent on each of \
             them. Bands: 95 % Wilson intervals.{}",
            format::only_first(most, entrants.len())
        );
        Figure::over_decades(&format!("passes {named} {threat}"), caption, series(entrants, most, same), "passes of an image")
    });
    distances.chain(beside(entrants)).chain(passes).collect()
}

/// For each threat model the attacks without a radius beside one another, and all attacks together, on the first network
/// that several of them were run on.
fn beside(entrants: &[&Entrant]) -> Vec<Figure> {
    let all = || {
        entrants.iter().flat_map(|entrant| {
            let own = entrant.results::<AttackResult>().filter(|a| a.finished() && !a.control);
            own.filter_map(|a| Some((&*entrant.model.name, a, a.distances.as_ref()?)))
        })
    };
    let figure = |threat: &str| {
        let here = || all().filter(|(_, attack, _)| attack.threat == threat);
        let of = |model: &str| here().filter(|(other, ..)| *other == model).collect::<Vec<_>>();
        let attacks = here().map(|(model, ..)| of(model)).find(|of| of.len() > 1)?;
        let model = attacks.first()?.0;
        let together = attacks.iter().map(|(.., of)| *of).max_by_key(|of| of.images)?;
        let together = Series {
            name: "all attacks together".into(),
            ..steps(&together.best_left, together.images)
        };
        let own = attacks.iter().enumerate().map(|(at, (_, attack, _))| Series {
            name: attack.label.clone(),
            look: Look::new(at + 1, at + 1),
            ..steps(&attack.left, attack.done)
        });
        let series = std::iter::once(together).chain(own).collect();
        let caption = format!(
            "Robust accuracy of {model} against the {threat} distance, attack by attack, and by the nearest of all \
             attacks together. Bands: 95 % Wilson intervals, distance by distance."
        );
        let name = format!("distance {model} {threat}");
        Figure::new(&name, caption, series, &format!("{threat} distance"))
    };
    distinct(all().map(|(_, attack, _)| &*attack.threat)).into_iter().filter_map(figure).collect()
}

/// A line for each of the first `most` networks that has a finished attack `of` this kind.
fn series(entrants: &[&Entrant], most: usize, of: impl Fn(&AttackResult) -> bool) -> Vec<Series> {
    let line = |(at, entrant): (usize, &&Entrant)| {
        let mut own = entrant.results::<AttackResult>();
        let attack = own.find(|a| of(a) && a.finished() && a.goal == UNTARGETED)?;
        let mut line = steps(&attack.left, attack.done);
        (line.name, line.look) = (entrant.model.name.clone(), Look::new(at, at));
        Some(line)
    };
    entrants.iter().take(most).enumerate().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::fixture::attack_row;

    #[test]
    fn what_is_left_falls_where_images_break_and_ends_at_the_robust_ones() {
        let rows = [
            attack_row(0, false, None),
            attack_row(1, true, Some(0.1)),
            attack_row(2, true, Some(0.3)),
            attack_row(3, true, None),
        ];
        let keys = crate::results::keys(&rows);
        let pool = Pool {
            rows: keys.iter().zip(&rows).map(|(key, row)| (key, vec![row])).collect(),
            covered: keys.iter().collect(),
            progress: (4, 4),
        };
        assert_eq!(left(&pool, 0.0, |row| row.distance), [(0.0, 0.75), (0.1, 0.5), (0.3, 0.25)]);
        // All break after 19 passes, and a logarithm begins at 1.
        let passes = |row: &AttackRow| (row.forwards + row.backwards) as f64;
        assert_eq!(left(&pool, 1.0, passes), [(1.0, 0.75), (19.0, 0.25)]);
        // Of an attack that breaks nothing the line goes as far as it tried.
        let pool = Pool { covered: [&keys[0], &keys[3]].into(), ..pool };
        let tried = passes(&rows[3]);
        assert!(tried > 1.0);
        assert_eq!(left(&pool, 1.0, passes), [(1.0, 0.5), (tried, 0.5)]);
        assert_eq!(left(&pool, 0.0, |row| row.distance), [(0.0, 0.5)]);
    }
}
