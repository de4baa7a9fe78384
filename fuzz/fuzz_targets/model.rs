//! Model files as they are, with their card and as bare weights of an architecture. An input that begins
//! as JSON becomes the card of a small network with weights.
#![no_main]

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::OnceLock;

use candle_core::Tensor;
use epsball::model::ModelCard;
use epsball::model::file::{Declared, load};
use epsball::zoo::{self, Fresh};
use libfuzzer_sys::fuzz_target;

#[path = "shared.rs"]
mod shared;

/// Small networks: those of `seeds.py`, whose cards fit the weights made here.
const SMALL: &[(&str, &[(&str, &str)])] = &[
    ("digits-cnn", &[]),
    ("cifar-resnet", &[("width", "2"), ("blocks", "1,2,1,1")]),
    ("wide-resnet", &[("depth", "10"), ("widen_factor", "1")]),
    ("wrn-34-r", &[("stem", "3"), ("blocks", "1,2,1"), ("widths", "4,4,2")]),
    ("imagenet-resnet", &[("blocks", "1,2,1,1"), ("width", "2"), ("groups", "2")]),
    ("pretrained-ensemble", &[("members", "2"), ("blocks", "1,2,1,1"), ("width", "2")]),
    ("vit", &[("width", "6"), ("depth", "2"), ("heads", "3"), ("patch", "8")]),
    ("convnext", &[("blocks", "1,2,1"), ("widths", "3,4,6")]),
    ("swin", &[("width", "4"), ("blocks", "2,1"), ("heads", "1,2"), ("window", "2")]),
    ("xcit", &[("width", "8"), ("depth", "2"), ("heads", "2"), ("patch", "8")]),
];

type Weights = BTreeMap<String, Tensor>;

/// Weights by architecture.
fn weights(architecture: &str) -> Option<&'static Weights> {
    static ALL: OnceLock<HashMap<&str, Weights>> = OnceLock::new();
    let all =
        ALL.get_or_init(|| SMALL.iter().map(|(name, sizes)| (*name, make(name, sizes))).collect());
    all.get(architecture)
}

fn make(name: &str, sizes: &[(&str, &str)]) -> Weights {
    let architecture = zoo::find(name).expect("an architecture of the zoo");
    let mut plan = architecture.plan();
    if name != "digits-cnn" {
        (plan.input_shape, plan.classes) = ([3, 16, 16], 3);
    }
    for (size, value) in sizes {
        plan.parameters.insert((*size).into(), value.parse().expect("a number or a list"));
    }
    let mut fresh = Fresh::new(0);
    architecture.program(&mut fresh, &plan).expect("sizes that fit together");
    fresh.variables.into_iter().map(|(name, v)| (name, v.as_tensor().clone())).collect()
}

fuzz_target!(|bytes: &[u8]| {
    if bytes.first() != Some(&b'{') {
        let path = shared::file("model.safetensors", bytes);
        read(&path, None);
        return read(&path, Some("digits-cnn"));
    }
    let card = serde_json::from_slice::<ModelCard>(bytes);
    let named = card.as_ref().ok().and_then(|card| weights(&card.architecture));
    let tensors = named.or_else(|| weights("vit")).expect("one of the list");
    let card = String::from_utf8_lossy(bytes).into_owned();
    let metadata = HashMap::from([("epsball".to_owned(), card)]);
    let file = safetensors::serialize(tensors, Some(metadata)).expect("tensors in memory");
    read(&shared::file("card.safetensors", &file), None);
});

fn read(path: &Path, architecture: Option<&str>) {
    let declared = Declared { name: None, architecture: architecture.map(str::to_owned) };
    if let Ok((network, _)) = load(path, &declared) {
        let _ = (network.summary(), network.multiply_adds(), network.neutral());
    }
}
