//! Choosing some of a row of packs so that those chosen, and those left, lie evenly along it.

/// Chooses items of at most `budget` bytes, by the room each takes, and as many bytes as it finds room for. True for those
/// chosen.
///
/// Error diffusion, as Bresenham draws a line: every byte passed earns a share of the budget, and an item is chosen where
/// what was earned and not yet spent comes to half of it.
pub(super) fn spread(rooms: &[u64], budget: u64) -> Vec<bool> {
    if rooms.iter().sum::<u64>() <= budget {
        return vec![true; rooms.len()];
    }
    let spent = |chosen: &[bool]| rooms.iter().zip(chosen).filter(|(_, chosen)| **chosen).map(|(room, _)| room).sum();
    // Whole items rarely add up to the budget. What they came to is aimed at in the second walk, which then does not find
    // the budget spent before the row ends.
    let reached = spent(&walk(rooms, budget, budget));
    let mut chosen = walk(rooms, reached, budget);
    let mut left = budget - spent(&chosen);
    for (room, chosen) in rooms.iter().zip(&mut chosen) {
        if !*chosen && *room <= left {
            *chosen = true;
            left -= room;
        }
    }
    chosen
}

/// One walk along the row, earning `aim` bytes in all and spending at most `budget`.
fn walk(rooms: &[u64], aim: u64, budget: u64) -> Vec<bool> {
    let total: i128 = rooms.iter().copied().map(i128::from).sum();
    let mut left = budget;
    // In bytes times `total`, so that nothing is rounded.
    let mut credit = 0;
    let choose = |&room: &u64| {
        let cost = i128::from(room) * total;
        credit += i128::from(room) * i128::from(aim);
        let chosen = 2 * credit >= cost && room <= left;
        if chosen {
            credit -= cost;
            left -= room;
        }
        chosen
    };
    rooms.iter().map(choose).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shortest and longest way from one item that was left to the next, the row being a ring.
    fn gaps(chosen: &[bool]) -> (usize, usize) {
        let left: Vec<usize> = (0..chosen.len()).filter(|&i| !chosen[i]).collect();
        let next = left.iter().cycle().skip(1);
        let ways = left.iter().zip(next).map(|(a, b)| (b + chosen.len() - a - 1) % chosen.len() + 1);
        (ways.clone().min().unwrap(), ways.max().unwrap())
    }

    #[test]
    fn equal_items_are_spread_as_evenly_as_can_be() {
        for n in 2..80 {
            for budget in 0..10 * n as u64 {
                let chosen = spread(&vec![10; n], budget);
                assert_eq!(chosen.iter().filter(|c| **c).count() as u64, budget / 10, "{n} items, {budget} bytes");
                let (shortest, longest) = gaps(&chosen);
                assert!(longest - shortest <= 1, "{n} items, {budget} bytes: {shortest}..{longest} in {chosen:?}");
            }
        }
    }

    #[test]
    fn unequal_items_are_chosen_by_their_bytes() {
        let rooms: Vec<u64> = (0..400).map(|i| [4, 9, 1, 12, 7][i % 5]).collect();
        let total: u64 = rooms.iter().sum();
        for budget in [total / 7, total / 2, total * 9 / 10] {
            let chosen = spread(&rooms, budget);
            let (mut passed, mut spent) = (0, 0);
            for (room, chosen) in rooms.iter().zip(&chosen) {
                passed += room;
                spent += if *chosen { *room } else { 0 };
                // Never further from its share than two items.
                assert!((passed * budget / total).abs_diff(spent) <= 24, "{spent} of {passed} bytes");
            }
            assert!(budget - spent < 12 && spent <= budget);
        }
    }

    #[test]
    fn room_that_is_left_goes_to_whatever_fits() {
        assert_eq!(spread(&[50, 50, 3, 50], 54), [false, true, true, false]);
        assert_eq!(spread(&[50, 50], 100), [true, true]);
        assert_eq!(spread(&[], 100), [false; 0]);
    }
}
