//! Nodes in the order of their evaluation, without those that no output depends on. A branch of an `If` reads values of
//! the graph around it, so what a node reads includes what its branches read.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::path::Path;

use super::wire::DAMAGED;
use crate::error::{Error, Result};
use crate::onnx::graph::{Attribute, Graph, Node};

/// Nodes of a cycle that a message lists.
const LISTED: usize = 8;

/// Calls `each` with every name that `node` reads: its inputs and whatever its branches mention.
pub(super) fn each_read<'n>(node: &'n Node, each: &mut impl FnMut(&'n str)) {
    node.inputs.iter().filter(|name| !name.is_empty()).for_each(|name| each(name));
    for attribute in node.attributes.values() {
        if let Attribute::Graph(graph) = attribute {
            each_read_of(graph, each);
        }
    }
}

/// The same for all of a graph.
pub(super) fn each_read_of<'n>(graph: &'n Graph, each: &mut impl FnMut(&'n str)) {
    graph.nodes.iter().for_each(|node| each_read(node, each));
    graph.outputs.iter().for_each(|name| each(name));
}

/// Puts nodes behind those whose values they read; nodes that may stay in their order do.
///
/// # Errors
/// If there is a cycle, with the nodes on it.
pub(super) fn sort(path: &Path, nodes: Vec<Node>) -> Result<Vec<Node>> {
    let makers: HashMap<_, _> = nodes
        .iter()
        .enumerate()
        .flat_map(|(place, node)| node.outputs.iter().map(move |name| (name.as_str(), place)))
        .filter(|(name, _)| !name.is_empty())
        .collect();
    let mut readers = vec![Vec::new(); nodes.len()];
    let mut waits = vec![0_usize; nodes.len()];
    for ((place, node), waits) in nodes.iter().enumerate().zip(&mut waits) {
        each_read(node, &mut |name| {
            if let Some(readers) = makers.get(name).and_then(|maker| readers.get_mut(*maker)) {
                readers.push(place);
                *waits += 1;
            }
        });
    }
    let mut ready: BinaryHeap<_> =
        (0..nodes.len()).filter(|place| waits.get(*place) == Some(&0)).map(Reverse).collect();
    let mut order = Vec::with_capacity(nodes.len());
    while let Some(Reverse(place)) = ready.pop() {
        order.push(place);
        for reader in readers.get(place).into_iter().flatten() {
            let Some(waits) = waits.get_mut(*reader) else { continue };
            *waits = waits.saturating_sub(1);
            if *waits == 0 {
                ready.push(Reverse(*reader));
            }
        }
    }
    if order.len() < nodes.len() {
        let left = |place: usize| waits.get(place).is_some_and(|waits| *waits > 0);
        let names = cycle(&nodes, &makers, left);
        let problem = format!("there is a cycle through node {}", names.join(", "));
        return Err(Error::file(path, "graph", problem, DAMAGED));
    }
    let mut nodes: Vec<_> = nodes.into_iter().map(Some).collect();
    Ok(order.into_iter().filter_map(|place| nodes.get_mut(place)?.take()).collect())
}

/// Names of nodes on a cycle among those that are `left`, each before a reader of it.
fn cycle<'n>(
    nodes: &'n [Node],
    makers: &HashMap<&str, usize>,
    left: impl Fn(usize) -> bool,
) -> Vec<&'n str> {
    let mut way = Vec::new();
    let mut seen = HashMap::new();
    let mut here = (0..nodes.len()).find(|place| left(*place));
    while let Some(place) = here.filter(|place| !seen.contains_key(place)) {
        seen.insert(place, way.len());
        way.push(place);
        here = None;
        if let Some(node) = nodes.get(place) {
            each_read(node, &mut |name| {
                here = here.or(makers.get(name).copied().filter(|maker| left(*maker)));
            });
        }
    }
    let start = here.and_then(|place| seen.get(&place).copied()).unwrap_or(0);
    let mut around = way.split_off(start);
    around.reverse();
    // The first of them in the file comes first.
    let first = around.iter().enumerate().min_by_key(|(_, place)| **place).map_or(0, |(at, _)| at);
    around.rotate_left(first);
    let mut names: Vec<_> =
        around.iter().filter_map(|place| Some(nodes.get(*place)?.name.as_str())).collect();
    if names.len() > LISTED {
        names.truncate(LISTED);
        names.push("...");
    }
    names
}

/// Drops sorted nodes that nothing in `outputs` depends on.
pub(super) fn prune(nodes: Vec<Node>, outputs: &[String]) -> Vec<Node> {
    let mut wanted: HashSet<&str> = outputs.iter().map(String::as_str).collect();
    let mut needed = vec![false; nodes.len()];
    for (node, needed) in nodes.iter().zip(&mut needed).rev() {
        *needed =
            node.outputs.iter().any(|name| !name.is_empty() && wanted.contains(name.as_str()));
        if *needed {
            each_read(node, &mut |name| {
                wanted.insert(name);
            });
        }
    }
    nodes.into_iter().zip(needed).filter(|(_, needed)| *needed).map(|(node, _)| node).collect()
}
