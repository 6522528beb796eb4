//! Which codecs a part may have: pure rules on a target, a wish, and what the part is.

use symbiote_format::{Codec, Dtype};

/// What an archive is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Target {
    /// To run: the GPU computes on the bytes as they are.
    #[default]
    Run,
    /// To send and to keep: as small as it gets, and `repack` turns it into one to run.
    Ship,
}

/// A codec, where somebody wishes for one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// The smallest that the target allows.
    #[default]
    Auto,
    /// This one wherever it takes the type and is smaller than raw.
    Only(Codec),
}

/// How parts are coded. The default is [`Target::Run`] and [`Choice::Auto`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    target: Target,
    choice: Choice,
}

/// A wish that a target cannot grant.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "--target run cannot use {codec}: the GPU computes on the archive's bytes as they are, and {codec} has to be decoded \
     first; ask for --target ship, or for a codec that runs (raw, p12, p11, f16, bf16)"
)]
pub struct PolicyError {
    /// The codec.
    pub codec: Codec,
}

/// What the rules need to know of a part's tensor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TensorFacts {
    pub dtype: Dtype,
    /// Kernels read it as it is stored.
    pub vector: bool,
    /// Its length in the source.
    pub bytes: u64,
}

/// A tensor below this length stays raw in an archive to run: what a codec takes off it would not fill a page.
const SMALL: u64 = 4096;

impl Policy {
    /// Refuses a codec that the target cannot use.
    pub fn new(target: Target, choice: Choice) -> Result<Self, PolicyError> {
        match (target, choice) {
            (Target::Run, Choice::Only(codec)) if !codec.runs() => Err(PolicyError { codec }),
            _ => Ok(Self { target, choice }),
        }
    }

    /// The codecs to try beside raw, in the order in which a tie is decided.
    pub(crate) fn candidates(&self, tensor: TensorFacts) -> Vec<Codec> {
        if self.target == Target::Run && read_plainly(tensor) {
            return Vec::new();
        }
        let wished: &[Codec] = match (&self.choice, self.target) {
            (Choice::Only(codec), _) => std::slice::from_ref(codec),
            (Choice::Auto, Target::Run) => &[Codec::P12, Codec::F16, Codec::Bf16],
            (Choice::Auto, Target::Ship) => &[Codec::Zstd, Codec::P12, Codec::Zfp],
        };
        wished.iter().copied().filter(|codec| *codec != Codec::Raw && codec.takes(tensor.dtype)).collect()
    }
}

/// Kernels read vectors (norms, biases, rope divisors) as they are in the source.
fn read_plainly(tensor: TensorFacts) -> bool {
    tensor.vector || tensor.bytes < SMALL
}

/// A part's length by a codec.
pub(crate) type Sized = (Codec, usize);

/// The smallest of what was tried; raw unless one is smaller than `raw_len`, and the earlier of two that are equal.
pub(crate) fn smallest(raw_len: usize, tried: impl IntoIterator<Item = Sized>) -> Sized {
    tried.into_iter().fold((Codec::Raw, raw_len), |best, next| if next.1 < best.1 { next } else { best })
}

/// The codecs that are worth trying on a whole part, by what they made of a sample of it: those that gained something,
/// and are no more than an eighth behind the best: a sample is a little unfair to codes that like long parts.
pub(crate) fn promising(sample_len: usize, tried: &[Sized]) -> Vec<Codec> {
    let (_, best) = smallest(sample_len, tried.iter().copied());
    let near = best + best / 8;
    tried.iter().filter(|(_, len)| *len < sample_len && *len <= near).map(|(codec, _)| *codec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(dtype: Dtype) -> TensorFacts {
        TensorFacts { dtype, vector: false, bytes: 64 * 4096 }
    }

    fn auto(target: Target) -> Policy {
        Policy::new(target, Choice::Auto).unwrap()
    }

    #[test]
    fn a_target_refuses_what_it_cannot_use() {
        for codec in Codec::ALL.iter().copied() {
            assert_eq!(Policy::new(Target::Run, Choice::Only(codec)).is_ok(), codec.runs(), "{codec}");
            assert!(Policy::new(Target::Ship, Choice::Only(codec)).is_ok());
        }
        let error = Policy::new(Target::Run, Choice::Only(Codec::Zstd)).unwrap_err().to_string();
        assert!(error.contains("zstd has to be decoded first") && error.contains("--target ship"), "{error}");
        assert_eq!(Policy::default(), auto(Target::Run));
    }

    #[test]
    fn only_what_runs_is_tried_to_run_and_p11_never_unasked() {
        for dtype in Dtype::all() {
            let tried = auto(Target::Run).candidates(matrix(dtype));
            assert!(tried.iter().all(|codec| codec.runs() && codec.takes(dtype)), "{dtype}: {tried:?}");
            assert!(!tried.contains(&Codec::P11));
        }
        assert_eq!(auto(Target::Run).candidates(matrix(Dtype::Bf16)), [Codec::P12]);
        assert_eq!(auto(Target::Run).candidates(matrix(Dtype::Q4_0)), []);
    }

    #[test]
    fn vectors_and_small_tensors_are_raw_to_run_whatever_is_wished() {
        let p12 = Policy::new(Target::Run, Choice::Only(Codec::P12)).unwrap();
        let vector = TensorFacts { dtype: Dtype::Bf16, vector: true, bytes: 1 << 20 };
        let small = TensorFacts { dtype: Dtype::Bf16, vector: false, bytes: SMALL - 1 };
        let large = TensorFacts { dtype: Dtype::Bf16, vector: false, bytes: SMALL };
        for policy in [auto(Target::Run), p12] {
            assert_eq!(policy.candidates(vector), []);
            assert_eq!(policy.candidates(small), []);
            assert_eq!(policy.candidates(large), [Codec::P12]);
        }
    }

    #[test]
    fn a_wish_is_tried_alone_and_where_it_fits() {
        let only = |target, codec| Policy::new(target, Choice::Only(codec)).unwrap();
        assert_eq!(only(Target::Run, Codec::P11).candidates(matrix(Dtype::Bf16)), [Codec::P11]);
        assert_eq!(only(Target::Ship, Codec::P12).candidates(matrix(Dtype::F16)), [Codec::P12]);
        assert_eq!(only(Target::Ship, Codec::P12).candidates(matrix(Dtype::Q6K)), []);
        assert_eq!(only(Target::Ship, Codec::Raw).candidates(matrix(Dtype::Bf16)), []);
    }

    #[test]
    fn the_smallest_wins_and_raw_wins_ties() {
        assert_eq!(smallest(100, []), (Codec::Raw, 100));
        assert_eq!(smallest(100, [(Codec::P12, 100)]), (Codec::Raw, 100));
        assert_eq!(smallest(100, [(Codec::P12, 101), (Codec::F16, 99)]), (Codec::F16, 99));
        assert_eq!(smallest(100, [(Codec::P12, 75), (Codec::F16, 50), (Codec::Bf16, 50)]), (Codec::F16, 50));
    }

    #[test]
    fn a_sample_sorts_out_what_is_hopeless() {
        let tried = [(Codec::Zstd, 820), (Codec::Zfp, 980)];
        assert_eq!(promising(1000, &tried), [Codec::Zstd]);
        assert_eq!(promising(1000, &[(Codec::Zstd, 820), (Codec::Zfp, 900)]), [Codec::Zstd, Codec::Zfp]);
        assert_eq!(promising(1000, &[(Codec::P12, 1000), (Codec::F16, 3000)]), []);
    }
}
