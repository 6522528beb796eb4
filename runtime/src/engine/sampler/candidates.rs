//! The tokens that may be drawn.

/// A token that may be drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// Its id.
    pub id: u32,
    /// Its logit; -inf for one that must not be drawn.
    pub logit: f32,
}

/// What is left of the vocabulary: in the order of ids until [`sort`](Self::sort), then the best first.
#[derive(Default)]
pub struct Candidates {
    list: Vec<Candidate>,
    sorted: bool,
}

impl Candidates {
    /// All tokens, but for those whose logit is NaN.
    pub fn reset(&mut self, logits: &[f32]) {
        let all = (0u32..).zip(logits).map(|(id, &logit)| Candidate { id, logit });
        self.list.clear();
        self.list.extend(all.filter(|c| !c.logit.is_nan()));
        self.sorted = false;
    }

    /// Changes the logit of one token, if it is there; before anything sorts.
    pub fn change(&mut self, id: u32, change: impl FnOnce(f32) -> f32) {
        debug_assert!(!self.sorted, "ids are not in order any more");
        if let Ok(at) = self.list.binary_search_by_key(&id, |c| c.id) {
            self.list[at].logit = change(self.list[at].logit);
        }
    }

    /// Changes every logit, in a way that keeps their order.
    pub fn scale(&mut self, scale: impl Fn(f32) -> f32) {
        self.list.iter_mut().for_each(|c| c.logit = scale(c.logit));
    }

    /// In their order.
    pub fn list(&self) -> &[Candidate] {
        &self.list
    }

    /// Those for which `keep` says so stay; it gets each one's number in the order and the candidate.
    pub fn retain(&mut self, mut keep: impl FnMut(usize, Candidate) -> bool) {
        let mut at = 0..;
        self.list.retain(|c| at.next().is_some_and(|at| keep(at, *c)));
    }

    /// The best first; ties by id.
    pub fn sort(&mut self) -> &[Candidate] {
        if !self.sorted {
            self.list.sort_unstable_by(order);
            self.sorted = true;
        }
        &self.list
    }

    /// Keeps the `k` best, sorted.
    pub fn keep_best(&mut self, k: usize) {
        if !self.sorted && k > 0 && k < self.list.len() {
            self.list.select_nth_unstable_by(k - 1, order);
        } else {
            self.sort();
        }
        self.list.truncate(k);
        self.sort();
    }

    /// The greatest logit; -inf if there is no candidate.
    pub fn best(&self) -> f32 {
        self.list.iter().map(|c| c.logit).fold(f32::NEG_INFINITY, f32::max)
    }

    /// The softmax of the logits, in their order: sums to 1.
    pub fn probabilities(&self) -> Vec<f64> {
        let best = self.best();
        let weight = |c: &Candidate| match c.logit == best {
            true => 1.0, // infinities too
            false => (f64::from(c.logit) - f64::from(best)).exp(),
        };
        let mut weights: Vec<f64> = self.list.iter().map(weight).collect();
        let sum: f64 = weights.iter().sum();
        weights.iter_mut().for_each(|w| *w /= sum);
        weights
    }
}

fn order(a: &Candidate, b: &Candidate) -> std::cmp::Ordering {
    b.logit.total_cmp(&a.logit).then(a.id.cmp(&b.id))
}

/// -sum p ln p, in nats.
pub fn entropy(probabilities: &[f64]) -> f64 {
    probabilities.iter().filter(|p| **p > 0.0).map(|p| -p * p.ln()).sum()
}
