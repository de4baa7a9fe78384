//! Rows in the computer's memory; those on a GPU are tested in `cuda::tests`.

use super::*;

fn rows(shape: &[usize], numbers: &[f32]) -> Rows {
    Rows::new(&Location::default(), shape, numbers.to_vec()).unwrap()
}

#[test]
fn a_closure_sees_the_same_row_of_every_batch() {
    let x = rows(&[3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let (factor, shared) =
        (rows(&[3], &[1.0, 10.0, 100.0]), Rows::for_all(&Location::default(), vec![0.5]).unwrap());
    let y = map(Kernel::NONE, [&x, &factor, &shared], |row, [x, factor, shared], y| {
        y[0] = x[0] * factor[0] + shared[0];
        y[1] = row as f32;
    });
    let y = y.unwrap();
    assert_eq!((y.shape(), y.width()), ([3, 2].as_slice(), 2));
    assert_eq!(**y.values().unwrap(), [1.5, 0.0, 30.5, 1.0, 500.5, 2.0]);
    let sums = map_to(Kernel::NONE, &[], [&y], |_, [y], sum| sum[0] = y[0] + y[1]).unwrap();
    assert_eq!((sums.shape(), sums.width()), ([3].as_slice(), 1));
    assert_eq!(**sums.values().unwrap(), [1.5, 31.5, 502.5]);
}

#[test]
fn what_is_shared_stays_as_it_was_when_one_is_written_to() {
    let mut x = rows(&[2, 1], &[1.0, 2.0]);
    let before = x.clone();
    let mut count = rows(&[2], &[0.0, 0.0]);
    update(Kernel::NONE, [&mut x, &mut count], [&before], |row, [x, count], [before]| {
        x[0] = -before[0];
        count[0] += row as f32;
    })
    .unwrap();
    assert_eq!(**x.values().unwrap(), [-1.0, -2.0]);
    assert_eq!(**count.values().unwrap(), [0.0, 1.0]);
    assert_eq!(**before.values().unwrap(), [1.0, 2.0]);
}

#[test]
fn many_rows_are_worked_on_by_many_threads_to_the_same_end() {
    let numbers: Vec<f32> = (0..40_000).map(|i| i as f32).collect();
    let x = rows(&[400, 100], &numbers);
    let y = map(Kernel::NONE, [&x], |row, [x], y| {
        y.iter_mut().zip(x).for_each(|(y, x)| *y = x - row as f32);
    });
    let y = y.unwrap().values().unwrap();
    assert!(numbers.iter().zip(&*y).enumerate().all(|(i, (x, y))| *y == x - (i / 100) as f32));
}

#[test]
fn rows_are_chosen_and_turned_into_tensors_and_classes() {
    let x = rows(&[3, 1, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let chosen = x.select(&[2, 0, 2]).unwrap();
    assert_eq!(chosen.shape(), [3, 1, 2]);
    assert_eq!(**chosen.values().unwrap(), [5.0, 6.0, 1.0, 2.0, 5.0, 6.0]);
    let none = x.select(&[]).unwrap();
    assert!(none.is_empty() && none.tensor().unwrap().dims() == [0, 1, 2]);
    let again = Rows::of_tensor(&x.tensor().unwrap()).unwrap();
    assert_eq!((again.shape(), again.values().unwrap()), (x.shape(), x.values().unwrap()));
    let classes = Rows::classes(&Location::default(), &[0, 999, 7]).unwrap();
    assert_eq!(classes.to_classes().unwrap(), [0, 999, 7]);
}

#[test]
fn what_is_left_out_is_an_empty_row_whatever_becomes_of_the_others() {
    let x = rows(&[3, 1], &[1.0, 2.0, 3.0]);
    let none = Rows::none(&Location::default()).unwrap();
    assert!(none.given().is_none() && x.given().is_some());
    let lengths = |x: &Rows, none: &Rows| {
        map(Kernel::NONE, [x, none], |_, [x, none], y| y[0] = x[0] + none.len() as f32).unwrap()
    };
    assert_eq!(**lengths(&x, &none).values().unwrap(), [1.0, 2.0, 3.0]);
    let second = map_to(Kernel::NONE, &[], [&none, &x], |_, [_, x], y| y[0] = x[0]).unwrap();
    assert_eq!(**second.values().unwrap(), [1.0, 2.0, 3.0]);
    let (x, none) = (x.select(&[2, 1]).unwrap(), none.select(&[2, 1]).unwrap());
    assert_eq!(**lengths(&x, &none).values().unwrap(), [3.0, 2.0]);
    assert!(none.given().is_none());
}

#[test]
fn a_batch_that_was_not_shrunk_with_the_others_is_refused() {
    let (mut x, short) = (rows(&[3, 2], &[0.0; 6]), rows(&[2, 2], &[0.0; 4]));
    let error = map(Kernel::NONE, [&x, &short], |_, _, _| {}).unwrap_err();
    assert!(error.to_string().contains("a batch has 2 rows, the others 3"), "{error}");
    let mut losses = rows(&[2], &[0.0; 2]);
    let (outputs, inputs) = ([&mut x, &mut losses], [&rows(&[1, 2], &[0.0; 2])]);
    assert!(update(Kernel::NONE, outputs, inputs, |_, _, _| {}).is_err());
    // One row is for all if it says so, and none is for nobody.
    let here = Location::default();
    let (none, last) = (Rows::none(&here).unwrap(), rows(&[1], &[1.0]));
    assert!(map(Kernel::NONE, [&x, &last], |_, _, _| {}).is_err());
    let one = Rows::for_all(&here, vec![1.0]).unwrap();
    map(Kernel::NONE, [&x, &one, &none], |_, [_, one, none], y| {
        assert!(none.is_empty());
        y.fill(one[0]);
    })
    .unwrap();
}
