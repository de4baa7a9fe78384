//! Which images are shown, and that their pictures are those images.

use image::GenericImageView as _;

use super::picture::{difference, png};
use super::wall::choose;
use super::*;

/// A row of an image that was broken at a distance, or, without, was not.
fn row(idx: u64, distance: Option<f64>, passes: u64) -> AttackRow {
    let found = distance.is_some();
    let length = distance.unwrap_or(f64::INFINITY);
    AttackRow {
        idx,
        image: String::new(),
        label: 3,
        clean: 3,
        target: None,
        by: String::new(),
        prediction: if found { 5 } else { 3 },
        found: u8::from(found),
        distance: length,
        linf: length,
        l2: length,
        l1: length,
        l0: 1,
        features: None,
        height: 1,
        width: 1,
        top: None,
        left: None,
        adversarial: String::new(),
        found_8bit: u8::from(found),
        forwards: passes,
        backwards: 0,
        unconfirmed: None,
        reference: None,
        seconds: 0.0,
    }
}

#[test]
fn the_closest_the_median_and_the_hardest_are_chosen() {
    let distances = [0.5, 0.1, 0.3, 0.2, 0.4, 0.6, 0.7];
    let mut rows: Vec<AttackRow> =
        (0..).zip(distances).map(|(idx, distance)| row(idx, Some(distance), 10 * idx)).collect();
    rows.push(row(7, None, 1000));
    let of = |each| {
        let chosen = choose(&rows, each, false).into_iter();
        chosen.map(|(at, rank)| (rank, distances[at])).collect::<Vec<_>>()
    };
    use Rank::{Closest, Hardest, Median};
    assert_eq!(of(1), [(Closest, 0.1), (Median, 0.4), (Hardest, 0.7)]);
    assert_eq!(
        of(2),
        [
            (Closest, 0.1),
            (Closest, 0.2),
            (Median, 0.3),
            (Median, 0.4),
            (Hardest, 0.7),
            (Hardest, 0.6)
        ]
    );
    // Attacks that minimise the distance spend the same on every image: the farthest are the hardest.
    let minimal = choose(&rows[..3], 1, true).into_iter().map(|(at, rank)| (rank, distances[at]));
    assert_eq!(minimal.collect::<Vec<_>>(), [(Closest, 0.1), (Median, 0.3), (Hardest, 0.5)]);
    // Of those that took as many passes as each other too.
    let equal: Vec<AttackRow> = distances.iter().map(|d| row(0, Some(*d), 9)).collect();
    assert_eq!(choose(&equal, 1, false)[2], (6, Hardest));
    // Each once, and none that was not broken.
    assert_eq!(of(100).len(), 7);
    assert_eq!(choose(&rows[7..], 3, false), []);
    assert_eq!(choose(&[], 3, false), []);
}

#[test]
fn broken_images_are_counted_by_what_they_are_taken_for() {
    let other = |idx: u64, label: u32, to: u32, distance: Option<f64>| {
        let prediction = if distance.is_some() { to } else { label };
        AttackRow { label, clean: label, prediction, ..row(idx, distance, 10) }
    };
    let rows = [
        row(0, Some(0.1), 10),
        row(1, Some(0.3), 10),
        other(2, 5, 7, Some(0.1)),
        other(3, 7, 5, None),
        // Of a misclassified image nothing is broken.
        AttackRow { clean: 8, prediction: 8, ..row(4, Some(0.0), 0) },
    ];
    let within = |eps| Confusion::of(&crate::results::Region::new("Linf", Some(eps)), &rows);
    let confusion = within(0.2).unwrap();
    assert_eq!(confusion.classes, [3, 5, 7]);
    assert_eq!(confusion.counts, [[0, 1, 0], [0, 0, 1], [0, 0, 0]]);
    assert_eq!(confusion.attacked, [2, 1, 1]);
    assert_eq!(confusion.lines()[0], (3, 2, 1, vec![String::new(), "1".into(), String::new()]));
    assert_eq!(within(0.05), None);
}

#[test]
fn a_picture_is_its_image_pixel_for_pixel() {
    for (channels, side, by) in [(3, 5, 22), (1, 112, 1), (1, 200, 1), (4, 8, 14)] {
        let pixels: Vec<f32> =
            (0..channels * side * side).map(|i| (i % 256) as f32 / 255.0).collect();
        let file = png(&pixels, [channels, side, side]).unwrap();
        let picture = image::load_from_memory(&file).unwrap();
        assert_eq!(picture.dimensions(), ((side * by) as u32, (side * by) as u32));
        let at = |channel: usize, row: usize, column: usize| {
            let channel = if channels == 3 { channel } else { 0 };
            ((channel * side + row) * side + column) % 256
        };
        for (row, column) in [(0, 0), (0, side - 1), (side / 2, 1), (side - 1, side - 1)] {
            let got = picture.get_pixel((column * by) as u32, (row * by) as u32).0;
            let want = [0, 1, 2].map(|channel| at(channel, row, column) as u8);
            assert_eq!(got[..3], want, "{channels} {side}: {row} {column}");
        }
    }
}

#[test]
fn a_change_is_magnified_as_far_as_it_goes() {
    for (change, factor) in [(0.03_f32, 16.0), (0.5, 1.0), (0.9, 0.5 / 0.9), (0.0, 1.0)] {
        let (between, by) = difference(&[0.05 + change, 0.2], &[0.05, 0.2]);
        assert!((by - factor).abs() < 1e-5, "{change}: {by}");
        assert!((between[0] - (0.5 + by * change)).abs() < 1e-5 && between[1] == 0.5);
        assert!((0.0..=1.0001).contains(&between[0]));
    }
}
