//! Mixtures of experts: which experts a token goes through, and how their results are summed.
//!
//! A layer with a router is such a mixture; one without is dense. What a tensor alone can say (biases, a shared expert, its gate) is
//! not said here.

use crate::design::{choice, name};
use crate::limits;
use crate::params::{ParamError, Reader, Writer, range};

/// The experts of a model. [`Experts::of`] gives those of Mixtral (arXiv 2401.04088).
#[derive(Clone, Debug, PartialEq)]
pub struct Experts {
    /// Experts of a layer.
    pub count: u32,
    /// Of them, those that a token goes through.
    pub used: u32,
    /// Width of one expert's feed-forward network.
    pub ffn_size: u32,
    /// Width of the feed-forward network that every token goes through beside its experts; 0 for none.
    pub shared_ffn_size: u32,
    /// What makes scores of the router's logits.
    pub scoring: Scoring,
    /// The weights of a token's experts are divided by their sum.
    pub normalized: bool,
    /// Rows of gate and up alternate where they are in one tensor, and so do their biases; else all of gate come first.
    pub interleaved: bool,
    /// Factor on those weights.
    pub scale: f32,
    /// Groups of neighbouring experts, all of one size; 1 for no groups.
    pub groups: u32,
    /// Groups that a token's experts are chosen from (arXiv 2405.04434).
    pub groups_used: u32,
    /// What a group is chosen by.
    pub group_score: GroupScore,
}

/// What makes scores of the router's logits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scoring {
    /// exp(logit) / sum over all experts.
    Softmax,
    /// 1 / (1 + exp(-logit)).
    Sigmoid,
}

/// What a group of experts is chosen by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupScore {
    /// Its best score.
    Best,
    /// The sum of its two best.
    BestTwo,
}

const SCORINGS: [(Scoring, &str); 2] = [(Scoring::Softmax, "softmax"), (Scoring::Sigmoid, "sigmoid")];
const GROUP_SCORES: [(GroupScore, &str); 2] = [(GroupScore::Best, "best"), (GroupScore::BestTwo, "best_two")];

impl Experts {
    /// `used` of `count` experts, scored by softmax, their weights divided by their sum.
    pub fn of(count: u32, used: u32, ffn_size: u32) -> Self {
        Self {
            count,
            used,
            ffn_size,
            shared_ffn_size: 0,
            scoring: Scoring::Softmax,
            normalized: true,
            interleaved: false,
            scale: 1.0,
            groups: 1,
            groups_used: 1,
            group_score: GroupScore::Best,
        }
    }

    pub(crate) fn write(&self, w: &mut Writer) {
        w.number("experts.count", self.count);
        w.number("experts.used", self.used);
        w.number("experts.ffn_size", self.ffn_size);
        w.number("experts.shared_ffn_size", self.shared_ffn_size);
        w.text("experts.scoring", name(&SCORINGS, self.scoring));
        w.number("experts.normalized", self.normalized);
        w.number("experts.scale", self.scale);
        if self.interleaved {
            w.number("experts.interleaved", true);
        }
        if self.groups > 1 {
            w.number("experts.groups", self.groups);
            w.number("experts.groups_used", self.groups_used);
            w.text("experts.group_score", name(&GROUP_SCORES, self.group_score));
        }
    }

    /// The experts of a model that has any.
    pub(crate) fn read(r: &mut Reader) -> Result<Option<Self>, ParamError> {
        if !r.has("experts.count") {
            return Ok(None);
        }
        let count = r.u32("experts.count", 2, limits::EXPERTS)?;
        let grouped = r.has("experts.groups");
        let group = |r: &mut Reader, key, most| if grouped { r.u32(key, 1, most) } else { Ok(1) };
        let groups = group(r, "experts.groups", count)?;
        let experts = Self {
            count,
            used: r.u32("experts.used", 1, count.min(limits::EXPERTS_USED))?,
            ffn_size: r.u32("experts.ffn_size", 1, limits::WIDTH)?,
            shared_ffn_size: r.u32("experts.shared_ffn_size", 0, limits::WIDTH)?,
            scoring: choice(r, "experts.scoring", &SCORINGS)?.ok_or(missing("experts.scoring"))?,
            normalized: r.bool("experts.normalized")?,
            interleaved: r.has("experts.interleaved") && r.bool("experts.interleaved")?,
            scale: r.f32("experts.scale", f32::MIN_POSITIVE, f32::MAX)?,
            groups,
            groups_used: group(r, "experts.groups_used", groups)?,
            group_score: choice(r, "experts.group_score", &GROUP_SCORES)?.unwrap_or(GroupScore::Best),
        };
        experts.check()?;
        Ok(Some(experts))
    }

    fn check(&self) -> Result<(), ParamError> {
        if !self.count.is_multiple_of(self.groups) {
            return Err(range("experts.groups", self.groups, format!("a divisor of experts.count, {}", self.count)));
        }
        let reach = self.count / self.groups * self.groups_used;
        if self.used > reach {
            return Err(range("experts.used", self.used, format!("at most the {reach} experts of the groups used")));
        }
        Ok(())
    }
}

fn missing(key: &'static str) -> ParamError {
    ParamError::Missing { key }
}
