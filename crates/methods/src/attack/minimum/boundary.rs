//! The boundaries of the linearised network that DeepFool and its relatives walk to: of some images, and of the
//! likeliest classes, each measured in the norm that the move is to be small in.

use crate::attack::apgd::{choose, likeliest};
use crate::attack::fab::{dual, length};
use crate::attack::search::image_state;
use crate::attack::{Linearisation, Search};
use crate::error::Result;
use crate::loss::argmax;
use crate::rows::{self, Kernel, Rows, kernel};
use crate::threat::Norm;

/// The nearest boundary of every row of a run: w . z = w . x - f.
pub(super) struct Boundary {
    /// `[N, C, H, W]`; 0 where the network is flat.
    pub(super) w: Rows,
    /// The class beyond it, `[N]`.
    pub(super) class: Rows,
    /// Logit of the class beyond the boundary minus that of the class on this side, at x, `[N]`: below 0 on this side.
    pub(super) f: Rows,
}

/// The images that are still under way, as rows of the search, with where they are.
pub(super) struct RunState {
    /// Active rows of the search.
    pub(super) of: Vec<usize>,
    /// The classes that each looks at, the likeliest first; the same number for all, and none before the first look.
    classes: Vec<Vec<u32>>,
    pub(super) clean: Rows,
    pub(super) x: Rows,
    /// x was reached by a projection, 1, or by a step towards the boundary, 0; `[N]`.
    pub(super) projected: Rows,
    /// How many wrong classes are looked at.
    most: usize,
}

image_state!(RunState { of, classes, clean, x, projected; most });

impl RunState {
    /// From the clean images, towards the likeliest `classes` wrong classes or the target.
    pub(super) fn new(search: &Search<'_>, most: usize) -> Result<Self> {
        let (n, clean) = (search.len(), search.clean().clone());
        let classes = match search.targets() {
            Some(targets) => targets.iter().map(|target| vec![*target]).collect(),
            None => vec![Vec::new(); n],
        };
        let projected = Rows::numbers(search.location(), vec![0.0; n])?;
        Ok(Self { of: (0..n).collect(), classes, x: clean.clone(), clean, projected, most })
    }

    /// From now on each image looks at one class only, `[N]`.
    pub(super) fn settle_on(&mut self, classes: &Rows) -> Result<()> {
        self.classes = classes.to_classes()?.into_iter().map(|class| vec![class]).collect();
        Ok(())
    }

    /// Proposes where the images are, and says which of them are adversarial there.
    pub(super) fn propose(&self, search: &mut Search<'_>, logits: &Rows) -> Result<Vec<bool>> {
        search.propose_for(&self.of, &self.x, logits, ())?;
        search.have_succeeded(&self.of, logits)
    }

    /// The nearest boundary, in `norm`, of the images that are not `adversarial`; of the others the one that they have
    /// crossed, of those that `crossed` asks for. A backward pass for every class of an image, and one for a crossed
    /// boundary. The first look is at the clean images, and says which classes are the likeliest.
    pub(super) fn boundary(
        &mut self,
        search: &mut Search<'_>,
        at: &Linearisation<'_>,
        norm: Norm,
        (adversarial, crossed): (&[bool], &[bool]),
    ) -> Result<Boundary> {
        if self.classes.first().is_some_and(Vec::is_empty) {
            self.classes = likeliest(search, &at.logits, self.most)?;
        }
        let (n, width, place) = (self.of.len(), at.logits.width(), search.location().clone());
        let z = at.logits.values()?;
        let mut nearest = Boundary {
            w: Rows::new(&place, self.x.shape(), vec![0.0; n * self.x.width()])?,
            class: Rows::classes(&place, &self.classes.iter().map(|of| of[0]).collect::<Vec<_>>())?,
            f: Rows::numbers(&place, vec![0.0; n])?,
        };
        let mut least = Rows::numbers(&place, vec![f32::INFINITY; n])?;
        let ranks = self.classes.first().map_or(0, Vec::len);
        for rank in 0..ranks {
            let mut cotangent = vec![0.0_f32; n * width];
            let mut f = vec![0.0_f32; n];
            let mut classes = vec![0; n];
            let mut asked = Vec::with_capacity(n);
            for (i, row) in self.of.iter().enumerate() {
                let z = &z[i * width..][..width];
                let label = search.labels()[*row] as usize;
                let class = match (adversarial[i], search.targets()) {
                    (false, _) => self.classes[i][rank] as usize,
                    (true, _) if rank > 0 || !crossed[i] => continue,
                    (true, Some(targets)) => targets[*row] as usize,
                    (true, None) => argmax(z),
                };
                // Before a target come all classes, not only the label.
                let from = match (search.targets(), adversarial[i]) {
                    (Some(_), false) => argmax(z),
                    _ => label,
                };
                cotangent[i * width + class] += 1.0;
                cotangent[i * width + from] -= 1.0;
                f[i] = z[class] - z[from];
                classes[i] = class as u32;
                asked.push(*row);
            }
            if asked.is_empty() {
                break;
            }
            let cotangent = Rows::new(&place, [n, width], cotangent)?;
            let w = search.pull_for(&asked, at, &cotangent)?;
            let (f, class) = (Rows::numbers(&place, f)?, Rows::classes(&place, &classes)?);
            if ranks == 1 {
                return Ok(Boundary { w, class, f });
            }
            let distance = rows::map_to(Kernel::NONE, &[], [&w, &f], |_, [w, f], distance| {
                distance[0] = (f64::from(f[0].abs()) / length(dual(norm), w)) as f32;
            })?;
            // NaN, of 0 / 0 for a row that does not ask, is not nearer.
            let nearer =
                rows::map(kernel!("less"), [&distance, &least], |_, [distance, least], nearer| {
                    nearer[0] = f32::from(u8::from(distance[0] < least[0]));
                })?;
            nearest.w = choose(&nearer, &w, &nearest.w)?;
            nearest.f = choose(&nearer, &f, &nearest.f)?;
            nearest.class = choose(&nearer, &class, &nearest.class)?;
            least = choose(&nearer, &distance, &least)?;
        }
        Ok(nearest)
    }
}

/// The published constant that a step is longer by than the way to the boundary, so that it ends beyond it.
const BEYOND: f64 = 1e-4;

/// Writes to `d` the shortest move in `norm` (L2 or Linf) beyond the boundary w . z = w . x - f, but for a move no longer
/// than `most`, before the published constant is added; none where `w` is 0. Returns by how much it changes f at most.
pub(super) fn toward(norm: Norm, w: &[f32], f: f32, most: f64, d: &mut [f32]) -> f64 {
    let slope = length(dual(norm), w);
    if !(slope > 0.0 && slope.is_finite()) {
        d.fill(0.0);
        return 0.0;
    }
    let distance = (f64::from(f.abs()) / slope).min(most) + BEYOND;
    for (d, w) in d.iter_mut().zip(w) {
        *d = match norm {
            Norm::Linf if *w == 0.0 => 0.0,
            Norm::Linf => (distance as f32).copysign(*w),
            _ => (distance / slope * f64::from(*w)) as f32,
        };
    }
    distance * slope
}
