//! Where the bytes of packs come from.

use symbiote_format::Archive;

use super::BoxError;

/// The bytes of packs, by number.
pub trait PackSource {
    /// The segment of a pack, as coded, after what kernels rely on has been checked.
    fn bytes(&self, pack: usize) -> Result<&[u8], BoxError>;

    /// Checks the segment against its hash.
    fn verify(&self, pack: usize) -> Result<(), BoxError>;
}

impl PackSource for Archive<'_> {
    fn bytes(&self, pack: usize) -> Result<&[u8], BoxError> {
        let found = self.index().packs.get(pack).ok_or_else(|| format!("the archive has no pack {pack}"))?;
        self.check_pack(pack)?;
        Ok(self.segment(found))
    }

    fn verify(&self, pack: usize) -> Result<(), BoxError> {
        Ok(self.verify_pack(pack)?)
    }
}
