//! Batches whose rows are known: what is certified, saved, resumed and refused.

use std::cell::Cell;
use std::sync::atomic::Ordering;

use candle_core::{Device, Tensor};

use super::super::linear::Linear;
use super::*;
use crate::stats::{clopper_pearson, normal};

const SHAPE: [usize; 3] = [1, 2, 2];

fn never() -> bool {
    false
}

fn network() -> Linear {
    Linear::new(SHAPE, &[1.0, -0.5, 2.0, 0.25], -1.0)
}

/// Images whose distance from the decision boundary runs from about -0.7 to 1.1.
fn images(ids: &[u64]) -> Batch {
    let pixels: Vec<f32> = ids
        .iter()
        .flat_map(|id| (0..4).map(move |p| ((id * 7 + p * 5) % 17) as f32 / 16.0))
        .collect();
    let images = Tensor::from_vec(pixels, (ids.len(), 1, 2, 2), &Device::Cpu).unwrap();
    Batch { ids: ids.to_vec(), images, labels: ids.iter().map(|id| (id % 2) as u32).collect() }
}

fn settings() -> Smoothing {
    Smoothing { n: 500, seed: 11, ..Smoothing::new(0.5) }
}

fn certify(batch: &Batch, settings: &Smoothing, batch_size: usize) -> Vec<CertificateRow> {
    let mut rows = Vec::new();
    certify_batch(&network(), batch, settings, batch_size, &mut Forget, &never, &mut |row| {
        // Not reproducible, so out of the way of comparisons.
        rows.push(CertificateRow { time: String::new(), ..row });
        Ok(())
    })
    .unwrap();
    rows
}

#[test]
fn radii_of_a_linear_network_stay_below_the_truth_and_close_to_it() {
    let settings = Smoothing { n: 4000, ..settings() };
    let ids: Vec<u64> = (0..17).collect();
    let batch = images(&ids);
    let pixels = batch.images.flatten_from(1).unwrap().to_vec2::<f32>().unwrap();
    let mut certified = 0;
    for (row, pixels) in certify(&batch, &settings, 1000).iter().zip(&pixels) {
        let distance = network().distance(pixels);
        // Four standard deviations of bad luck in nA explain the shortfall, nothing else does.
        let p = normal::cdf(distance.abs() / settings.sigma);
        let unlucky = 4000.0 * p - 4.0 * (4000.0 * p * (1.0 - p)).sqrt() - 1.0;
        let p_low = clopper_pearson::lower(unlucky.max(0.0) as u64, 4000, settings.alpha);
        let least = if p_low < 0.5 { 0.0 } else { cohen::radius(p_low, settings.sigma) };
        assert!(row.radius <= distance.abs(), "{row:?}: truth {distance}");
        assert!(row.radius >= least - 1e-6, "{row:?}: at least {least}, truth {distance}");
        if row.predict != ABSTAIN {
            certified += 1;
            assert_eq!(row.predict, i64::from(distance < 0.0), "{row:?}");
            assert_eq!(row.correct, u8::from(row.predict == i64::from(row.label)), "{row:?}");
        }
    }
    assert!((10..=17).contains(&certified), "{certified} certified");
}

/// Class 0 where the first pixel is bright: the boundary is as far away in every norm.
#[test]
fn no_family_certifies_beyond_the_boundary_in_any_norm() {
    use crate::certify::noise::{CertifiedNorm, Family};
    let network = Linear::new(SHAPE, &[1.0, 0.0, 0.0, 0.0], -0.5);
    let batch = images(&(0..17).collect::<Vec<u64>>());
    let pixels = batch.images.flatten_from(1).unwrap().to_vec2::<f32>().unwrap();
    for (family, norm, expected) in [
        (Family::Gaussian, CertifiedNorm::L1, 10),
        (Family::Gaussian, CertifiedNorm::Linf, 10),
        (Family::Uniform, CertifiedNorm::L1, 10),
        (Family::Uniform, CertifiedNorm::Linf, 10),
        (Family::Laplace, CertifiedNorm::L1, 10),
        (Family::Lattice { levels: 16 }, CertifiedNorm::L2, 10),
    ] {
        let settings = Smoothing { family, norm, n: 1000, ..settings() };
        let (mut certified, mut tight) = (0, 0.0f64);
        certify_batch(&network, &batch, &settings, 1000, &mut Forget, &never, &mut |row| {
            let distance = network.distance(&pixels[row.idx as usize]);
            assert!(row.radius <= distance.abs(), "{family:?} {norm}: {row:?} {distance}");
            if row.predict != ABSTAIN {
                certified += 1;
                tight = tight.max(row.radius / distance.abs());
            }
            Ok(())
        })
        .unwrap();
        assert!(certified >= expected, "{family:?} {norm}: {certified}");
        // A single pixel is not where an Linf ball is worst.
        let least = if norm == CertifiedNorm::Linf { 0.1 } else { 0.8 };
        assert!(tight > least, "{family:?} {norm}: {tight}");
    }
}

#[test]
fn images_off_the_grid_are_refused_by_lattice_noise() {
    use crate::certify::noise::Family;
    let settings = Smoothing { family: Family::Lattice { levels: 255 }, ..settings() };
    let error =
        certify_batch(&network(), &images(&[3]), &settings, 10, &mut Forget, &never, &mut |_| {
            Ok(())
        })
        .unwrap_err();
    assert!(error.to_string().starts_with("image 3: the pixel "), "{error}");
}

#[test]
fn rows_depend_on_neither_batch_size_nor_order_nor_company() {
    let ids: Vec<u64> = vec![3, 0, 12, 7, 5];
    let reference = certify(&images(&ids), &settings(), 100);
    assert_eq!(reference.iter().map(|row| row.idx).collect::<Vec<_>>(), ids);
    for batch_size in [1, 7, 4096] {
        assert_eq!(certify(&images(&ids), &settings(), batch_size), reference, "{batch_size}");
    }
    let mut reversed = certify(&images(&[5, 7, 12, 0, 3]), &settings(), 100);
    reversed.reverse();
    assert_eq!(reversed, reference);
    assert_eq!(certify(&images(&[12]), &settings(), 100), reference[2..3]);
    assert_ne!(certify(&images(&ids), &Smoothing { seed: 12, ..settings() }, 100), reference);
}

#[test]
fn the_class_is_chosen_by_other_samples_than_those_that_bound_it() {
    // On the boundary each class gets half of any sample. Were the samples the same, the class
    // chosen by the majority would always have the majority.
    let network = Linear::new(SHAPE, &[1.0, -1.0, 1.0, -1.0], 0.0);
    let images = Tensor::full(0.5f32, (40, 1, 2, 2), &Device::Cpu).unwrap();
    let batch = Batch { ids: (0..40).collect(), images, labels: vec![0; 40] };
    let settings = Smoothing { n0: 101, n: 101, ..settings() };
    let mut minority = 0;
    certify_batch(&network, &batch, &settings, 500, &mut Forget, &never, &mut |row| {
        minority += u32::from(2 * row.n_a < row.n);
        Ok(())
    })
    .unwrap();
    assert!((8..=32).contains(&minority), "{minority} of 40");
}

#[test]
fn a_row_says_how_it_came_about() {
    let row = certify(&images(&[2]), &settings(), 64).remove(0);
    assert_eq!((row.idx, row.label, row.n0, row.n, row.seed), (2, 0, 100, 500, 11));
    assert_eq!((row.sigma, row.alpha, row.model.as_str()), (0.5, 0.001, "0123456789abcdef"));
    assert_ne!(row.predict, ABSTAIN);
    assert_eq!(row.p_low, clopper_pearson::lower(row.n_a, 500, 0.001));
    assert_eq!(row.radius, rounding::floor_decimals(cohen::radius(row.p_low, 0.5), 6));
}

#[test]
fn images_share_batches_and_only_the_last_is_short() {
    let network = network();
    let batch = images(&[0, 1, 2, 3, 4]);
    certify_batch(&network, &batch, &settings(), 64, &mut Forget, &never, &mut |_| Ok(())).unwrap();
    assert_eq!(network.images.load(Ordering::Relaxed), 5 * 600);
    assert_eq!(network.batches.load(Ordering::Relaxed), (5usize * 600).div_ceil(64));
}

#[test]
fn a_stop_keeps_finished_rows_and_a_second_run_completes_them() {
    let ids = [0, 1, 2, 3];
    let asked = Cell::new(0);
    let mut rows = Vec::new();
    let stop = || asked.replace(asked.get() + 1) >= 15;
    let error = certify_batch(
        &network(),
        &images(&ids),
        &settings(),
        100,
        &mut Forget,
        &stop,
        &mut |row| {
            rows.push(CertificateRow { time: String::new(), ..row });
            Ok(())
        },
    )
    .unwrap_err();
    assert!(matches!(error, Error::Interrupted));
    // 15 batches of 100 finish two images of 600 samples.
    assert_eq!(rows.len(), 2);
    rows.extend(certify(&images(&ids[2..]), &settings(), 100));
    assert_eq!(rows, certify(&images(&ids), &settings(), 100));
}

#[test]
fn a_row_that_cannot_be_written_stops_the_run() {
    let mut rows = 0;
    let result = certify_batch(
        &network(),
        &images(&[0, 1, 2]),
        &settings(),
        600,
        &mut Forget,
        &never,
        &mut |_| {
            rows += 1;
            Err(Error::setting("disk", "full", "make room"))
        },
    );
    assert!(matches!(result, Err(Error::Setting { field, .. }) if field == "disk"));
    assert_eq!(rows, 1);
}

#[test]
fn predictions_follow_the_side_of_the_boundary() {
    let ids: Vec<u64> = (0..17).collect();
    let batch = images(&ids);
    let pixels = batch.images.flatten_from(1).unwrap().to_vec2::<f32>().unwrap();
    let mut rows = Vec::new();
    predict_batch(&network(), &batch, &settings(), 50, &never, &mut |row| {
        rows.push(row);
        Ok(())
    })
    .unwrap();
    assert_eq!(rows.iter().map(|row| row.idx).collect::<Vec<_>>(), ids);
    assert!(rows.iter().filter(|row| row.predict != ABSTAIN).count() >= 10);
    for (row, pixels) in rows.iter().zip(&pixels) {
        let class = i64::from(network().distance(pixels) < 0.0);
        assert!([class, ABSTAIN].contains(&row.predict), "{row:?}");
        assert_eq!(row.correct, u8::from(row.predict == i64::from(row.label)));
    }
}

#[test]
fn an_empty_batch_has_no_rows() {
    assert!(certify(&images(&[]), &settings(), 100).is_empty());
}

#[test]
fn images_and_settings_that_do_not_fit_are_named() {
    let certify = |batch: &Batch, settings: &Smoothing, batch_size| {
        certify_batch(&network(), batch, settings, batch_size, &mut Forget, &never, &mut |_| Ok(()))
    };
    let good = images(&[0, 1]);
    let flat = Batch { images: good.images.flatten_from(1).unwrap(), ..good.clone() };
    let unlabelled = Batch { labels: vec![0], ..good.clone() };
    for (batch, settings, batch_size, field) in [
        (&good, settings(), 0, "batch size"),
        (&good, Smoothing { sigma: -1.0, ..settings() }, 10, "sigma"),
        (&flat, settings(), 10, "images"),
        (&unlabelled, settings(), 10, "images"),
    ] {
        let error = certify(batch, &settings, batch_size).unwrap_err();
        assert!(matches!(&error, Error::Setting { field: f, .. } if f == field), "{error}");
        assert!(error.hint().is_some());
    }
}
