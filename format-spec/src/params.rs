//! Reading and writing the hyperparameter list of the index.

use crate::Param;

/// What is wrong with a hyperparameter.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum ParamError {
    /// It is not there.
    #[error("the model does not say {key}")]
    Missing {
        /// The key.
        key: &'static str,
    },
    /// It is there twice.
    #[error("the model says {key} twice")]
    Twice {
        /// The key.
        key: String,
    },
    /// A key that this version does not know, so that ignoring it could compute something else.
    #[error("the model uses {key}, which this program does not know: update the program")]
    Unknown {
        /// The key.
        key: String,
    },
    /// A value outside its range.
    #[error("{key} = {found}: it must be {expected}")]
    Range {
        /// The key.
        key: &'static str,
        /// The value, printed.
        found: String,
        /// What it must be.
        expected: String,
    },
}

type Result<T> = std::result::Result<T, ParamError>;

/// Collects hyperparameters; the order of the calls is the order in the archive.
#[derive(Default)]
pub(crate) struct Writer(pub Vec<Param>);

impl Writer {
    pub fn number(&mut self, key: &str, value: impl Into<f64>) {
        self.numbers(key, vec![value.into()]);
    }
    pub fn numbers(&mut self, key: &str, numbers: Vec<f64>) {
        self.0.push(Param { key: key.into(), numbers, text: String::new() });
    }
    pub fn text(&mut self, key: &str, text: &str) {
        self.0.push(Param { key: key.into(), numbers: Vec::new(), text: text.into() });
    }
}

/// Takes hyperparameters out of a list by key, so that what is left over is what nobody knew.
pub(crate) struct Reader(Vec<Param>);

impl Reader {
    pub fn new(params: Vec<Param>) -> Result<Self> {
        for (i, p) in params.iter().enumerate() {
            if params[..i].iter().any(|q| q.key == p.key) {
                return Err(ParamError::Twice { key: p.key.clone() });
            }
        }
        Ok(Self(params))
    }

    fn take(&mut self, key: &str) -> Option<Param> {
        self.0.iter().position(|p| p.key == key).map(|i| self.0.remove(i))
    }

    pub fn text(&mut self, key: &'static str) -> Result<String> {
        let p = self.take(key).ok_or(ParamError::Missing { key })?;
        if p.numbers.is_empty() { Ok(p.text) } else { Err(range(key, format!("{:?}", p.numbers), "a text")) }
    }

    pub fn numbers(&mut self, key: &'static str) -> Result<Vec<f64>> {
        let p = self.take(key).ok_or(ParamError::Missing { key })?;
        if p.text.is_empty() { Ok(p.numbers) } else { Err(range(key, p.text, "numbers")) }
    }

    fn number(&mut self, key: &'static str) -> Result<f64> {
        match self.numbers(key)?[..] {
            [n] => Ok(n),
            ref other => Err(range(key, format!("{other:?}"), "one number")),
        }
    }

    /// A finite number in `low..=high`.
    pub fn f32(&mut self, key: &'static str, low: f32, high: f32) -> Result<f32> {
        let n = self.number(key)?;
        #[allow(clippy::cast_possible_truncation)] // rounding to the precision that the model computes in is meant
        let value = n as f32;
        if value >= low && value <= high { Ok(value) } else { Err(range(key, n, format!("from {low} to {high}"))) }
    }

    /// A whole number in `low..=high`.
    pub fn u32(&mut self, key: &'static str, low: u32, high: u32) -> Result<u32> {
        let n = self.number(key)?;
        if n.fract() == 0.0 && n >= f64::from(low) && n <= f64::from(high) {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // checked just above
            let value = n as u32;
            return Ok(value);
        }
        Err(range(key, n, format!("a whole number from {low} to {high}")))
    }

    /// True if the key is there.
    pub fn has(&self, key: &str) -> bool {
        self.0.iter().any(|p| p.key == key)
    }

    /// A finite number in `low..=high`, if the key is there.
    pub fn optional_f32(&mut self, key: &'static str, low: f32, high: f32) -> Result<Option<f32>> {
        if self.has(key) { self.f32(key, low, high).map(Some) } else { Ok(None) }
    }

    /// Whole numbers in `0..=high`; none where the key is not there.
    pub fn optional_u32s(&mut self, key: &'static str, high: u32) -> Result<Vec<u32>> {
        if !self.has(key) {
            return Ok(Vec::new());
        }
        let whole = |n: f64| {
            let good = n.fract() == 0.0 && n >= 0.0 && n <= f64::from(high);
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // checked just above
            good.then_some(n as u32).ok_or_else(|| range(key, n, format!("whole numbers from 0 to {high}")))
        };
        self.numbers(key)?.into_iter().map(whole).collect()
    }

    /// 0 or 1.
    pub fn bool(&mut self, key: &'static str) -> Result<bool> {
        Ok(self.u32(key, 0, 1)? == 1)
    }

    /// Fails if a key is left that nobody asked for.
    pub fn finish(self) -> Result<()> {
        match self.0.into_iter().next() {
            None => Ok(()),
            Some(p) => Err(ParamError::Unknown { key: p.key }),
        }
    }
}

pub(crate) fn range(key: &'static str, found: impl ToString, expected: impl Into<String>) -> ParamError {
    ParamError::Range { key, found: found.to_string(), expected: expected.into() }
}
