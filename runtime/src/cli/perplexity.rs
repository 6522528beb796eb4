//! `symbiote-run perplexity`.

use symbiote_runtime::engine::EngineError;

use super::args::PerplexityArgs;
use super::open::{check_validation, open, sentence};
use super::output::{Failure, note, print, read_text};

/// Measures and prints.
pub fn run(args: &PerplexityArgs) -> Result<(), Failure> {
    let text = read_text(&args.file)?;
    let mut engine = open(&args.model, &args.engine, args.json)?;
    let context = engine.context();
    let result = engine.perplexity(&text, context, &mut |done, all, running| {
        if !args.json {
            note(format!("window {done}/{all}: {running:.4}"));
        }
    });
    let p = result.map_err(|e| match e {
        EngineError::ShortText { .. } => format!("{}: {e}", args.file.display()).into(),
        e => sentence(&args.model, &e),
    })?;
    if args.json {
        let json = serde_json::json!({
            "perplexity": p.perplexity, "ctx": context, "tokens": p.tokens, "windows": p.windows,
            "scored": p.scored, "running": p.running,
        });
        print(format!("{json}\n"))?;
    } else {
        let (scored, windows) = (p.scored, p.windows);
        print(format!("perplexity {:.4} over {scored} predictions in {windows} windows of {context}\n", p.perplexity))?;
    }
    check_validation(&engine)
}
