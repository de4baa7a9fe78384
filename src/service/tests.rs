//! What stands in an address, a description and an answer.

use super::answer::read;
use super::client::Answer;
use super::*;

const LOGITS: &str = r#"{"shape": [1, 2, 2], "classes": 3, "answers": "logits"}"#;

fn card(answers: &str) -> Card {
    Card::parse(LOGITS.replace("logits", answers).as_bytes(), "test").unwrap()
}

fn json(text: &str, answers: &str, count: usize) -> Result<Vec<f32>, String> {
    read(&Answer { is_raw: false, bytes: text.into() }, &card(answers), count)
}

#[test]
fn addresses_are_told_from_files_and_have_names() {
    for (address, name) in [
        ("http://127.0.0.1:8000/predict", "predict"),
        ("HTTP://host:1/models/mine/?key=1", "mine"),
        ("http://host.of.mine:8000", "host.of.mine"),
        ("https://host/", "host"),
    ] {
        assert!(is_address(address), "{address}");
        assert_eq!(stem(address), name);
    }
    for file in ["model.onnx", "bundled:digits-trades", "hf:a/b", "http.onnx", "ftp://host/x"] {
        assert!(!is_address(file), "{file}");
    }
    for address in ["http://", "http:///x", "http://a b/", "http://user@host/"] {
        assert!(Client::new(address, &ServiceForm::default()).is_err(), "{address}");
    }
    let https = Client::new("https://host/", &ServiceForm::default());
    assert_eq!(https.is_ok(), cfg!(feature = "hub"));
}

#[test]
fn a_description_is_one_however_it_is_written() {
    let one = card("logits");
    let other = r#"{ "answers":"logits", "classes":3,
        "shape":[1,2,2]}"#;
    assert_eq!(Card::parse(other.as_bytes(), "test").unwrap(), one);
    // What is not understood counts too: the owner says by it that the network is another one.
    for more in [r#""weights": {"b": 1, "a": 2}"#, r#""weights": {"a": 1, "b": 2}"#] {
        let text = LOGITS.replace('}', &format!(", {more}}}"));
        assert_ne!(Card::parse(text.as_bytes(), "test").unwrap().digest, one.digest);
    }
    let digest = |text: &str| Card::parse(text.as_bytes(), "test").unwrap().digest;
    let [a, b] = [r#"{"b": 1, "a": 2}"#, r#"{"a": 2, "b": 1}"#]
        .map(|more| LOGITS.replace('}', &format!(", \"x\": {more}}}")));
    assert_eq!(digest(&a), digest(&b));
}

#[test]
fn answers_become_logits() {
    assert_eq!(json(r#"{"logits": [[1, -2.5, 3e2]]}"#, "logits", 1).unwrap(), [1.0, -2.5, 300.0]);
    let p = json(r#"{"probabilities": [[0.25, 0.75, 0.0]]}"#, "probabilities", 1).unwrap();
    assert_eq!(p[..2], [0.25_f32.ln(), 0.75_f32.ln()]);
    assert!(p[2].is_finite() && p[2] < -80.0, "{p:?}");
    let hot = json(r#"{"classes": [2, 0]}"#, "classes", 2).unwrap();
    assert_eq!(hot, [-1.0, -1.0, 0.0, 0.0, -1.0, -1.0]);
    let raw = |numbers: &[f32], answers: &str, count| {
        let bytes = numbers.iter().flat_map(|v| v.to_le_bytes()).collect();
        read(&Answer { is_raw: true, bytes }, &card(answers), count)
    };
    assert_eq!(raw(&[0.5, -1.0, 2.0], "logits", 1).unwrap(), [0.5, -1.0, 2.0]);
    for (found, problem) in [
        (raw(&[0.5, -1.0], "logits", 1), "answers 8 bytes to 1 images, 12 are expected"),
        (raw(&[0.5, f32::INFINITY, 1.0], "logits", 1), "answers inf for image 0 of 1"),
        (raw(&[0.0; 3], "classes", 1), "answers numbers, and its description says classes"),
        (json(r#"{"classes": [3]}"#, "classes", 1), "answers class 3 of 3"),
        (
            json(r#"{"classes": [1]}"#, "classes", 2),
            "answers classes of 1 images, 2 were asked about",
        ),
        (
            json(r#"{"probabilities": [[1.2, 0, 0]]}"#, "probabilities", 1),
            "answers 1.2, which is no",
        ),
        (json(r#"{"probabilities": [[1, 0, 0]]}"#, "logits", 1), "its answer has no `logits`"),
        (json(r#"{"logits": [[1, 2, 1e300]]}"#, "logits", 1), "answers inf for image 0"),
    ] {
        let error = found.unwrap_err();
        assert!(error.starts_with(problem), "{error}");
    }
}
