//! Co-access statistics as bytes: annotations of an archive, and a file by themselves.

use rkyv::rancor;
use rkyv::util::AlignedVec;

use crate::coaccess::{Coaccess, Mixture, WARM_START};
use crate::{Annotation, ArchivedIndex, CoaccessError, Index, ModelConfig, Sha256, limits};

/// First bytes of a file of co-access statistics.
pub const COACCESS_MAGIC: [u8; 8] = *b"COACCESS";
/// Version of such files.
const VERSION: u64 = 1;
const HEADER: usize = 64;
/// Name of the annotation that holds the statistics, and of the oracle's weights.
const NAMES: [&str; 2] = ["coaccess", "oracle"];

type Checked<T> = Result<T, CoaccessError>;

impl Coaccess {
    /// The statistics, checked, as the bytes of a file.
    pub fn to_file(&self) -> Checked<Vec<u8>> {
        let [statistics, weights] = self.encode()?;
        let mut file = COACCESS_MAGIC.to_vec();
        for number in [VERSION, statistics.len() as u64, weights.len() as u64] {
            file.extend(number.to_le_bytes());
        }
        let content = [statistics, weights].concat();
        file.extend(Sha256::of(&content));
        file.extend(content);
        Ok(file)
    }

    /// Reads what [`to_file`](Self::to_file) wrote, and checks it.
    pub fn from_file(file: &[u8]) -> Checked<Self> {
        if !file.starts_with(&COACCESS_MAGIC) {
            return Err(CoaccessError::NotCoaccess);
        }
        let (header, content) = file.split_at_checked(HEADER).ok_or(CoaccessError::Truncated)?;
        let number = |at: usize| header[at..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let [found, statistics, weights] = [8, 16, 24].map(number);
        if found != VERSION {
            return Err(CoaccessError::UnknownVersion { found });
        }
        match statistics.checked_add(weights) {
            Some(expected) if expected == content.len() as u64 => {}
            Some(expected) if expected < content.len() as u64 => return Err(CoaccessError::TrailingBytes),
            _ => return Err(CoaccessError::Truncated),
        }
        if Sha256::of(content) != header[32..] {
            return Err(CoaccessError::Corrupt);
        }
        let (statistics, weights) = content.split_at(usize::try_from(statistics).unwrap_or(content.len()));
        Self::decode(statistics, (!weights.is_empty()).then_some(weights))
    }

    /// Takes the place of the statistics that `index` has, if any.
    pub fn annotate(&self, index: &mut Index) -> crate::Result<()> {
        self.check_fits(&Mixture::of(index).ok_or(CoaccessError::NoExperts)?)?;
        index.annotations.retain(|a| !NAMES.contains(&a.name.as_str()));
        let named = NAMES.into_iter().zip(self.encode()?).filter(|(_, bytes)| !bytes.is_empty());
        index.annotations.extend(named.map(|(name, bytes)| Annotation { name: name.into(), bytes }));
        Ok(())
    }

    /// True where `index` has an annotation of that name.
    pub fn is_in(index: &Index) -> bool {
        index.annotations.iter().any(|a| a.name == NAMES[0])
    }

    /// The statistics of an archive, checked. A model without experts has none, whatever its annotations are named.
    pub(crate) fn of_index(index: &ArchivedIndex, config: &ModelConfig) -> crate::Result<Option<Self>> {
        let Some(mixture) = Mixture::of_archived(index, config) else { return Ok(None) };
        let [statistics, weights] = NAMES.map(|name| {
            let mut named = index.annotations.iter().filter(|a| a.name == name).map(|a| a.bytes.as_slice());
            let first = named.next();
            if named.next().is_some() { Err(CoaccessError::Twice { name }) } else { Ok(first) }
        });
        let Some(statistics) = statistics? else {
            return match weights? {
                None => Ok(None),
                Some(_) => Err(CoaccessError::WeightsAlone.into()),
            };
        };
        let found = Self::decode(statistics, weights?)?;
        found.check_fits(&mixture)?;
        Ok(Some(found))
    }

    /// Statistics and weights, the latter empty where there are none.
    fn encode(&self) -> Checked<[Vec<u8>; 2]> {
        self.check()?;
        let malformed = |e: rancor::Error| CoaccessError::Malformed { reason: e.to_string() };
        let statistics = rkyv::to_bytes::<rancor::Error>(self).map_err(malformed)?.to_vec();
        at_most_limit(&statistics)?;
        let weights = self.warm_start.iter().flat_map(|w| w.iter()).flat_map(|w| w.to_le_bytes()).collect();
        Ok([statistics, weights])
    }

    fn decode(statistics: &[u8], weights: Option<&[u8]>) -> Checked<Self> {
        at_most_limit(statistics)?;
        let mut aligned = AlignedVec::<16>::with_capacity(statistics.len());
        aligned.extend_from_slice(statistics);
        let malformed = |e: rancor::Error| CoaccessError::Malformed { reason: e.to_string() };
        let mut found: Self = rkyv::from_bytes(&aligned).map_err(malformed)?;
        found.warm_start = weights.map(warm_start).transpose()?;
        found.check()?;
        Ok(found)
    }
}

fn at_most_limit(statistics: &[u8]) -> Checked<()> {
    match statistics.len() {
        len if len > limits::COACCESS_BYTES => Err(CoaccessError::TooLong { found: len }),
        _ => Ok(()),
    }
}

fn warm_start(bytes: &[u8]) -> Checked<Box<[f32; WARM_START]>> {
    let (numbers, rest) = bytes.as_chunks();
    let weights: Vec<f32> = numbers.iter().map(|number| f32::from_le_bytes(*number)).collect();
    let usable = rest.is_empty() && weights.iter().all(|w| w.is_finite());
    let weights = weights.into_boxed_slice().try_into().ok().filter(|_| usable);
    weights.ok_or(CoaccessError::Weights { bytes: bytes.len() })
}
