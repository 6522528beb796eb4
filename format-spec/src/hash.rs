//! SHA-256 as the archive uses it.

use sha2::{Digest, Sha256 as Inner};

/// A SHA-256 digest in the making: feed it, then [`finish`](Self::finish).
#[derive(Clone, Default)]
pub struct Sha256(Inner);

impl Sha256 {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> [u8; 32] {
        Inner::digest(bytes).into()
    }

    /// Appends `bytes` to the message.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all that was fed.
    pub fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

/// `bytes` in lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut s, b| {
        // Writing to a String cannot fail.
        let _ = write!(s, "{b:02x}");
        s
    })
}
