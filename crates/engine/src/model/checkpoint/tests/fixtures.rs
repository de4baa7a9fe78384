//! The bundled checkpoint files: one tiny network (conv1, bn1, conv2, fc) as PyTorch 2 writes it in
//! both formats, views of shared storage, and a file that tries to run a command.

use super::super::read_set;
use super::*;

#[test]
fn both_formats_hold_the_reference_weights() {
    // The reference also holds an input and its logits.
    let mut expected = read_set(&fixture("expected.safetensors"), None).unwrap();
    expected.tensors.retain(|name, _| !name.starts_with("__"));
    for (file, format) in [
        ("bare_state_dict.pt", "PyTorch checkpoint (zip)"),
        ("legacy_not_zip.pt", "PyTorch checkpoint (stream, before 1.6)"),
    ] {
        let checkpoint = read(&fixture(file)).unwrap();
        assert_eq!(checkpoint.format, format);
        let set = chosen(&checkpoint);
        assert_same(set, &expected);
        assert!(set.warnings.is_empty() && set.stripped_prefix.is_empty() && set.name.is_empty());
    }
}

#[test]
fn views_of_one_storage_are_gathered_in_row_major_order() {
    // Digests of the values as PyTorch's `contiguous()` lays them out.
    let set = read_set(&fixture("views_shared_storage.pt"), None).unwrap();
    for (name, shape, digest) in VIEWS {
        let tensor = &set.tensors[name];
        assert_eq!(tensor.dims(), shape, "{name}");
        assert_eq!(sha256(&bytes(tensor))[..16], *digest, "{name}");
    }
    assert_eq!(set.tensors.len(), VIEWS.len());
}

#[test]
fn a_command_in_a_checkpoint_is_named_and_not_run() {
    let error = words(&read(&fixture("malicious_reduce.pt")).unwrap_err());
    for part in ["malicious_reduce.pt", "`posix.system`", "nothing was executed", "trust"] {
        assert!(error.contains(part), "`{part}` is not in: {error}");
    }
}

/// Name, shape and first half of the SHA-256 of the little-endian values.
const VIEWS: [(&str, &[usize], &str); 9] = [
    ("a.transposed", &[6, 4], "102aff2407b79c45"),
    ("b.offset_slice", &[3, 4], "231333714d9ad59f"),
    ("c.strided", &[4, 5], "fcae0c7849e13598"),
    ("d.expanded", &[3, 5], "4ab64034e9688fb2"),
    ("e.channels_last", &[2, 3, 4, 5], "21f8e0cae5c6bfd1"),
    ("f.same_storage_again", &[12], "231333714d9ad59f"),
    ("g.scalar", &[], "5d83f4fa8bd01014"),
    ("h.empty", &[0, 3], "e3b0c44298fc1c14"),
    ("i.whole", &[200], "ab1fe0dd33aa2d0f"),
];
