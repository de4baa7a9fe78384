//! Which part of a checkpoint is the network. A training script saves whatever it likes around its
//! weights: epochs, optimiser states, a running average of the weights. A set of weights is a dict
//! whose keys are strings and whose values are tensors, and the name it is saved under says what it
//! is for. In a list or tuple, such as `(epoch, state_dict)`, its name is its place, which says nothing: there
//! its keys have to be those of layers.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use crate::pickle::tensor::View;
use crate::pickle::value::{Heap, Value};

/// One set of weights as the file describes it.
#[derive(Debug)]
pub(super) struct Candidate {
    /// Keys and places in lists that lead to it, joined by dots; empty if the file itself is the state dict.
    pub(super) name: String,
    /// Its tensors under the keys of the file.
    pub(super) tensors: Vec<(String, Rc<View>)>,
    /// Keys whose values are not tensors.
    pub(super) left_out: Vec<String>,
}

/// Names under which the weights to evaluate are usually saved, the most usual first. `last` is what
/// RobustBench takes from the files that hold `last` and `best`; an average such as `ema` is never
/// taken unasked.
const USUAL: [&str; 7] =
    ["state_dict", "model_state_dict", "last", "model", "model_state", "net", "network"];

/// How deep sets may be nested, and how many are listed.
const DEPTH: usize = 3;
const MOST: usize = 64;
/// The longest key of a weight or set, in bytes.
const KEY: usize = 1000;

/// The sets of weights below `root`, in the order of the file.
pub(super) fn find(heap: &Heap, root: Value) -> Vec<Candidate> {
    let mut search =
        Search { heap, known: HashMap::new(), visited: HashSet::new(), found: Vec::new() };
    let own = search.is_set(root).then(|| candidate(heap, root, String::new()));
    // Names of layers contain dots, so such a dict is the state dict itself, whatever else is in it.
    let own = match own {
        Some(own) if own.tensors.iter().any(|(key, _)| key.contains('.')) => return vec![own],
        own => own,
    };
    search.visit(root, "", DEPTH);
    match own {
        Some(own) if search.found.is_empty() => vec![own],
        _ => search.found,
    }
}

/// The walk through dicts, lists and tuples. A pickle may hold the same one many times, or inside itself,
/// so each is judged once and looked into once.
struct Search<'h> {
    heap: &'h Heap,
    known: HashMap<Value, bool>,
    visited: HashSet<Value>,
    found: Vec<Candidate>,
}

impl Search<'_> {
    fn visit(&mut self, parent: Value, path: &str, depth: usize) {
        if depth == 0 || !self.visited.insert(parent) {
            return;
        }
        let heap = self.heap;
        for (key, child) in heap.dict(parent).unwrap_or_default() {
            let Some(key) = heap.text(*key).filter(|key| key.len() <= KEY) else { continue };
            if !["optim", "sched"].iter().any(|part| key.contains(part)) {
                self.enter(*child, path, key, depth, |_, _| true);
            }
        }
        for (place, child) in heap.items(parent).unwrap_or_default().iter().enumerate() {
            self.enter(*child, path, &place.to_string(), depth, names_layers);
        }
    }

    /// Goes on with `child`, which what is called `path` holds under `key`; it may be a set if `right` says so.
    fn enter(
        &mut self,
        child: Value,
        path: &str,
        key: &str,
        depth: usize,
        right: fn(&Heap, Value) -> bool,
    ) {
        let holds = self.heap.dict(child).is_some() || self.heap.items(child).is_some();
        if !holds || self.visited.contains(&child) || self.found.len() >= MOST {
            return;
        }
        let name = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
        if self.is_set(child) && right(self.heap, child) {
            self.found.push(candidate(self.heap, child, name));
        } else {
            self.visit(child, &name, depth - 1);
        }
    }

    /// Whether the dict `value` is a set of weights: at least half of its entries are tensors and all
    /// of its keys are strings.
    fn is_set(&mut self, value: Value) -> bool {
        let heap = self.heap;
        *self.known.entry(value).or_insert_with(|| {
            let pairs = heap.dict(value).unwrap_or_default();
            let tensors = pairs.iter().filter(|(_, value)| heap.tensor(*value).is_some()).count();
            let is_key = |key: Value| heap.text(key).is_some_and(|key| key.len() <= KEY);
            tensors > 0 && 2 * tensors >= pairs.len() && pairs.iter().all(|(key, _)| is_key(*key))
        })
    }
}

/// Whether some key of the dict `value` is that of a layer's weight, `fc.weight`.
fn names_layers(heap: &Heap, value: Value) -> bool {
    let pairs = heap.dict(value).unwrap_or_default();
    pairs.iter().any(|(key, _)| heap.text(*key).is_some_and(|key| key.contains('.')))
}

/// The set of weights in the dict `value`.
fn candidate(heap: &Heap, value: Value, name: String) -> Candidate {
    let mut set = Candidate { name, tensors: Vec::new(), left_out: Vec::new() };
    let mut seen = HashSet::new();
    // Backwards, because of equal keys the last one counts.
    for (key, value) in heap.dict(value).unwrap_or_default().iter().rev() {
        let Some(key) = heap.text(*key).filter(|key| seen.insert(Rc::clone(key))) else { continue };
        match heap.tensor(*value) {
            Some(view) => set.tensors.push((key.to_string(), Rc::clone(view))),
            None => set.left_out.push(key.to_string()),
        }
    }
    set.tensors.reverse();
    set.left_out.reverse();
    set
}

/// Index of the set to take unasked: the only one, or the one with the most usual name; `None` if
/// that leaves a choice which the user has to make.
pub(super) fn choose<'n>(names: impl ExactSizeIterator<Item = &'n str>) -> Option<usize> {
    if names.len() == 1 {
        return Some(0);
    }
    let rank = |name: &str| {
        // `model.0` is the first of what was saved as the model.
        let is_key = |part: &&str| !part.bytes().all(|b| b.is_ascii_digit());
        let last = name.rsplit('.').find(is_key).unwrap_or(name);
        USUAL.iter().position(|usual| *usual == last)
    };
    let mut ranked: Vec<_> =
        names.enumerate().filter_map(|(index, name)| Some((rank(name)?, index))).collect();
    ranked.sort_unstable();
    match ranked[..] {
        [(_, index)] => Some(index),
        [(first, index), (second, _), ..] if first < second => Some(index),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::choose;

    #[test]
    fn the_usual_name_is_taken_and_a_tie_is_left_to_the_user() {
        let choice = |names: &[&str]| choose(names.iter().copied());
        assert_eq!(choice(&["ema"]), Some(0));
        assert_eq!(choice(&["best", "last"]), Some(1));
        assert_eq!(choice(&["ema", "model"]), Some(1));
        assert_eq!(choice(&["model", "state_dict", "state_dict_ema"]), Some(1));
        assert_eq!(choice(&["G.state_dict", "D.state_dict"]), None);
        assert_eq!(choice(&["best", "ema"]), None);
        assert_eq!(choice(&["1"]), Some(0));
        assert_eq!(choice(&["model.0", "ema.0"]), Some(0));
        assert_eq!(choice(&["0", "1"]), None);
        assert_eq!(choice(&["model.0", "model.1"]), None);
    }
}
