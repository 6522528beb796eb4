//! `symbiote-run perplexity`.

use symbiote_runtime::engine::EngineError;

use super::Failure;
use super::args::PerplexityArgs;
use super::open::{check_validation, open, sentence};

/// Measures and prints.
pub fn run(args: &PerplexityArgs) -> Result<(), Failure> {
    let text = std::fs::read_to_string(&args.file).map_err(|e| format!("{}: {e}", args.file.display()))?;
    let mut engine = open(&args.model, &args.engine, args.json)?;
    let context = engine.context();
    let result = engine.perplexity(&text, context, &mut |done, all, running| {
        if !args.json {
            eprintln!("window {done}/{all}: {running:.4}");
        }
    });
    let p = result.map_err(|e| match e {
        EngineError::ShortText { .. } => format!("{}: {e}", args.file.display()),
        e => sentence(&args.model, &e),
    })?;
    if args.json {
        let json = serde_json::json!({
            "perplexity": p.perplexity, "ctx": context, "tokens": p.tokens, "windows": p.windows,
            "scored": p.scored, "running": p.running,
        });
        println!("{json}");
    } else {
        println!("perplexity {:.4} over {} predictions in {} windows of {context}", p.perplexity, p.scored, p.windows);
    }
    check_validation(&engine)
}
