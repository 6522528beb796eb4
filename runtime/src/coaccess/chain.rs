//! Experts in an order in which neighbours are used together.

use std::collections::HashMap;

/// All numbers below `experts`, in a chain: pairs become neighbours, those that were `together` most often first, wherever both are
/// still at ends, and of different pieces.
pub(super) fn chain(experts: u32, together: &HashMap<(u32, u32), u32>) -> Vec<u32> {
    let mut pairs: Vec<_> = together.iter().map(|(pair, count)| (*count, *pair)).collect();
    pairs.sort_by_key(|(count, pair)| (std::cmp::Reverse(*count), *pair));
    // pieces by their first expert, and where each expert is
    let mut pieces: Vec<Vec<u32>> = (0..experts).map(|expert| vec![expert]).collect();
    let mut piece_of: Vec<usize> = (0..experts as usize).collect();
    for (_, (a, b)) in pairs {
        let [left, right] = [a, b].map(|expert| piece_of[expert as usize]);
        let is_end =
            |piece: usize, expert| pieces[piece].first() == Some(&expert) || pieces[piece].last() == Some(&expert);
        if left == right || !is_end(left, a) || !is_end(right, b) {
            continue;
        }
        let mut tail = std::mem::take(&mut pieces[right]);
        if pieces[left].last() != Some(&a) {
            pieces[left].reverse();
        }
        if tail.first() != Some(&b) {
            tail.reverse();
        }
        tail.iter().for_each(|expert| piece_of[*expert as usize] = left);
        pieces[left].extend(tail);
    }
    // long pieces first; the sort is stable
    pieces.sort_by_key(|piece| std::cmp::Reverse(piece.len()));
    pieces.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_that_are_used_together_are_neighbours() {
        let together = HashMap::from([((0, 3), 9), ((3, 5), 8), ((0, 5), 7), ((1, 4), 2), ((1, 5), 1)]);
        // 0 3 5 by the first two; 0 and 5 are ends of one piece; 1 4; then 5 1
        assert_eq!(chain(7, &together), [4, 1, 5, 3, 0, 2, 6]);
        assert_eq!(chain(3, &HashMap::new()), [0, 1, 2]);
    }
}
