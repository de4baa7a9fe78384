//! Deterministic certificates: a radius within which bounds of the network prove that its prediction
//! does not change. Unlike smoothing they are about the network itself and hold without a chance of
//! error, rounding included ([`crate::nn::bounds`] says why); they are worth something on small relu
//! networks only, best on those trained to be robust.

use std::time::Instant;

use rayon::prelude::*;

use super::BoundRow;
use super::{format_time, sampler};
use crate::data::Batch;
use crate::error::{Error, Result};
use crate::model::{Classifier, FrozenNetwork};
use crate::nn::bounds::region::{L2Ball, LinfBall};
use crate::nn::bounds::{Bounder, Method, Region};
use crate::ops::layout::nchw_to_nhwc;
use crate::stats::rounding;
use crate::threat::Norm;

/// Decimals of the radii that are tried between those of the report.
const RADIUS_DECIMALS: u32 = 6;

/// Which bounds, and at which radii.
#[derive(Debug, Clone, PartialEq)]
pub struct Bounds {
    /// How bounds are found.
    pub method: Method,
    /// The norm of the ball, [`Norm::Linf`] or [`Norm::L2`]. The ball is cut at the box [0, 1].
    pub norm: Norm,
    /// Radii of the report, ascending, each tried itself.
    pub eps: Vec<f64>,
    /// Halvings of the gap between the largest radius that was proven and the next one that was not;
    /// 0 to try the radii of the report only.
    pub steps: u32,
}

impl Bounds {
    /// Checks the settings.
    ///
    /// # Errors
    /// If the norm has no bounds, or there is no radius or one that is not above 0.
    pub fn validate(&self) -> Result<()> {
        if matches!(self.norm, Norm::L1 | Norm::L0 | Norm::L0Pixels) {
            let norm = self.norm.to_string();
            return Err(Error::unknown("norm with bounds", norm, ["Linf", "L2"]));
        }
        let increasing = self.eps.windows(2).all(|pair| pair[0] < pair[1]);
        let positive = self.eps.iter().all(|eps| *eps > 0.0 && eps.is_finite());
        if self.eps.is_empty() || !increasing || !positive {
            return Err(Error::setting(
                "eps",
                format!("{:?} are not ascending radii above 0", self.eps),
                "give at least one radius, such as 0.1 or 8/255",
            ));
        }
        if self.steps > 40 {
            return Err(Error::setting(
                "steps",
                format!("{} halvings are finer than the six decimals of a radius", self.steps),
                "give at most 40; 6 is the default",
            ));
        }
        Ok(())
    }

    fn region(&self, image: &[f32], eps: f64) -> Box<dyn Region> {
        match self.norm {
            Norm::L2 => Box::new(L2Ball::new(image, eps)),
            // Checked by `validate`.
            Norm::Linf | Norm::L1 | Norm::L0 | Norm::L0Pixels => {
                Box::new(LinfBall::new(image, eps))
            }
        }
    }

    /// No ball in the box is larger.
    fn diameter(&self, pixels: usize) -> f64 {
        match self.norm {
            Norm::L2 => (pixels as f64).sqrt(),
            Norm::Linf | Norm::L1 | Norm::L0 | Norm::L0Pixels => 1.0,
        }
    }
}

/// What bounds `network`; an early check that all of its operations have bounds.
///
/// # Errors
/// If an operation has none; the error names it.
pub fn bounder(network: &FrozenNetwork) -> Result<Bounder> {
    Bounder::new(network.program())
}

/// Certifies every image of `batch` and hands the rows to `on_row`, in order. A row depends on its
/// image alone. `stop` is asked every few images.
///
/// # Errors
/// [`Error::Interrupted`] once `stop` says so; the rows of finished images have been handed out. Else
/// if a setting or a shape does not fit, a layer has no bounds, or `on_row` fails.
///
/// ```
/// use epsball_engine::model::file::{Declared, load};
/// use epsball_engine::nn::bounds::Method;
/// use epsball_methods::certify::bounds::{Bounds, bound_batch};
/// use epsball_methods::data;
/// use epsball_methods::threat::Norm;
/// # std::env::set_current_dir("../..")?;
///
/// let model = load("benchmarks/models/digits-trades.safetensors".as_ref(), &Declared::default())?.0;
/// let batch = data::open("digits:test")?.read(&[0, 1, 2])?;
///
/// let settings = Bounds { method: Method::Crown, norm: Norm::Linf, eps: vec![0.02, 0.05], steps: 0 };
/// let mut certified = 0;
/// bound_batch(&model, &batch, &settings, &|| false, &mut |row| {
///     certified += usize::from(row.certified(0.02));
///     Ok(())
/// })?;
/// assert!(certified > 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn bound_batch(
    network: &FrozenNetwork,
    batch: &Batch,
    settings: &Bounds,
    stop: &dyn Fn() -> bool,
    on_row: &mut dyn FnMut(BoundRow) -> Result<()>,
) -> Result<()> {
    settings.validate()?;
    let bounder = bounder(network)?;
    // The margins are those of the CPU's arithmetic.
    let logits = network.logits_on_cpu(&batch.rows()?)?.tensor()?.to_vec2::<f32>()?;
    let images = nchw_to_nhwc(&batch.images)?.flatten_from(1)?.to_vec2::<f32>()?;
    let model: String = network.info().identity.chars().take(16).collect();
    let digests = batch.digests()?;
    let numbers: Vec<usize> = (0..batch.len()).collect();
    for part in numbers.chunks(2 * rayon::current_num_threads()) {
        if stop() {
            return Err(Error::Interrupted);
        }
        let rows = part
            .par_iter()
            .map(|number| -> Result<BoundRow> {
                let started = Instant::now();
                let (idx, label) = (batch.ids[*number], batch.labels[*number]);
                let class = sampler::argmax(&logits[*number]).ok_or_else(|| {
                    Error::setting(
                        format!("model {}", network.info().name),
                        format!("returns NaN for image {idx}"),
                        "check the weights and the normalisation",
                    )
                })?;
                let found = largest_radius(&bounder, &images[*number], class, settings)?;
                Ok(BoundRow {
                    idx,
                    label,
                    predict: class as u32,
                    radius: found.radius,
                    correct: u8::from(class as u32 == label),
                    time: format_time(started.elapsed().as_secs_f64()),
                    margin: found.margin,
                    tried: found.tried,
                    model: model.clone(),
                    image: digests[*number].clone(),
                })
            })
            .collect::<Result<Vec<_>>>()?;
        rows.into_iter().try_for_each(&mut *on_row)?;
    }
    Ok(())
}

/// What the search for a radius found.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Found {
    radius: f64,
    margin: f64,
    tried: u32,
}

/// The largest radius that could be proven. A proof at a radius covers all smaller ones, so the radii
/// of the report are tried from the largest down; bounds need not be monotone, and the search only
/// costs radii where they are not, never soundness.
fn largest_radius(
    bounder: &Bounder,
    image: &[f32],
    class: usize,
    settings: &Bounds,
) -> Result<Found> {
    let mut found = Found::default();
    let holds = |eps: f64, found: &mut Found| -> Result<bool> {
        let region = settings.region(image, eps);
        let margins = bounder.margins(region.as_ref(), class, settings.method)?;
        found.tried += 1;
        // NaN proves nothing.
        let proven = margins.iter().all(|margin| *margin > 0.0);
        if proven {
            found.radius = eps;
            found.margin = margins.into_iter().fold(f64::INFINITY, f64::min);
        }
        Ok(proven)
    };
    let mut refuted = None;
    for eps in settings.eps.iter().rev() {
        if holds(*eps, &mut found)? {
            break;
        }
        refuted = Some(*eps);
    }
    if settings.steps == 0 {
        return Ok(found);
    }
    let diameter = settings.diameter(image.len());
    let mut high = match refuted {
        Some(eps) => eps,
        None => loop {
            let eps = (2.0 * found.radius).min(diameter);
            if eps <= found.radius || !holds(eps, &mut found)? {
                break eps;
            }
        },
    };
    for _ in 0..settings.steps {
        let eps = rounding::floor_decimals(f64::midpoint(found.radius, high), RADIUS_DECIMALS);
        if eps <= found.radius {
            break;
        }
        if !holds(eps, &mut found)? {
            high = eps;
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::*;
    use crate::model::ModelInfo;
    use crate::nn::{Layer, Linear, flatten, relu, seq, silu};

    /// Two classes, z0 - z1 = 2 (w x + b): the distance to the boundary is known.
    fn network(last: Option<Layer>) -> FrozenNetwork {
        let weight =
            Tensor::new(&[[1.0_f32, -2.0, 2.0, 0.0], [-1.0, 2.0, -2.0, 0.0]], &Device::Cpu);
        let bias = Tensor::new(&[-0.25_f32, 0.25], &Device::Cpu).unwrap();
        let mut layers = vec![flatten(), Linear::new(weight.unwrap(), Some(bias)).layer()];
        layers.extend(last);
        let mut info = ModelInfo::new("linear", [1, 2, 2], 2);
        info.parameters = 10;
        info.sha256 = "0123456789abcdef0123456789abcdef".into();
        FrozenNetwork::build(info, &seq(layers)).unwrap()
    }

    fn batch(images: &[[f32; 4]]) -> Batch {
        let pixels: Vec<f32> = images.concat();
        let images = Tensor::from_vec(pixels, (images.len(), 1, 2, 2), &Device::Cpu).unwrap();
        let ids: Vec<u64> = (0..images.dim(0).unwrap() as u64).collect();
        Batch { labels: vec![0; ids.len()], ids, images }
    }

    fn settings(norm: Norm) -> Bounds {
        Bounds { method: Method::Crown, norm, eps: vec![0.01, 0.05], steps: 20 }
    }

    fn rows(batch: &Batch, settings: &Bounds) -> Vec<BoundRow> {
        let mut rows = Vec::new();
        bound_batch(&network(None), batch, settings, &|| false, &mut |row| {
            rows.push(BoundRow { time: String::new(), ..row });
            Ok(())
        })
        .unwrap();
        rows
    }

    #[test]
    fn radii_of_a_linear_network_are_its_distances_rounded_down() {
        let images = [
            [0.5, 0.5, 0.625, 0.5],
            [0.5, 0.4375, 0.6, 0.1],
            [0.5, 0.5, 0.35, 0.5],
            [0.5, 0.49, 0.515, 0.5],
        ];
        for (norm, dual) in [(Norm::Linf, 5.0), (Norm::L2, 3.0)] {
            for (row, x) in rows(&batch(&images), &settings(norm)).iter().zip(images) {
                let [a, b, c, _] = x.map(f64::from);
                let value = a - 2.0 * b + 2.0 * c - 0.25;
                let distance = value.abs() / dual;
                assert_eq!(row.predict, u32::from(value < 0.0));
                assert_eq!(row.correct, u8::from(value > 0.0));
                assert!(row.radius <= distance, "{norm}: {row:?}, truth {distance}");
                assert!(row.radius > distance - 4e-6, "{norm}: {row:?}, truth {distance}");
                assert!(row.margin > 0.0 && row.margin < 1e-4);
            }
        }
    }

    #[test]
    fn the_radii_of_the_report_are_tried_themselves() {
        // The distances are 0.0504 and 0.0336; 1/30 is no decimal of six places.
        let batch = batch(&[[0.5, 0.5, 0.501, 0.5], [0.5, 0.5, 0.459, 0.5]]);
        let eps = vec![1.0 / 30.0, 0.05];
        let rows = rows(&batch, &Bounds { eps, steps: 0, ..settings(Norm::Linf) });
        assert_eq!(rows.iter().map(|row| row.radius).collect::<Vec<_>>(), [0.05, 1.0 / 30.0]);
        assert_eq!(rows.iter().map(|row| row.tried).collect::<Vec<_>>(), [1, 2]);
        assert!(rows[0].certified(0.05) && !rows[1].certified(0.05) && rows[1].certified(0.02));
    }

    #[test]
    fn a_row_does_not_depend_on_its_company() {
        let images = [[0.5, 0.5, 0.625, 0.5], [0.1, 0.9, 0.6, 0.1], [0.9, 0.2, 0.375, 0.5]];
        let all = rows(&batch(&images), &settings(Norm::L2));
        for (row, image) in all.iter().zip(images) {
            let alone =
                BoundRow { idx: row.idx, ..rows(&batch(&[image]), &settings(Norm::L2)).remove(0) };
            assert_eq!(*row, alone);
        }
    }

    #[test]
    fn what_the_box_forbids_does_not_count() {
        // The first pixel cannot fall: 1.15 / 4 instead of 1.15 / 5, and 1.15 / sqrt(8) instead of / 3.
        for (norm, dual) in [(Norm::Linf, 4.0), (Norm::L2, 8.0_f64.sqrt())] {
            let row = rows(&batch(&[[0.0, 0.2, 0.9, 0.5]]), &settings(norm)).remove(0);
            assert!((row.radius - 1.15 / dual).abs() < 1e-5, "{row:?}");
        }
    }

    #[test]
    fn a_stop_keeps_finished_rows() {
        let batch = batch(&[[0.5; 4]; 100]);
        let asked = std::cell::Cell::new(0);
        let mut count = 0;
        let stop = || asked.replace(asked.get() + 1) >= 1;
        let result = bound_batch(&network(None), &batch, &settings(Norm::Linf), &stop, &mut |_| {
            count += 1;
            Ok(())
        });
        assert!(matches!(result, Err(Error::Interrupted)));
        assert_eq!(count, (2 * rayon::current_num_threads()).min(100));
    }

    #[test]
    fn bad_settings_and_layers_are_named() {
        let good = settings(Norm::Linf);
        for (bad, field) in [
            (Bounds { eps: vec![], ..good.clone() }, "eps"),
            (Bounds { eps: vec![0.1, 0.1], ..good.clone() }, "eps"),
            (Bounds { eps: vec![0.0], ..good.clone() }, "eps"),
            (Bounds { eps: vec![f64::NAN], ..good.clone() }, "eps"),
            (Bounds { steps: 41, ..good.clone() }, "steps"),
        ] {
            let error = bad.validate().unwrap_err();
            assert!(matches!(&error, Error::Setting { field: f, .. } if f == field), "{bad:?}");
            assert!(error.hint().is_some());
        }
        assert!(Bounds { norm: Norm::L1, ..good }.validate().is_err());
        assert!(bounder(&network(Some(relu()))).is_ok());
        let error = bounder(&network(Some(silu()))).unwrap_err();
        assert!(error.to_string().starts_with("layer silu"), "{error}");
    }
}
