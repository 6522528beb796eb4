//! Pair merging: start from single characters and keep joining the best pair of neighbours until no pair is known.
//!
//! BPE and SentencePiece differ only in which pair is best, so both run on this queue. Among equals the leftmost goes
//! first, as in llama.cpp and SentencePiece.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A stretch of the text on its way to becoming a token.
#[derive(Clone, Copy, Debug)]
pub(super) struct Symbol<'t> {
    /// The stretch.
    pub text: &'t str,
    /// Its token, where the vocabulary has one.
    pub id: Option<u32>,
}

/// A pair worth joining: the greatest priority is joined first.
pub(super) struct Joined<P> {
    /// How much it is worth.
    pub priority: P,
    /// The token that the pair becomes.
    pub id: u32,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Candidate<P> {
    priority: P,
    left: Reverse<usize>,
    /// Length of the pair: if it is not that of the symbols any more, one of them has been joined to something else.
    len: usize,
    id: u32,
}

/// A symbol in a linked list; an empty one has been joined to its left neighbour.
struct Node {
    start: usize,
    len: usize,
    id: Option<u32>,
    previous: Option<usize>,
    next: Option<usize>,
}

/// Joins the characters of `text` into tokens.
///
/// `single` gives a character's token; `pair` tells whether two neighbours can be joined, given the text of both together
/// and the token of each.
pub(super) fn merge<'t, P: Ord>(
    text: &'t str,
    single: impl Fn(&str) -> Option<u32>,
    pair: impl Fn(&str, Option<u32>, Option<u32>) -> Option<Joined<P>>,
) -> Vec<Symbol<'t>> {
    let mut nodes: Vec<Node> = characters(text)
        .enumerate()
        .map(|(i, (start, c))| Node {
            start,
            len: c.len(),
            id: single(c),
            previous: i.checked_sub(1),
            next: Some(i + 1),
        })
        .collect();
    if let Some(last) = nodes.last_mut() {
        last.next = None;
    }

    let candidate = |nodes: &[Node], left: usize| {
        let (l, r) = (&nodes[left], &nodes[nodes[left].next?]);
        let len = l.len + r.len;
        let Joined { priority, id } = pair(&text[l.start..l.start + len], l.id, r.id)?;
        Some(Candidate { priority, left: Reverse(left), len, id })
    };
    let mut queue: BinaryHeap<_> = (0..nodes.len()).filter_map(|left| candidate(&nodes, left)).collect();

    while let Some(Candidate { left: Reverse(left), len, id, .. }) = queue.pop() {
        let Some(right) = nodes[left].next else { continue };
        if nodes[left].len == 0 || nodes[left].len + nodes[right].len != len {
            continue;
        }
        let after = nodes[right].next;
        nodes[right].len = 0;
        nodes[left] = Node { len, id: Some(id), next: after, ..nodes[left] };
        if let Some(after) = after {
            nodes[after].previous = Some(left);
        }
        queue.extend(nodes[left].previous.and_then(|previous| candidate(&nodes, previous)));
        queue.extend(candidate(&nodes, left));
    }

    nodes.iter().filter(|n| n.len > 0).map(|n| Symbol { text: &text[n.start..n.start + n.len], id: n.id }).collect()
}

fn characters(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.char_indices().map(|(start, c)| (start, &text[start..start + c.len_utf8()]))
}
