//! The architectures of torchvision at their real sizes against torchvision itself, with random weights:
//! `scripts/torchvision.sh` records what it answers and runs this.

use std::collections::BTreeMap;
use std::path::PathBuf;

use candle_core::{DType, Device, Tensor};
use epsball::loss::Loss;
use epsball::model::file::{Declared, load};
use epsball::zoo;

use super::zoo::{assert_agree, flat};

#[test]
#[ignore = "needs recordings of torchvision, which scripts/torchvision.sh makes"]
fn torchvision_architectures_give_its_logits_and_gradients() {
    let folder = std::env::var_os("EPSBALL_TORCHVISION").map(PathBuf::from);
    assert!(folder.is_some(), "run scripts/torchvision.sh, which sets EPSBALL_TORCHVISION");
    let folder = folder.unwrap();
    let files = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let mut weights: Vec<PathBuf> =
        files.filter(|file| file.extension().is_some_and(|e| e == "safetensors")).collect();
    weights.sort();
    assert!(!weights.is_empty(), "{} has no recordings", folder.display());
    for file in weights {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let tensors: BTreeMap<_, _> =
            candle_core::safetensors::load(&file, &Device::Cpu).unwrap().into_iter().collect();
        let found = zoo::recognise(&tensors, None);
        assert_eq!(found.len(), 1, "{name}: {found:?}");
        let declared = Declared {
            architecture: Some(found[0].architecture.name.into()),
            ..Declared::default()
        };
        let (network, _) = load(&file, &declared).unwrap();
        let recorded: BTreeMap<_, _> = candle_core::safetensors::load(
            folder.join(&name).with_extension("recorded"),
            &Device::Cpu,
        )
        .unwrap()
        .into_iter()
        .collect();
        let labels = recorded["__y"].to_dtype(DType::U32).unwrap().to_vec1().unwrap();
        let cotangent =
            |logits: &Tensor| Loss::CrossEntropy.evaluate(logits, &labels, None).unwrap().cotangent;
        let limits = flat(&recorded["__limits"]);
        assert_agree(&name, &network, &recorded, &cotangent, (limits[0], limits[1]));
    }
}
