//! Runs token ids through an archive and writes logits and routes, for `tests/fixtures/compare_routes.py`: see `--help`.
#![allow(missing_docs)]

use std::error::Error;
use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use clap::Parser;
use symbiote_runtime::engine::{KvType, OpenOptions, SymbioteEngine};

/// Reads token ids from standard input and writes, little-endian, `FOLDER/logits.f32` `[tokens][vocabulary]` and
/// `FOLDER/routes.u32`: of every layer of experts `[tokens][experts a token]`, as they were chosen.
#[derive(Parser)]
struct Args {
    /// The archive.
    pak: PathBuf,
    /// An existing folder.
    folder: PathBuf,
    /// Tokens a pass.
    #[arg(long, default_value_t = 512)]
    batch: u32,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("routes: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    let tokens = text.split_whitespace().map(str::parse).collect::<Result<Vec<u32>, _>>()?;
    let options = OpenOptions {
        kv_type: KvType::F32,
        batch: Some(args.batch),
        context: Some(u32::try_from(tokens.len())?),
        ..OpenOptions::default()
    };
    let mut engine = SymbioteEngine::open(&args.pak, &options)?;
    let layers: Arc<Mutex<Vec<Vec<u32>>>> = Arc::default();
    let told = Arc::clone(&layers);
    engine.on_route(Box::new(move |routes| {
        if let Ok(mut layers) = told.lock() {
            let layer = routes.layer as usize;
            let len = layers.len().max(layer + 1);
            layers.resize(len, Vec::new());
            layers[layer].extend_from_slice(routes.chosen);
        }
    }));
    let mut logits = Vec::new();
    engine.forward_from(&tokens, 0, &mut |_, row| logits.extend_from_slice(row))?;
    std::fs::write(args.folder.join("logits.f32"), bytemuck::cast_slice::<f32, u8>(&logits))?;
    let routes = layers.lock().map_err(|_| "a listener has failed")?.concat();
    std::fs::write(args.folder.join("routes.u32"), bytemuck::cast_slice::<u32, u8>(&routes))?;
    Ok(())
}
