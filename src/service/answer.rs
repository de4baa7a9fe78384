//! What a service answers, as logits: probabilities become their logarithms, and a class becomes the largest of logits
//! that are otherwise alike.

use serde::Deserialize;

use super::card::{Answers, Card};
use super::client::Answer;

/// What to do about an answer that cannot be read.
pub(super) const REMEDY: &str = "answer each image of the request with what the service's description says, in order: \
                                 {\"logits\": [[..], ..]}, {\"probabilities\": [[..], ..]}, {\"classes\": [..]}, or the \
                                 logits as little-endian f32, all finite";

/// By how much a probability may lie outside [0, 1] for rounding.
const TOLERANCE: f32 = 1e-3;

#[derive(Deserialize)]
struct Fields {
    logits: Option<Vec<Vec<f32>>>,
    probabilities: Option<Vec<Vec<f32>>>,
    classes: Option<Vec<u32>>,
}

/// Logits `[N, K]` of the answer to `count` images.
///
/// # Errors
/// With what is wrong with it.
pub(super) fn read(answer: &Answer, card: &Card, count: usize) -> Result<Vec<f32>, String> {
    let numbers = match (answer.is_raw, card.answers) {
        (true, Answers::Classes) => {
            return Err("answers numbers, and its description says classes".into());
        }
        (true, _) => raw(&answer.bytes, card, count)?,
        (false, _) => match json(&answer.bytes, card, count)? {
            Told::Classes(classes) => return one_hot(&classes, card),
            Told::Numbers(numbers) => numbers,
        },
    };
    if let Some(at) = numbers.iter().position(|value| !value.is_finite()) {
        let image = at / card.classes;
        return Err(format!("answers {} for image {image} of {count}", numbers[at]));
    }
    match card.answers {
        Answers::Probabilities => logarithms(&numbers),
        _ => Ok(numbers),
    }
}

/// The numbers of a body of little-endian f32.
fn raw(bytes: &[u8], card: &Card, count: usize) -> Result<Vec<f32>, String> {
    let expected = count * card.classes * size_of::<f32>();
    if bytes.len() != expected {
        let found = bytes.len();
        return Err(format!("answers {found} bytes to {count} images, {expected} are expected"));
    }
    let (numbers, _) = bytes.as_chunks();
    Ok(numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
}

enum Told {
    Numbers(Vec<f32>),
    Classes(Vec<u32>),
}

fn json(bytes: &[u8], card: &Card, count: usize) -> Result<Told, String> {
    let Fields { logits, probabilities, classes } = serde_json::from_slice(bytes)
        .map_err(|error| format!("its answer cannot be read as JSON: {error}"))?;
    let name = card.answers.name();
    let of = |rows: usize| match rows == count {
        true => Ok(()),
        false => Err(format!("answers {name} of {rows} images, {count} were asked about")),
    };
    let rows = match card.answers {
        Answers::Classes => {
            let classes = classes.ok_or_else(|| format!("its answer has no `{name}`"))?;
            return of(classes.len()).map(|()| Told::Classes(classes));
        }
        Answers::Logits => logits,
        Answers::Probabilities => probabilities,
    };
    let rows = rows.ok_or_else(|| format!("its answer has no `{name}`"))?;
    of(rows.len())?;
    if let Some(row) = rows.iter().find(|row| row.len() != card.classes) {
        return Err(format!("answers {} {name} of an image, it has {}", row.len(), card.classes));
    }
    Ok(Told::Numbers(rows.concat()))
}

/// Logits of which the softmax are these probabilities; one that was rounded to 0 is the smallest normal f32.
fn logarithms(probabilities: &[f32]) -> Result<Vec<f32>, String> {
    let of = |p: &f32| match (-TOLERANCE..=1.0 + TOLERANCE).contains(p) {
        true => Ok(p.max(f32::MIN_POSITIVE).ln()),
        false => Err(format!("answers {p}, which is no probability")),
    };
    probabilities.iter().map(of).collect()
}

/// 0 for the class and -1 for the others: 1 and 0 would look like probabilities.
fn one_hot(classes: &[u32], card: &Card) -> Result<Vec<f32>, String> {
    let mut logits = vec![-1.0; classes.len() * card.classes];
    for (class, row) in classes.iter().zip(logits.chunks_exact_mut(card.classes)) {
        let own = row.get_mut(*class as usize);
        *own.ok_or_else(|| format!("answers class {class} of {}", card.classes))? = 0.0;
    }
    Ok(logits)
}
