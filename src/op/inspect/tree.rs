//! The names as a tree, with sums at each branch, and equal numbered branches as one.

use super::fold::braces;
use super::own_size;
use crate::dtype::DType;
use crate::model::{Shape, Tensor};
use std::collections::HashMap;

/// Levels below which names are not cut any more: bounds recursion.
const DEPTH: usize = 32;

/// One line of the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branch {
    /// Levels above it.
    pub depth: usize,
    /// Its part of the name; `{0..31}` for equal branches.
    pub label: String,
    /// How many equal branches it stands for.
    pub count: u64,
    /// Tensors in all of them.
    pub tensors: u64,
    /// Elements in all of them, tied tensors once.
    pub elements: u64,
    /// Bytes in all of them, tied tensors once.
    pub bytes: u64,
    /// The place of the first tensor that ends here.
    pub leaf: Option<usize>,
}

#[derive(Default)]
struct Node<'a> {
    label: &'a str,
    children: Vec<usize>,
    leaf: Option<usize>,
    tensors: u64,
    elements: u64,
    bytes: u64,
    /// Nodes with the same number have the same shape below.
    class: u32,
}

/// Draws `tensors` as a tree, in order of first occurrence.
pub fn tree(tensors: &[Tensor]) -> Vec<Branch> {
    let mut nodes = grow(tensors);
    sum_up(&mut nodes, tensors);
    let mut out = Vec::new();
    for group in equal_siblings(&nodes, &nodes[0].children) {
        draw(&nodes, &group, 0, 1, &mut out);
    }
    out
}

fn grow(tensors: &[Tensor]) -> Vec<Node<'_>> {
    let mut nodes = vec![Node::default()];
    let mut known: HashMap<(usize, &str), usize> = HashMap::new();
    for (index, tensor) in tensors.iter().enumerate() {
        let mut node = 0;
        for label in tensor.name.splitn(DEPTH, '.') {
            node = *known.entry((node, label)).or_insert_with(|| {
                let child = nodes.len();
                nodes[node].children.push(child);
                nodes.push(Node {
                    label,
                    ..Node::default()
                });
                child
            });
        }
        nodes[node].leaf = Some(index);
    }
    nodes
}

/// What makes two branches equal: what ends here, and the branches below.
type Looks<'a> = (Option<(DType, &'a Shape, bool)>, Vec<(&'a str, u32)>);

/// Adds up sizes and classes from the leaves. Children come after their parents.
fn sum_up<'a>(nodes: &mut [Node<'a>], tensors: &'a [Tensor]) {
    let mut classes: HashMap<Looks<'a>, u32> = HashMap::new();
    for index in (0..nodes.len()).rev() {
        let leaf = nodes[index].leaf.map(|place| &tensors[place]);
        let (mut elements, mut bytes) = leaf.map_or((0, 0), own_size);
        let mut count = u64::from(leaf.is_some());
        let mut below = Vec::with_capacity(nodes[index].children.len());
        for &child in &nodes[index].children {
            let child = &nodes[child];
            count += child.tensors;
            elements = elements.saturating_add(child.elements);
            bytes = bytes.saturating_add(child.bytes);
            below.push((child.label, child.class));
        }
        let leaf = leaf.map(|tensor| (tensor.dtype, &tensor.shape, tensor.tied_to.is_some()));
        let next = u32::try_from(classes.len()).unwrap_or(u32::MAX);
        let class = *classes.entry((leaf, below)).or_insert(next);
        let node = &mut nodes[index];
        (node.tensors, node.elements, node.bytes) = (count, elements, bytes);
        node.class = class;
    }
}

/// Siblings, with those that have a number for a label and the same class together.
fn equal_siblings(nodes: &[Node<'_>], siblings: &[usize]) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut known: HashMap<u32, usize> = HashMap::new();
    for &sibling in siblings {
        let node = &nodes[sibling];
        if number(node.label).is_none() {
            groups.push(vec![sibling]);
            continue;
        }
        match known.get(&node.class) {
            Some(&group) => groups[group].push(sibling),
            None => {
                known.insert(node.class, groups.len());
                groups.push(vec![sibling]);
            }
        }
    }
    groups
}

/// The number that a label is, if it is written as numbers are.
fn number(label: &str) -> Option<u32> {
    let number: u32 = label.parse().ok()?;
    (number.to_string() == label).then_some(number)
}

fn draw(nodes: &[Node<'_>], group: &[usize], depth: usize, times: u64, out: &mut Vec<Branch>) {
    let mut node = &nodes[group[0]];
    let count = group.len() as u64;
    let times = times.saturating_mul(count);
    let mut numbers: Vec<u32> = group
        .iter()
        .filter_map(|&n| number(nodes[n].label))
        .collect();
    numbers.sort_unstable();
    let mut label = match count {
        1 => node.label.to_owned(),
        _ => braces(&numbers),
    };
    // A branch that does not fork is one line.
    while let (None, [only]) = (node.leaf, node.children.as_slice()) {
        node = &nodes[*only];
        label.push('.');
        label.push_str(node.label);
    }
    out.push(Branch {
        depth,
        label,
        count,
        tensors: node.tensors.saturating_mul(times),
        elements: node.elements.saturating_mul(times),
        bytes: node.bytes.saturating_mul(times),
        leaf: node.leaf,
    });
    for group in equal_siblings(nodes, &node.children) {
        draw(nodes, &group, depth + 1, times, out);
    }
}
