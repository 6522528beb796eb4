//! Models split into several GGUF files: `NAME-00001-of-00003.gguf` and its siblings.

use std::path::{Path, PathBuf};

use super::keys::Keys;
use super::{GgufError, container::Container};
use crate::limits;

/// The place of one file in a split model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Split {
    /// From 1.
    pub number: u64,
    pub count: u64,
    /// Tensors in all files together.
    pub tensors: Option<u64>,
}

/// The file's place by its own keys; `None` for a model in one file.
pub(super) fn of(container: &Container) -> Result<Option<Split>, GgufError> {
    let keys = Keys(&container.pairs);
    let count = keys.unsigned("split.count")?.unwrap_or(1);
    if count <= 1 {
        return Ok(None);
    }
    let limit = limits::SHARDS as u64;
    if count > limit {
        return Err(GgufError::AboveLimit { what: "files of one split model", found: count, limit });
    }
    let missing = || GgufError::MissingKey { key: "split.no".into() };
    let number = keys.unsigned("split.no")?.ok_or_else(missing)?;
    let number = number.checked_add(1).filter(|n| *n <= count).ok_or(GgufError::KeyType {
        key: "split.no".into(),
        found: number.to_string(),
        expected: "below split.count",
    })?;
    Ok(Some(Split { number, count, tensors: keys.unsigned("split.tensors.count")? }))
}

/// The paths of all the files of a split model, given one of them.
pub(super) fn paths(one: &Path, split: Split) -> Result<Vec<PathBuf>, GgufError> {
    let Split { number, count, .. } = split;
    let refuse = GgufError::SplitName { number, count };
    let name = one.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    let Some(stem) = name.strip_suffix(&format!("-{number:05}-of-{count:05}.gguf")) else { return Err(refuse) };
    Ok((1..=count).map(|i| one.with_file_name(format!("{stem}-{i:05}-of-{count:05}.gguf"))).collect())
}

/// `name` (without `.gguf`) less the `-00001-of-00003` of a split model.
pub(crate) fn stem(name: &str) -> &str {
    let number = |text: &str| text.len() == 5 && text.bytes().all(|b| b.is_ascii_digit());
    match name.rsplit_once("-of-").and_then(|(front, count)| Some((front.rsplit_once('-')?, count))) {
        Some(((stem, no), count)) if number(no) && number(count) && !stem.is_empty() => stem,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn siblings_are_found_from_any_of_them() {
        let split = Split { number: 2, count: 3, tensors: None };
        let all = paths(Path::new("/m/a-00002-of-00003.gguf"), split).unwrap();
        assert_eq!(all[0], Path::new("/m/a-00001-of-00003.gguf"));
        assert_eq!(all[2], Path::new("/m/a-00003-of-00003.gguf"));
        assert_eq!(paths(Path::new("/m/b.gguf"), split), Err(GgufError::SplitName { number: 2, count: 3 }));
    }

    #[test]
    fn the_stem_loses_only_a_split_suffix() {
        assert_eq!(stem("a-00001-of-00003"), "a");
        assert_eq!(stem("a-1-of-3"), "a-1-of-3");
        assert_eq!(stem("best-of-00003"), "best-of-00003");
        assert_eq!(stem("-00001-of-00003"), "-00001-of-00003");
    }
}
