//! The wrappers that a network was in when it was saved show as prefixes of its keys: `module.` of
//! DataParallel and of averaged weights, `model.` of a normalising wrapper or of Lightning, `1.` of
//! `Sequential(normalise, network)`. They are removed here, and only as prefixes that the weights share:
//! cutting wherever the word occurs, as RobustBench does, damages names such as `submodel.weight`. Only
//! what torch.compile, FSDP and checkpointing put into keys is no name of anybody's and is cut anywhere.

use std::collections::HashSet;

/// Prefixes that stem from wrappers and not from a network.
const WRAPPERS: [&str; 6] = ["module.", "model.", "net.", "network.", "_forward_module.", "1."];

/// What compilers and shards put into keys, in front of any part of a network.
const ANYWHERE: [&str; 3] = ["_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module."];

/// The most wrappers around each other.
const DEEPEST: usize = 8;

/// How the constants of an input normalisation are called; they lie outside of what the wrapper
/// around the network adds to its keys.
const NORMALISATION: [&str; 9] =
    ["mean", "std", "mu", "sigma", "means", "stds", "sds", "new_mean", "new_std"];

/// Keys beside a network that are no weights of it: the counter of averaged weights
/// (`torch.optim.swa_utils.AveragedModel`), and the second copy of network and normalisation that MadryLab's
/// `AttackerModel` keeps in its attacker.
pub(super) fn is_beside(name: &str) -> bool {
    let mut inner = name;
    let wrappers = WRAPPERS.iter().chain(&ANYWHERE);
    while let Some(rest) = wrappers.clone().find_map(|wrapper| inner.strip_prefix(wrapper)) {
        inner = rest;
    }
    inner == "n_averaged" || inner.starts_with("attacker.")
}

/// Removes the prefixes of wrappers from `names`; returns them outermost first, joined.
pub(super) fn strip(names: &mut [String]) -> String {
    let mut stripped = String::new();
    for part in ANYWHERE {
        let cut: Vec<String> = names.iter().map(|name| name.replace(part, "")).collect();
        let distinct: HashSet<&String> = cut.iter().collect();
        if cut != names && distinct.len() == cut.len() && cut.iter().all(|name| !name.is_empty()) {
            stripped.push_str(part);
            names.clone_from_slice(&cut);
        }
    }
    for _ in 0..DEEPEST {
        let Some(wrapper) = WRAPPERS.iter().find(|wrapper| wraps(names, wrapper)) else { break };
        for name in names.iter_mut() {
            if let Some(rest) = name.strip_prefix(wrapper) {
                *name = rest.to_owned();
            }
        }
        stripped.push_str(wrapper);
    }
    stripped
}

/// Whether all weights, constants of a normalisation excepted, carry the prefix and would still have
/// distinct names without it.
fn wraps(names: &[String], wrapper: &str) -> bool {
    let mut wrapped = 0;
    for name in names {
        match name.strip_prefix(wrapper) {
            // `1.weight` is the second layer of a Sequential, not a layer of its second part.
            Some(rest) if rest.is_empty() || (wrapper == "1." && !rest.contains('.')) => {
                return false;
            }
            Some(_) => wrapped += 1,
            None if is_normalisation(name) => {}
            None => return false,
        }
    }
    let distinct: HashSet<&str> =
        names.iter().map(|name| name.strip_prefix(wrapper).unwrap_or(name)).collect();
    wrapped > 0 && distinct.len() == names.len()
}

fn is_normalisation(name: &str) -> bool {
    name.rsplit('.').next().is_some_and(|last| NORMALISATION.contains(&last))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stripped(names: &[&str]) -> (String, Vec<String>) {
        let mut names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let prefix = strip(&mut names);
        (prefix, names)
    }

    #[test]
    fn wrappers_are_removed() {
        for (names, prefix, rest) in [
            (
                &["module.conv1.weight", "module.fc.bias"][..],
                "module.",
                &["conv1.weight", "fc.bias"],
            ),
            (
                &["module.1.conv1.weight", "module.1.fc.bias"],
                "module.1.",
                &["conv1.weight", "fc.bias"],
            ),
            (
                &["1.module.conv1.weight", "1.module.fc.bias"],
                "1.module.",
                &["conv1.weight", "fc.bias"],
            ),
            (
                &["_orig_mod.model.a.weight", "_orig_mod.mean"],
                "_orig_mod.model.",
                &["a.weight", "mean"],
            ),
            (
                &["layer1._orig_mod.a.weight", "fc._orig_mod.bias"],
                "_orig_mod.",
                &["layer1.a.weight", "fc.bias"],
            ),
            (
                &[
                    "_fsdp_wrapped_module.a._fsdp_wrapped_module.weight",
                    "_fsdp_wrapped_module.fc.bias",
                ],
                "_fsdp_wrapped_module.",
                &["a.weight", "fc.bias"],
            ),
            (&["net.conv1.weight", "net.fc.bias"], "net.", &["conv1.weight", "fc.bias"]),
            (
                &["module.model.a.weight", "module.normalizer.new_mean"],
                "module.model.",
                &["a.weight", "normalizer.new_mean"],
            ),
            (&["0.mean", "1.conv1.weight"], "1.", &["0.mean", "conv1.weight"]),
            (&["module.weight", "module.bias"], "module.", &["weight", "bias"]),
        ] {
            let rest = rest.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(stripped(names), (prefix.to_owned(), rest));
        }
    }

    #[test]
    fn what_lies_beside_a_network_is_known() {
        for name in
            ["n_averaged", "module.n_averaged", "module.attacker.model.fc.weight", "attacker.x"]
        {
            assert!(is_beside(name), "{name}");
        }
        for name in
            ["layer.n_averaged", "fc.attacker.weight", "module.fc.weight", "attackers.weight"]
        {
            assert!(!is_beside(name), "{name}");
        }
    }

    #[test]
    fn names_of_the_network_are_kept() {
        for names in [
            &["submodel.weight", "aux.module.bias"][..],
            &["model.conv.weight", "fc.weight"],
            &["1.weight", "1.bias"],
            &["model.mean", "mean", "model.fc.weight"],
            &["mean", "std"],
            &["module.", "module.a"],
            &["module.running_mean", "running_mean"],
            &[],
        ] {
            let (prefix, rest) = stripped(names);
            assert_eq!(
                (prefix.as_str(), rest.as_slice()),
                ("", &names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>()[..])
            );
        }
    }
}
