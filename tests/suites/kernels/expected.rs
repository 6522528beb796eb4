//! What an output must hold, element by element, and how far from it a kernel was at worst.

/// The contents of an output buffer: a value and the error that it may have, or nothing where the buffer stays untouched.
pub struct Expected(Vec<Option<(f64, f64)>>);

impl Expected {
    /// A buffer of `len` elements that nothing is written to so far.
    pub fn untouched(len: usize) -> Self {
        Self(vec![None; len])
    }

    /// Element `at` must come to within `bound` of `value`.
    pub fn set(&mut self, at: usize, value: f64, bound: f64) {
        assert!(self.0[at].replace((value, bound)).is_none(), "element {at} is expected twice");
    }
}

/// The worst error of a kernel, as a fraction of what was allowed.
pub struct Worst {
    kernel: String,
    fraction: f64,
    case: String,
}

impl Worst {
    pub fn new(kernel: impl Into<String>) -> Self {
        Self { kernel: kernel.into(), fraction: 0.0, case: String::new() }
    }

    /// Compares an output; elements are absent where it is still poison.
    pub fn check(&mut self, case: &str, got: &[Option<f64>], expected: &Expected) {
        assert_eq!(got.len(), expected.0.len(), "{} {case}", self.kernel);
        for (i, (got, expected)) in got.iter().zip(&expected.0).enumerate() {
            let context = || format!("{} {case}: element {i}", self.kernel);
            match (got, expected) {
                (None, None) => {}
                (Some(got), None) => panic!("{} is {got} but is not to be written", context()),
                (None, Some((value, _))) => panic!("{} is not written, it should be {value:e}", context()),
                (Some(got), Some((value, bound))) => {
                    let error = (got - value).abs();
                    // so written that NaN fails
                    let close = error <= *bound;
                    assert!(close, "{} is {got:e}, not {value:e}: off by {error:e} of {bound:e}", context());
                    if error > self.fraction * bound {
                        (self.fraction, self.case) = (error / bound, case.to_owned());
                    }
                }
            }
        }
    }

    /// Shows the figure, for those who run the suite with `--nocapture`.
    pub fn report(self) {
        println!("{}: worst error {:.3} of the bound: {}", self.kernel, self.fraction, self.case);
    }
}
