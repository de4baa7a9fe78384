//! Data sets that robustness is usually reported on: where they come from, what they may be used for, and
//! how to bring each into a form that [`super::open`] reads. What is on the Hugging Face Hub is fetched by
//! opening it, and held to the hash that stands here; epsball downloads nothing else.

use serde::Serialize;

use crate::hub::Reference;

/// One data set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Known {
    /// Its usual name.
    pub name: &'static str,
    /// Test images, and `C x H x W`.
    pub images: &'static str,
    /// The page it comes from.
    pub source: &'static str,
    /// Terms, as that page states them.
    pub licence: &'static str,
    /// The file that is opened, with its exact size in bytes where the format fixes it.
    pub file: &'static str,
    /// Bytes of that file, 0 if they are not fixed.
    pub bytes: u64,
    /// SHA-256 of that file, empty where no trustworthy source states it.
    pub sha256: &'static str,
    /// Shell commands that fetch and unpack it; none for what comes with the program.
    pub prepare: &'static str,
    /// What to say after `--data`.
    pub open: &'static str,
}

/// What an entry leaves open.
const EMPTY: Known = Known {
    name: "",
    images: "",
    source: "",
    licence: "",
    file: "",
    bytes: 0,
    sha256: "",
    prepare: "",
    open: "",
};

/// All of them, small ones first.
pub const CATALOGUE: &[Known] = &[
    Known {
        name: "digits",
        images: "360, 1 x 8 x 8",
        source: "https://doi.org/10.24432/C50P49",
        licence: "CC BY 4.0",
        file: "images.npy, in the program",
        bytes: 115_136,
        sha256: "88e52eb3e11cb9cc0130dc8fc4b6256aa919b3275fec17e6c2f880e1ae8d34ae",
        open: "digits",
        ..EMPTY
    },
    Known {
        name: "MNIST",
        images: "10,000, 1 x 28 x 28",
        source: "https://ossci-datasets.s3.amazonaws.com/mnist/",
        licence: "not stated there",
        file: "t10k-images-idx3-ubyte.gz",
        bytes: 1_648_877,
        sha256: "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        prepare: "curl -O https://ossci-datasets.s3.amazonaws.com/mnist/t10k-images-idx3-ubyte.gz \
                  -O https://ossci-datasets.s3.amazonaws.com/mnist/t10k-labels-idx1-ubyte.gz",
        open: "idx:t10k-images-idx3-ubyte.gz",
    },
    Known {
        name: "Fashion-MNIST",
        images: "10,000, 1 x 28 x 28",
        source: "https://github.com/zalandoresearch/fashion-mnist",
        licence: "MIT",
        file: "t10k-images-idx3-ubyte, unpacked",
        bytes: 16 + 10_000 * 784,
        prepare: "git clone --depth 1 https://github.com/zalandoresearch/fashion-mnist",
        open: "idx:fashion-mnist/data/fashion/t10k-images-idx3-ubyte.gz",
        ..EMPTY
    },
    Known {
        name: "SVHN",
        images: "26,032, 3 x 32 x 32",
        source: "http://ufldl.stanford.edu/housenumbers/",
        licence: "non-commercial use only",
        file: "test_32x32.mat",
        prepare: "curl -O http://ufldl.stanford.edu/housenumbers/test_32x32.mat",
        open: "svhn:test_32x32.mat",
        ..EMPTY
    },
    Known {
        name: "CIFAR-10",
        images: "10,000, 3 x 32 x 32",
        source: "https://www.cs.toronto.edu/~kriz/cifar.html",
        licence: "not stated there",
        file: "cifar-10-batches-bin/test_batch.bin",
        bytes: 10_000 * 3073,
        prepare: "curl -O https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz && tar xzf \
                  cifar-10-binary.tar.gz",
        open: "cifar10:cifar-10-batches-bin",
        ..EMPTY
    },
    Known {
        name: "CIFAR-10, hub",
        images: "10,000, 3 x 32 x 32",
        source: "https://huggingface.co/datasets/uoft-cs/cifar10",
        licence: "not stated there",
        file: "test-00000-of-00001.parquet",
        prepare: "curl -LO https://huggingface.co/datasets/uoft-cs/cifar10/resolve/main/plain_text/\
                  test-00000-of-00001.parquet",
        open: "parquet:test-00000-of-00001.parquet",
        ..EMPTY
    },
    Known {
        name: "CIFAR-100",
        images: "10,000, 3 x 32 x 32",
        source: "https://www.cs.toronto.edu/~kriz/cifar.html",
        licence: "not stated there",
        file: "cifar-100-binary/test.bin",
        bytes: 10_000 * 3074,
        prepare: "curl -O https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz && tar xzf \
                  cifar-100-binary.tar.gz",
        open: "cifar100:cifar-100-binary",
        ..EMPTY
    },
    Known {
        name: "CIFAR-10.1",
        images: "2,000, 3 x 32 x 32",
        source: "https://github.com/modestyachts/CIFAR-10.1",
        licence: "MIT",
        file: "datasets/cifar10.1_v6_data.npy",
        prepare: "git clone --depth 1 https://github.com/modestyachts/CIFAR-10.1",
        open: "npy:CIFAR-10.1/datasets/cifar10.1_v6_data.npy",
        ..EMPTY
    },
    Known {
        name: "CIFAR-10-C",
        images: "75 x 10,000, 3 x 32 x 32",
        source: "https://zenodo.org/records/2535967",
        licence: "CC BY 4.0",
        file: "CIFAR-10-C/CORRUPTION.npy",
        bytes: 128 + 50_000 * 3072,
        prepare: "curl -LO https://zenodo.org/records/2535967/files/CIFAR-10-C.tar && tar xf \
                  CIFAR-10-C.tar",
        open: "cifar-c:CIFAR-10-C,fog,3",
        ..EMPTY
    },
    Known {
        name: "CIFAR-100-C",
        images: "75 x 10,000, 3 x 32 x 32",
        source: "https://zenodo.org/records/3555552",
        licence: "CC BY 4.0",
        file: "CIFAR-100-C/CORRUPTION.npy",
        bytes: 128 + 50_000 * 3072,
        prepare: "curl -LO https://zenodo.org/records/3555552/files/CIFAR-100-C.tar && tar xf \
                  CIFAR-100-C.tar",
        open: "cifar-c:CIFAR-100-C,fog,3",
        ..EMPTY
    },
    Known {
        name: "ImageNet",
        images: "50,000, cropped to 3 x 224 x 224",
        source: "https://image-net.org/download.php",
        licence: "terms of access, non-commercial research",
        file: "val/CLASS/ILSVRC2012_val_*.JPEG",
        prepare: "sign up there for the validation images, and unpack them into val/CLASS/ as \
                  https://github.com/soumith/imagenetloader.torch shows",
        open: "imagenet:val,Res256Crop224",
        ..EMPTY
    },
    Known {
        name: "ImageNet-C",
        images: "75 x 50,000, 3 x 224 x 224",
        source: "https://zenodo.org/records/2235448",
        licence: "CC BY 4.0",
        file: "CORRUPTION/SEVERITY/CLASS/ILSVRC2012_val_*.JPEG",
        prepare: "for part in blur digital noise weather; do curl -LO \
                  https://zenodo.org/records/2235448/files/$part.tar && tar xf $part.tar; done",
        open: "imagenet:fog/3,Res224",
        ..EMPTY
    },
    Known {
        name: "MedMNIST",
        images: "several",
        source: "https://medmnist.com",
        licence: "CC BY 4.0, for most of its sets",
        file: "FILE.npz",
        prepare: "download the npz file of a set from there",
        open: "npz:FILE.npz",
        ..EMPTY
    },
];

/// `reference`, held to the hash of the entry whose file it is, unless it brings a hash of its own.
pub(super) fn pinned(mut reference: Reference, catalogue: &[Known]) -> Reference {
    let name = reference.to_string();
    let same = |known: &&Known| {
        let files = known.open.find("hf:").map_or("", |at| &known.open[at..]);
        !known.sha256.is_empty() && files.split([',', '#']).next() == Some(name.as_str())
    };
    if let (None, Some(known)) = (&reference.sha256, catalogue.iter().find(same)) {
        reference.sha256 = Some(known.sha256.into());
    }
    reference
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::Kind;

    #[test]
    fn every_entry_is_complete_and_in_the_readme() {
        let readme = include_str!("../../../../datasets/README.md");
        for known in CATALOGUE {
            for text in [known.name, known.images, known.source, known.licence, known.file] {
                assert!(!text.is_empty(), "{}", known.name);
            }
            assert!(known.source.starts_with("http"), "{}", known.name);
            assert_eq!(known.prepare.is_empty(), known.name == "digits");
            assert!(known.sha256.is_empty() || known.sha256.len() == 64, "{}", known.name);
            assert!(readme.contains(&format!("`{}`", known.open)), "{} is not there", known.open);
            let (format, _) = known.open.split_once(':').unwrap_or((known.open, ""));
            assert!(super::super::FORMATS.iter().any(|f| f.name == format), "{}", known.open);
        }
    }

    /// The one set at hand.
    #[test]
    fn size_and_hash_are_those_of_the_file() {
        let file = include_bytes!("../../../../datasets/digits/images.npy");
        assert_eq!(CATALOGUE[0].bytes, file.len() as u64);
        assert_eq!(CATALOGUE[0].sha256, super::super::source::sha256(file));
    }

    #[test]
    fn files_of_the_hub_are_held_to_the_hash_of_the_catalogue() {
        let (ours, theirs) = ("a".repeat(64), "b".repeat(64));
        let own = format!("hf:owner/set/x.npz#{theirs}");
        let known = |open, sha256| Known { open, sha256, ..EMPTY };
        let listed: &'static str = ours.clone().leak();
        for open in
            ["npz:hf:owner/set/x.npz", "hf:owner/set/x.npz", "idx:hf:owner/set/x.npz,hf:a/b/c"]
        {
            let catalogue =
                [known("idx:y", "c"), known("hf:owner/set/x.npz", ""), known(open, listed)];
            for (text, hash) in [
                ("hf:owner/set/x.npz", Some(&ours)),
                (own.as_str(), Some(&theirs)),
                ("hf:owner/set@v2/x.npz", None),
                ("hf:owner/set/x.np", None),
                ("hf:a/b/c", None),
            ] {
                let reference = Reference::parse(text, Kind::Dataset).unwrap().unwrap();
                assert_eq!(pinned(reference, &catalogue).sha256.as_ref(), hash, "{text}");
            }
        }
    }
}
