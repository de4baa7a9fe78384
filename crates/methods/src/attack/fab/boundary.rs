//! The hyperplane FAB moves to: where the network, linearised at a candidate, is as certain of
//! another class as of the right one (Croce and Hein, ICML 2020, section 3.2).

use super::projection::{dual, length};
use crate::attack::apgd::choose;
use crate::attack::{Linearisation, Search};
use crate::error::Result;
use crate::rows::{self, Rows, kernel};
use crate::threat::Norm;

/// For every row, the hyperplane w . z = w . x - df.
pub(super) struct Boundary {
    /// `[N, C, H, W]`.
    pub(super) w: Rows,
    /// Logit of the other class minus that of the right one, at x, `[N]`.
    pub(super) df: Rows,
}

/// The boundary of every row with its class, `[N]`, from one backward pass.
pub(super) fn with_class(
    search: &mut Search<'_>,
    at: &Linearisation<'_>,
    class: &Rows,
) -> Result<Boundary> {
    let place = search.location().clone();
    let (n, classes) = (at.logits.len(), at.logits.width());
    let mut cotangent = Rows::blank(&place, [n, classes])?;
    let mut df = Rows::blank(&place, [n])?;
    let labels = search.label_rows();
    rows::update(
        kernel!("difference"),
        [&mut cotangent, &mut df],
        [&at.logits, class, labels],
        |_, [g, df], [z, class, label]| {
            let (class, label) = (class[0] as usize, label[0] as usize);
            g.fill(0.0);
            g[class] += 1.0;
            g[label] -= 1.0;
            df[0] = z[class] - z[label];
        },
    )?;
    let mut w = search.pull(at, &cotangent)?;
    enlarge(&mut w, &mut df)?;
    Ok(Boundary { w, df })
}

/// Below it the largest weight of a hyperplane makes the constants of the published steps (1e-8, 1e-12) larger
/// than what they are meant to be small beside.
const SMALL: f32 = 1e-6;

/// Hyperplanes of small weights are written with larger ones: of logits times 1e-20 no element would move.
fn enlarge(w: &mut Rows, df: &mut Rows) -> Result<()> {
    rows::update(kernel!("fab_enlarge"), [w, df], [], |_, [w, df], []| {
        let largest = w.iter().fold(0.0_f32, |most, v| most.max(v.abs()));
        if largest > 0.0 && largest < SMALL {
            let by = 1.0 / f64::from(largest);
            w.iter_mut().for_each(|v| *v = (f64::from(*v) * by) as f32);
            df[0] = (f64::from(df[0]) * by) as f32;
        }
    })
}

/// The boundary of every row that is nearest to it in `norm`, of those with all other classes; one
/// backward pass for each. Of equally near ones, that with the first class.
pub(super) fn nearest(
    search: &mut Search<'_>,
    at: &Linearisation<'_>,
    norm: Norm,
) -> Result<Boundary> {
    let others = at.logits.width() as u32 - 1;
    let class = |search: &Search<'_>, k: u32| {
        let class = |label: &u32| k + u32::from(k >= *label);
        Rows::classes(search.location(), &search.labels().iter().map(class).collect::<Vec<_>>())
    };
    let distances = |boundary: &Boundary| {
        let kernel = kernel!("fab_distance", boundary.w.width(), dual(norm).number());
        rows::map_to(kernel, &[], [&boundary.w, &boundary.df], |_, [w, df], distance| {
            let length = length(dual(norm), w);
            distance[0] = (f64::from(df[0].abs()) / (1e-12 + length)) as f32;
        })
    };
    let first = class(search, 0)?;
    let mut best = with_class(search, at, &first)?;
    let mut least = distances(&best)?;
    for k in 1..others {
        let class = class(search, k)?;
        let next = with_class(search, at, &class)?;
        let distance = distances(&next)?;
        let nearer =
            rows::map(kernel!("less"), [&distance, &least], |_, [distance, least], nearer| {
                nearer[0] = f32::from(u8::from(distance[0] < least[0]));
            })?;
        best.w = choose(&nearer, &next.w, &best.w)?;
        best.df = choose(&nearer, &next.df, &best.df)?;
        least = choose(&nearer, &distance, &least)?;
    }
    Ok(best)
}
