//! Attacks under L0 against linear networks, where the fewest values are known: the gains w_i times the room of x_i in the
//! box, the largest first, until the margin is used up. Of pixels the gains of their values are added.

use super::*;

/// The fewest units of `x0`, of so many values each, that have to change for w . x + b to become negative.
fn fewest(w: &[f32], b: f32, x0: &[f32], together: usize) -> f64 {
    let gain = |(w, x): (&f32, &f32)| f64::from(if *w > 0.0 { w * x } else { w * (x - 1.0) });
    let values: Vec<f64> = w.iter().zip(x0).map(gain).collect();
    let units = values.len() / together;
    let mut gains: Vec<f64> =
        (0..units).map(|unit| values[unit..].iter().step_by(units).sum()).collect();
    gains.sort_by(|a, b| b.total_cmp(a));
    let margin = w.iter().zip(x0).map(|(w, x)| f64::from(w * x)).sum::<f64>() + f64::from(b);
    let mut left = margin;
    let needed = gains.iter().take_while(|gain| {
        let needed = left >= 0.0;
        left -= **gain;
        needed
    });
    needed.count() as f64
}

/// Slopes, a bias, an image of 12 pixels of two values, and how many values it takes.
type Known = (Vec<f32>, f32, Vec<f32>, f64);

fn networks() -> Vec<Known> {
    let mut all = Vec::new();
    for (k, share) in [0.2_f32, 0.4, 0.6, 0.8].into_iter().enumerate() {
        let wave = |i: usize, by: f32| (i as f32 * by + k as f32).sin();
        let w: Vec<f32> = (0..24).map(|i| wave(i, 1.3)).collect();
        // Some values are at the ends of the box.
        let x0: Vec<f32> = (0..24).map(|i| (0.5 + 0.7 * wave(i, 0.6)).clamp(0.0, 1.0)).collect();
        let start: f32 = w.iter().zip(&x0).map(|(w, x)| w * x).sum();
        let lowest: f32 = w.iter().map(|w| w.min(0.0)).sum();
        let margin = share * (start - lowest);
        let b = margin - start;
        let fewest = fewest(&w, b, &x0, 1);
        all.push((w, b, x0, fewest));
    }
    all
}

fn found_in(norm: Norm, name: &str, given: &[(&str, &str)], network: &Known) -> f64 {
    let (w, b, x0, _) = network;
    let shape = [2, 3, 4];
    let (model, batch) = (linear(w, *b, shape), one(x0, shape));
    let o = &run(name, given, Threat::ball(norm, 1.0), &model, &batch)[0];
    assert!(o.found, "{name} {norm}");
    let differs = |i: usize| o.image[i] != x0[i];
    let changed = match norm {
        Norm::L0Pixels => (0..12).filter(|i| differs(*i) || differs(i + 12)).count(),
        _ => (0..24).filter(|i| differs(*i)).count(),
    };
    assert_eq!(o.distance, changed as f64, "{name} {norm}");
    o.distance
}

fn found(name: &str, given: &[(&str, &str)], network: &Known) -> f64 {
    found_in(Norm::L0, name, given, network)
}

#[test]
fn the_networks_need_different_numbers_of_values() {
    let counts: Vec<f64> = networks().iter().map(|network| network.3).collect();
    assert!(counts[0] >= 2.0 && counts.windows(2).all(|pair| pair[0] < pair[1]), "{counts:?}");
}

/// One value after the other is changed in the best order, and as far as the box lets it: of so many random amounts one
/// goes to the end.
#[test]
fn vfga_changes_the_fewest_values_of_a_linear_network() {
    for network in networks() {
        assert_eq!(found("vfga", &[("samples", "40")], &network), network.3);
    }
}

#[test]
fn searches_by_gradients_come_near_the_fewest_values() {
    for network in networks() {
        let least = network.3;
        for (name, given, most) in [
            ("fmn", &[][..], least),
            ("sigma-zero", &[], least + 1.0),
            ("min-norm", &[], least),
            ("brendel-bethge", &[("lr", "0.05")], least + 1.0),
        ] {
            let found = found(name, given, &network);
            assert!((least..=most).contains(&found), "{name}: {found} of {least}");
        }
    }
}

/// The same networks where a pixel counts once: another number, and the attacks that use both of its values reach it.
#[test]
fn where_pixels_are_counted_all_channels_of_a_pixel_change() {
    let mut fewer = 0;
    for network in networks() {
        let (w, b, x0, values) = &network;
        let least = fewest(w, *b, x0, 2);
        assert!(least <= *values);
        fewer += usize::from(least < *values);
        for (name, given, most) in [
            ("vfga", &[("samples", "300")][..], least),
            ("fmn", &[], least),
            ("sigma-zero", &[], least + 1.0),
            ("min-norm", &[], least),
        ] {
            let found = found_in(Norm::L0Pixels, name, given, &network);
            assert!((least..=most).contains(&found), "{name}: {found} of {least}");
        }
    }
    assert!(fewer >= 3, "{fewer} of 4 networks tell pixels from values");
}

/// Images of one channel have a value for each pixel: then it is the same search.
#[test]
fn of_one_channel_pixels_are_values() {
    let (model, batch) = random_network(6, true);
    for (name, given) in [("fmn", ("steps", "20")), ("sigma-zero", ("steps", "40"))] {
        let [values, pixels] = [Norm::L0, Norm::L0Pixels]
            .map(|norm| run(name, &[given], Threat::ball(norm, 1.0), &model, &batch));
        assert!(values.iter().any(|o| o.found), "{name}");
        assert_eq!(values, pixels, "{name}");
    }
}

/// Rounding to 8 bits moves what was changed, and nothing else: elsewhere it would be a change more.
#[test]
fn rounding_changes_no_further_values() {
    // The second value is between two of 8 bits, and rounding it would lead back over the boundary.
    let (w, x0) = ([10.0_f32, 400.0], [0.5_f32, 0.0031]);
    let model = linear(&w, 4.9 - w[0] * x0[0] - w[1] * x0[1], [1, 1, 2]);
    assert!(w[1] * ((x0[1] * 255.0).round() / 255.0 - x0[1]) > 0.3);
    let o = &run("vfga", &[], Threat::ball(Norm::L0, 1.0), &model, &one(&x0, [1, 1, 2]))[0];
    assert_eq!((o.distance, &o.image[..]), (1.0, &[0.0, x0[1]][..]));
    assert!(o.found_8bit);
}

/// A limit of steps is one of values.
#[test]
fn vfga_gives_up_at_its_limit() {
    let (w, b, x0, least) = networks().remove(2);
    let (model, batch) = (linear(&w, b, [2, 3, 4]), one(&x0, [2, 3, 4]));
    let steps = (least - 1.0).to_string();
    let o = &run("vfga", &[("steps", &steps)], Threat::ball(Norm::L0, 1.0), &model, &batch)[0];
    assert!(!o.found && o.forwards == 21 * (least as u64 - 1) && o.backwards == least as u64 - 1);
}
