//! What an LRU cache of any size would have had: reuse distances (Mattson, Gecsei, Slutz and Traiger, 1970), counted by a Fenwick
//! tree over time (Bennett and Kruskal, 1975).

/// Marks the items that were never asked for.
const NEVER: usize = usize::MAX;

/// How many others were asked for between two requests for one item.
pub(super) struct ReuseDistances {
    /// When each item was last asked for.
    last: Vec<usize>,
    /// Fenwick tree over times, which marks those that are some item's last.
    tree: Vec<u32>,
    now: usize,
    /// Requests by the number of items between.
    between: Vec<u64>,
}

impl ReuseDistances {
    /// Of so many items.
    pub fn new(items: usize) -> Self {
        // four times as many, so that time is seldom begun anew
        let times = items.saturating_mul(4).max(64);
        Self { last: vec![NEVER; items], tree: vec![0; times + 1], now: 0, between: vec![0; items] }
    }

    /// An item is asked for.
    pub fn request(&mut self, item: usize) {
        if self.now + 1 == self.tree.len() {
            self.begin_anew();
        }
        let last = std::mem::replace(&mut self.last[item], self.now);
        if last != NEVER {
            let between = self.marked(self.now) - self.marked(last + 1);
            self.between[between as usize] += 1;
            self.mark(last, false);
        }
        self.mark(self.now, true);
        self.now += 1;
    }

    /// Requests that a cache of so many items would have had.
    pub fn hits(&self, slots: usize) -> u64 {
        self.between.iter().take(slots).sum()
    }

    fn mark(&mut self, time: usize, set: bool) {
        let mut at = time + 1;
        while at < self.tree.len() {
            self.tree[at] = if set { self.tree[at] + 1 } else { self.tree[at] - 1 };
            at += at & at.wrapping_neg();
        }
    }

    /// Marks before `time`.
    fn marked(&self, time: usize) -> u32 {
        let (mut at, mut sum) = (time, 0);
        while at > 0 {
            sum += self.tree[at];
            at &= at - 1;
        }
        sum
    }

    /// Items keep their order in time, and lose the time between.
    fn begin_anew(&mut self) {
        let mut items: Vec<usize> = (0..self.last.len()).filter(|item| self.last[*item] != NEVER).collect();
        items.sort_unstable_by_key(|item| self.last[*item]);
        self.tree.fill(0);
        self.now = items.len();
        for (time, item) in items.into_iter().enumerate() {
            self.last[item] = time;
            self.mark(time, true);
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};

    use super::*;

    /// What a cache has, as plain as can be: the last used at the end.
    fn cache(requests: &[usize], slots: usize) -> u64 {
        let (mut held, mut hits) = (Vec::new(), 0);
        for item in requests {
            match held.iter().position(|other| other == item) {
                Some(at) => {
                    held.remove(at);
                    hits += 1;
                }
                None if held.len() == slots => drop(held.remove(0)),
                None => {}
            }
            held.push(*item);
        }
        hits
    }

    #[test]
    fn every_size_hits_what_a_cache_of_that_size_does() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(6);
        for items in [1, 2, 7, 40] {
            // skewed, and long enough to begin time anew some times
            let requests: Vec<usize> =
                (0..1500).map(|_| rng.random_range(0..items).min(rng.random_range(0..items))).collect();
            let mut reuse = ReuseDistances::new(items);
            requests.iter().for_each(|item| reuse.request(*item));
            for slots in 1..=items {
                assert_eq!(reuse.hits(slots), cache(&requests, slots), "{slots} of {items}");
            }
        }
    }

    #[test]
    fn a_cycle_hits_nothing_until_all_of_it_fits() {
        let mut reuse = ReuseDistances::new(10);
        (0..1000).for_each(|i| reuse.request(i % 10));
        assert_eq!([9, 10].map(|slots| reuse.hits(slots)), [0, 990]);
    }
}
