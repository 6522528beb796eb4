//! `symbiote-run profile`: which experts texts go through.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};
use symbiote_format::{Coaccess, CoaccessError, limits};
use symbiote_runtime::engine::{EngineError, ProfileText};
use symbiote_runtime::memory::ByteSize;
use symbiote_runtime::pak::PakFile;

use super::args::ProfileArgs;
use super::open::{check_validation, open, print_profile, sentence};
use super::output::{Failure, plain, print, read_text, write_whole};

/// Gathers, writes and says what came out.
pub fn run(args: &ProfileArgs) -> Result<(), Failure> {
    let output = output(args)?;
    let texts = args.text.iter().map(|text| read(text)).collect::<Result<Vec<_>, _>>()?;
    // before anything is loaded
    let pak = PakFile::open(&args.model).map_err(|e| e.to_string())?;
    let no_experts = || sentence(&args.model, &EngineError::from(CoaccessError::NoExperts));
    let cycle = pak.archive().token_cycle_bytes().ok_or_else(no_experts)?;
    drop(pak);

    let mut engine = open(&args.model, &args.engine, args.json)?;
    let bar = bar(args.json);
    let start = Instant::now();
    let found = engine.coaccess(&texts, &mut |done, all| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
    });
    bar.finish_and_clear();
    let found = found.map_err(|e| sentence(&args.model, &e))?;
    check_validation(&engine)?;
    let bytes = found.to_file().map_err(|e| format!("{}: {e}", args.model.display()))?;
    write_whole(&output, |to| to.write_all(&bytes).map_err(|e| plain(&e)))?;
    print_profile(&engine);
    let summary = Summary { output, found, cycle, time: start.elapsed() };
    print(if args.json { format!("{}\n", summary.json()) } else { summary.text() })
}

/// Where statistics go; found out before the long work.
fn output(args: &ProfileArgs) -> Result<PathBuf, Failure> {
    let named = || args.model.with_extension("coaccess").file_name().map(PathBuf::from);
    let output = args.output.clone().or_else(named).ok_or("name an output with -o")?;
    free(&output, args.force)?;
    Ok(output)
}

/// Whether a file can be written there.
pub fn free(output: &Path, force: bool) -> Result<(), Failure> {
    let folder = output.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let wrong = match () {
        () if !folder.is_dir() => "there is no such folder: name another output with -o",
        () if output.is_dir() => "this is a folder: name a file with -o",
        () if !force && output.symlink_metadata().is_ok() => {
            "the file exists: name another with -o, or add --force to replace it"
        }
        () => return Ok(()),
    };
    Err(format!("{}: {wrong}", output.display()).into())
}

/// A text and its domain, from `FILE` or `NAME=FILE`.
pub fn read(given: &str) -> Result<ProfileText, Failure> {
    let path = Path::new(given);
    let (name, path) = match given.split_once('=') {
        Some((name, file)) if !path.exists() => (name.to_owned(), Path::new(file)),
        _ => (path.file_stem().unwrap_or_default().to_string_lossy().into_owned(), path),
    };
    let text = read_text(path)?;
    let most = limits::DOMAIN_NAME_BYTES;
    if name.is_empty() || name.len() > most || name.chars().any(char::is_control) {
        let advice = format!("a domain's name has 1 to {most} bytes and no control characters: give one as NAME=FILE");
        return Err(format!("{}: {advice}", path.display()).into());
    }
    if text.is_empty() {
        return Err(format!("{}: the file is empty", path.display()).into());
    }
    Ok(ProfileText { domain: name, text })
}

/// Shows on a terminal only.
pub fn bar(quiet: bool) -> ProgressBar {
    let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let bar = ProgressBar::with_draw_target(None, target);
    let style = "reading {bar:30} {pos}/{len} tokens, {per_sec}, {eta} left";
    bar.set_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

/// What came out.
struct Summary {
    output: PathBuf,
    found: Coaccess,
    /// Bytes of a token cycle.
    cycle: u64,
    time: Duration,
}

#[allow(clippy::cast_precision_loss)] // far fewer than 2^53
impl Summary {
    /// Sizes of a cache in token cycles and in experts, and the share of requests that it has.
    fn hits(&self) -> impl Iterator<Item = (f64, u32, f64)> {
        let (cycle, requests) = (self.found.mixture.cycle().max(1) as f64, self.found.requests().max(1) as f64);
        self.found.hits.iter().map(move |hit| (f64::from(hit.slots) / cycle, hit.slots, hit.hits as f64 / requests))
    }

    fn text(&self) -> String {
        let c = &self.found;
        let domains: Vec<String> = c.domains.iter().map(|d| format!("{} {}", d.name, d.tokens)).collect();
        let mut text = format!("{}: {} tokens: {}\n", self.output.display(), c.tokens(), domains.join(", "));
        let (cycle, all) = (c.mixture.cycle(), c.mixture.count());
        text += &format!("a token goes through {cycle} of {all} experts, {}\n", ByteSize(self.cycle));
        // every size would be a table: inspect shows it
        let whole = self.hits().filter(|(cycles, ..)| [0.5, 1.0, 2.0, 4.0].contains(cycles));
        let rates: Vec<String> =
            whole.map(|(cycles, _, rate)| format!("{:.1} % at {cycles} times that", rate * 100.0)).collect();
        text + &format!("an LRU cache of experts hits {}\n", rates.join(", "))
    }

    fn json(&self) -> Value {
        let c = &self.found;
        let domains: Vec<Value> = c.domains.iter().map(|d| json!({ "name": d.name, "tokens": d.tokens })).collect();
        let hits =
            self.hits().map(|(cycles, experts, rate)| json!({ "cycles": cycles, "experts": experts, "rate": rate }));
        json!({
            "file": self.output.display().to_string(), "tokens": c.tokens(), "domains": domains,
            "token_cycle": { "experts": c.mixture.cycle(), "bytes": self.cycle }, "lru": hits.collect::<Vec<_>>(),
            "warm_start": c.warm_start().is_some(), "seconds": self.time.as_secs_f64(),
        })
    }
}
