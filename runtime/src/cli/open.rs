//! Opening the engine, with a progress bar; devices.

use std::path::Path;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use symbiote_runtime::engine::{EngineError, SymbioteEngine};
use symbiote_runtime::gpu::{Gpu, GpuError};
use symbiote_runtime::memory::ByteSize;
use symbiote_runtime::residency::ResidencyError;

use super::args::EngineArgs;
use super::output::{Failure, note, plain, print};

/// Opens `model`; the bar shows on a terminal only, while the first tokens are computed.
pub fn open(model: &Path, args: &EngineArgs, quiet: bool) -> Result<SymbioteEngine, Failure> {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    if quiet {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    let style = "loading {bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
    bar.set_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()));
    let mut engine = SymbioteEngine::open(model, &args.options()).map_err(|e| sentence(model, &e))?;
    if let Some(below) = engine.below_cycle().filter(|_| !quiet) {
        note(below);
    }
    engine.on_load(Box::new(move |done, all| {
        bar.set_length(all);
        bar.set_position(done);
        if done == all {
            bar.finish_and_clear();
        }
    }));
    Ok(engine)
}

/// An engine's error with the model's name, where it does not name it itself.
pub fn sentence(model: &Path, error: &EngineError) -> Failure {
    match error {
        EngineError::Gpu(GpuError::ShaderFolder { folder, reason }) => {
            format!("{}: {}", folder.display(), plain(reason)).into()
        }
        EngineError::Pak(_) | EngineError::Gpu(_) | EngineError::FileChanged { .. } => error.to_string().into(),
        // the archive names the pack itself, and a read that failed the file too
        EngineError::Residency(ResidencyError::Source { error, .. }) => {
            let (name, said) = (format!("{}: ", model.display()), error.to_string());
            if said.starts_with(&name) { said.into() } else { (name + &said).into() }
        }
        EngineError::NoTokenizer => {
            let advice = "convert the model again from a source with one";
            format!("{}: the archive has no tokenizer: {advice}", model.display()).into()
        }
        _ => format!("{}: {error}", model.display()).into(),
    }
}

/// Fails if the validation layer found an error.
pub fn check_validation(engine: &SymbioteEngine) -> Result<(), Failure> {
    match engine.gpu().validation_errors() {
        0 => Ok(()),
        n => {
            let messages = engine.gpu().validation_messages().join("; ");
            Err(format!("the validation layer found {n} errors: {messages}").into())
        }
    }
}

/// Prints what every kernel took, the longest first, if that was asked for.
pub fn print_profile(engine: &SymbioteEngine) {
    let mut times: Vec<_> = engine.kernel_times().into_iter().collect();
    times.sort_by(|a, b| b.1.nanoseconds.total_cmp(&a.1.nanoseconds));
    let all: f64 = times.iter().map(|(_, t)| t.nanoseconds).sum();
    for (name, t) in times {
        #[allow(clippy::cast_precision_loss)] // far fewer than 2^53
        let each = t.nanoseconds / t.count as f64 / 1e3;
        let (ms, share) = (t.nanoseconds / 1e6, t.nanoseconds / all * 100.0);
        note(format!("{ms:10.2} ms {share:5.1} % {:7} x {each:9.1} us  {name}", t.count));
    }
}

/// Prints the devices of this machine.
pub fn list_devices(validation: bool, json: bool) -> Result<(), Failure> {
    let devices = Gpu::list(validation).map_err(|e| e.to_string())?;
    if json {
        let list: Vec<_> = devices
            .iter()
            .map(|d| {
                serde_json::json!({
                    "index": d.index, "name": d.name, "kind": d.kind.to_string(), "driver": d.driver,
                    "api": format!("{}.{}.{}", d.api.0, d.api.1, d.api.2), "memory_bytes": d.heap_bytes,
                    "free_bytes": d.budget_free, "subgroup": d.subgroup, "missing": d.missing,
                })
            })
            .collect();
        return print(format!("{}\n", serde_json::Value::from(list)));
    }
    for d in devices {
        let free = d.budget_free.map_or(String::new(), |free| format!(" ({} free)", ByteSize(free)));
        let usable = d.missing.as_ref().map_or(String::new(), |missing| format!("; cannot be used: lacks {missing}"));
        let (major, minor, patch) = d.api;
        print(format!(
            "{}: {} ({}), Vulkan {major}.{minor}.{patch}, {}, {} of memory{free}{usable}\n",
            d.index,
            d.name,
            d.kind,
            d.driver.trim(),
            ByteSize(d.heap_bytes)
        ))?;
    }
    Ok(())
}
