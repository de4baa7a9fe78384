//! Patches of every form at every place, on networks of which the best patch is known.

use candle_core::{Device::Cpu, Tensor};

use crate::attack::tests::{linear, random_network, run};
use crate::attack::{Request, attack, configure};
use crate::data::Batch;
use crate::threat::{Mask, Patch, Place, Threat, Window};

const SHAPE: [usize; 3] = [1, 6, 6];

/// An L of three pixels, as a mask of a window of four.
fn corner() -> Patch {
    Patch::mask(Mask::new([2, 2], vec![true, false, true, true]).unwrap())
}

/// Slopes of which a few are large, so that the best place is not that of the best square.
fn slopes() -> Vec<f32> {
    (0..36).map(|i| 0.05 + if i % 7 == 3 || i / 6 == 4 { 0.9 } else { 0.0 }).collect()
}

/// By how much the best patch moves the linear network on an image of 0.6: every pixel goes to 0, as all slopes are
/// above 0.
fn best(patch: Patch, places: &[Window], w: &[f32]) -> f32 {
    let moved = |at: &Window| patch.elements(*at, SHAPE).map(|(i, _)| 0.6 * w[i]).sum::<f32>();
    places.iter().map(moved).fold(0.0, f32::max)
}

fn image() -> Batch {
    let images = Tensor::full(0.6_f32, (1, 1, 6, 6), &Cpu).unwrap();
    Batch { ids: vec![4], images, labels: vec![0] }
}

#[test]
fn a_patch_of_any_form_breaks_a_linear_network_where_the_best_one_can() {
    let w = slopes();
    let sum: f32 = w.iter().sum();
    for patch in [Patch::circle(4), corner(), Patch::rectangle(2, 3)] {
        let places: Vec<Window> = (0..patch.places(SHAPE)).map(|i| patch.place(i, SHAPE)).collect();
        let best = best(patch, &places, &w);
        for (margin, breaks) in [(0.97 * best, true), (1.03 * best, false)] {
            let model = linear(&w, margin - 0.6 * sum, SHAPE);
            for (name, given) in [
                ("patch-pgd", vec![("steps", "30"), ("restarts", "30")]),
                ("patch-pgd", vec![("steps", "30"), ("restarts", "30"), ("loss", "margin")]),
                ("roa", vec![("stride", "1")]),
                ("patch-search", vec![("stride", "1")]),
                ("patch-search", vec![("stride", "1"), ("loss", "ce")]),
                ("patch-rs", vec![("queries", "3000")]),
            ] {
                let found = run(name, &given, Threat::Patch(patch), &model, &image())[0].found;
                assert_eq!(found, breaks, "{name} {given:?} {patch} {margin}");
            }
        }
    }
}

/// The best place is another one, and what a patch at this one can do is what decides.
#[test]
fn a_patch_with_a_place_stays_there() {
    let w = slopes();
    let sum: f32 = w.iter().sum();
    let at = Window { top: 1, left: 2 };
    for patch in [Patch::rectangle(2, 2), Patch::circle(4), corner()] {
        let own = best(patch, &[at], &w);
        for (margin, breaks) in [(0.97 * own, true), (1.03 * own, false)] {
            let model = linear(&w, margin - 0.6 * sum, SHAPE);
            for (name, steps) in [("patch-pgd", "30"), ("roa", "30"), ("patch-search", "")] {
                let mut given = vec![("place", "1,2"), ("steps", steps)];
                given.retain(|(_, value)| !value.is_empty());
                let outcome = &run(name, &given, Threat::Patch(patch), &model, &image())[0];
                assert_eq!(outcome.found, breaks, "{name} {patch} {margin}");
                for (i, value) in outcome.image.iter().enumerate() {
                    let inside = patch.elements(at, SHAPE).any(|(own, _)| own == i);
                    assert!(*value == 0.6 || inside, "{name} {patch} pixel {i}");
                }
            }
        }
    }
}

#[test]
fn a_place_outside_of_the_image_is_refused_before_anything_is_asked() {
    let (model, batch) = (linear(&slopes(), 0.0, SHAPE), image());
    for name in ["patch-pgd", "roa", "patch-search"] {
        let given = |place: &str| [("place".to_owned(), place.to_owned())].into();
        let threat = Threat::Patch(Patch::circle(4));
        for (place, fits) in [("2,2", true), ("3,2", false), ("2,3", false)] {
            let configured = configure(name, &threat, &given(place)).unwrap();
            assert_eq!(configured.search.check_shape(SHAPE).is_ok(), fits, "{name} {place}");
            let outcome = attack(&configured, &model, &batch, &Request::default());
            assert_eq!(outcome.is_ok(), fits, "{name} {place}");
        }
        assert!(configure(name, &threat, &given("above")).is_err());
        assert_eq!(configure(name, &threat, &given("any")).unwrap().parameters["place"], "any");
    }
    assert_eq!(Place::default(), Place::Any);
}

/// Every restart of `roa` is as many steps again, and none of them at another place.
#[test]
fn roa_begins_again_from_other_contents_at_its_place() {
    let (w, sum) = (slopes(), slopes().iter().sum::<f32>());
    let model = linear(&w, 30.0 - 0.6 * sum, SHAPE);
    let forwards = |restarts: &str| {
        let given = [("steps", "7"), ("stride", "1"), ("restarts", restarts)];
        let threat = Threat::Patch(Patch::rectangle(2, 2));
        let outcome = &run("roa", &given, threat, &model, &image())[0];
        assert!(!outcome.found);
        outcome.forwards
    };
    assert_eq!([forwards("1"), forwards("3")], [25 + 8, 25 + 3 * 8]);
}

/// A network that looks at two corners, of which one patch hides one.
#[test]
fn two_patches_hide_what_one_cannot() {
    let far = |i: usize| (i / 6 < 2 && i % 6 < 2) || (i / 6 > 3 && i % 6 > 3);
    let w: Vec<f32> = (0..36).map(|i| if far(i) { 1.0 } else { 0.01 }).collect();
    let (sum, one) = (w.iter().sum::<f32>(), Patch::rectangle(2, 2));
    for (margin, count, breaks) in
        [(2.3, 1, true), (2.5, 1, false), (4.7, 2, true), (4.9, 2, false), (4.7, 3, true)]
    {
        let model = linear(&w, margin - 0.6 * sum, SHAPE);
        for (name, given) in
            [("roa", vec![("stride", "1")]), ("patch-rs", vec![("queries", "4000")])]
        {
            let threat = Threat::Patch(one.times(count));
            let outcome = &run(name, &given, threat, &model, &image())[0];
            assert_eq!(outcome.found, breaks, "{name} {margin} {count}");
        }
    }
    let threat = Threat::Patch(one.times(2));
    let search = configure("patch-search", &threat, &Default::default()).unwrap().search;
    let error = search.check_shape(SHAPE).unwrap_err();
    assert!(error.hint().unwrap().contains("roa"), "{error}");
    let given = [("place".to_owned(), "0,0".to_owned())].into();
    assert!(configure("roa", &threat, &given).unwrap().search.check_shape(SHAPE).is_err());
}

/// What an image becomes depends neither on its batch nor on the order of the images, and lies inside the threat model.
#[test]
fn patches_of_any_form_are_of_the_image_alone() {
    let (model, batch) = random_network(9, true);
    let reversed: Vec<usize> = (0..9).rev().collect();
    let rows = |tensor: &Tensor| {
        let indices = Tensor::from_vec(reversed.iter().map(|i| *i as u32).collect(), 9, &Cpu);
        tensor.index_select(&indices.unwrap(), 0).unwrap()
    };
    let other = Batch {
        images: rows(&batch.images),
        labels: reversed.iter().map(|i| batch.labels[*i]).collect(),
        ids: reversed.iter().map(|i| batch.ids[*i]).collect(),
    };
    let clean = batch.images.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    for patch in [Patch::circle(4), corner(), Patch::rectangle(2, 2).times(2)] {
        let threat = Threat::Patch(patch);
        let mut broken = 0;
        for (name, given) in [
            ("patch-pgd", vec![("steps", "15"), ("restarts", "2")]),
            ("roa", vec![("steps", "15"), ("restarts", "2")]),
            ("patch-search", vec![("places", "12")]),
            ("patch-rs", vec![("queries", "60")]),
            ("random-noise", vec![]),
            ("grey", vec![]),
        ] {
            if patch.count > 1 && name == "patch-search" {
                continue;
            }
            let outcomes = run(name, &given, threat, &model, &batch);
            let mut again = run(name, &given, threat, &model, &other);
            again.reverse();
            assert_eq!(outcomes, again, "{name} {patch}");
            for (outcome, clean) in outcomes.iter().zip(clean.chunks_exact(64)) {
                assert!(threat.allows(&outcome.image, clean, [1, 8, 8]), "{name} {patch}");
                broken += usize::from(outcome.found);
            }
        }
        assert!(broken > 5, "{patch}: {broken}");
    }
}
