//! `--prompt-cache`.

use std::fs::File;
use std::io::{BufReader, ErrorKind};
use std::path::Path;

use symbiote_runtime::engine::{EngineError, PromptCacheError, SymbioteEngine};
use symbiote_runtime::memory::ByteSize;

use super::output::{Failure, note, plain, write_whole};

/// Takes over the sequence in `path`, if there is such a file yet.
pub fn load(engine: &mut SymbioteEngine, path: &Path, quiet: bool) -> Result<(), Failure> {
    let file = match File::open(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        opened => opened.map_err(|e| format!("{}: {}", path.display(), plain(&e)))?,
    };
    let advice = "name another file, or remove this one";
    engine.load_sequence(&mut BufReader::new(file)).map_err(|e| match e {
        EngineError::PromptCache(PromptCacheError::Io(e)) if e.kind() == ErrorKind::IsADirectory => {
            format!("{}: {}", path.display(), plain(&e))
        }
        e => format!("{}: {e}: {advice}", path.display()),
    })?;
    if !quiet {
        note(format!("prompt cache: {} tokens read from {}", engine.sequence().len(), path.display()));
    }
    Ok(())
}

/// Writes the sequence to `path`: all of it, or the file stays as it was.
pub fn save(engine: &SymbioteEngine, path: &Path, quiet: bool) -> Result<(), Failure> {
    let bytes = write_whole(path, |to| engine.save_sequence(to).map_err(|e| e.to_string()))?;
    if !quiet {
        let tokens = engine.sequence().len();
        note(format!("prompt cache: {tokens} tokens, {}, written to {}", ByteSize(bytes), path.display()));
    }
    Ok(())
}
