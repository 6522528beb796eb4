//! A bounds-checked position in a GGUF file.

use super::GgufError;

type Result<T> = std::result::Result<T, GgufError>;

/// Reads little-endian numbers and texts, front to back. Texts borrow from the file.
#[derive(Clone)]
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Bytes read so far.
    pub fn position(&self) -> u64 {
        self.at as u64
    }

    /// The next `n` bytes; `what` names them if the file ends before.
    pub fn take(&mut self, n: u64, what: &'static str) -> Result<&'a [u8]> {
        let truncated = || GgufError::Truncated { what, at: self.position(), len: self.bytes.len() as u64 };
        let end = usize::try_from(n).ok().and_then(|n| self.at.checked_add(n)).ok_or_else(truncated)?;
        let taken = self.bytes.get(self.at..end).ok_or_else(truncated)?;
        self.at = end;
        Ok(taken)
    }

    /// The next `N` bytes.
    pub fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N as u64, what)?);
        Ok(array)
    }

    pub fn u32(&mut self, what: &'static str) -> Result<u32> {
        self.array(what).map(u32::from_le_bytes)
    }

    pub fn u64(&mut self, what: &'static str) -> Result<u64> {
        self.array(what).map(u64::from_le_bytes)
    }

    /// A count, refused above `limit`.
    pub fn count(&mut self, what: &'static str, limit: u64) -> Result<u64> {
        match self.u64(what)? {
            found if found > limit => Err(GgufError::AboveLimit { what, found, limit }),
            count => Ok(count),
        }
    }

    /// A text behind its length.
    pub fn text(&mut self, what: &'static str) -> Result<&'a str> {
        let len = self.u64(what)?;
        let at = self.position();
        std::str::from_utf8(self.take(len, what)?).map_err(|_| GgufError::NotUtf8 { what, at })
    }
}
