//! `--prompt-cache`.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, ErrorKind, Write};
use std::path::Path;

use symbiote_runtime::engine::{EngineError, PromptCacheError, SymbioteEngine};
use symbiote_runtime::memory::ByteSize;

use super::output::{Failure, note, plain};

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
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let part = path.with_file_name(format!(".{name}.{}.part", std::process::id()));
    let written = write(engine, &part).and_then(|bytes| {
        fs::rename(&part, path).map_err(|e| plain(&e))?;
        Ok(bytes)
    });
    let bytes = written.map_err(|e| {
        let _ = fs::remove_file(&part); // it may not be there
        format!("{}: {e}", path.display())
    })?;
    if !quiet {
        let tokens = engine.sequence().len();
        note(format!("prompt cache: {tokens} tokens, {}, written to {}", ByteSize(bytes), path.display()));
    }
    Ok(())
}

fn write(engine: &SymbioteEngine, part: &Path) -> Result<u64, String> {
    let file = File::create_new(part).map_err(|e| plain(&e))?;
    let mut to = BufWriter::new(file);
    let bytes = engine.save_sequence(&mut to).map_err(|e| e.to_string())?;
    to.flush().and_then(|()| to.get_ref().sync_all()).map_err(|e| plain(&e))?;
    Ok(bytes)
}
