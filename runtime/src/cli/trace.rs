//! `symbiote-run trace`: where the tokens of texts go, as a file to replay.

use symbiote_runtime::memory::ByteSize;
use symbiote_runtime::trace::Trace;

use super::args::TraceArgs;
use super::open::{check_validation, open, sentence};
use super::output::{Failure, plain, print, write_whole};
use super::profile::{bar, free, read};

/// Records and writes.
pub fn run(args: &TraceArgs) -> Result<(), Failure> {
    free(&args.output, args.force)?;
    let texts = args.text.iter().map(|text| read(text)).collect::<Result<Vec<_>, _>>()?;
    let mut engine = open(&args.model, &args.engine, false)?;
    let bar = bar(false);
    let found = engine.trace_routes(&texts, &mut |done, all| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
    });
    bar.finish_and_clear();
    let trace = found.map_err(|e| sentence(&args.model, &e))?;
    check_validation(&engine)?;
    write_whole(&args.output, |to| trace.write(to).map_err(|e| plain(&e)))?;
    print(text(&trace, args))
}

fn text(trace: &Trace, args: &TraceArgs) -> String {
    let (shape, file) = (trace.shape, args.output.display());
    let size = std::fs::metadata(&args.output).map_or(0, |file| file.len());
    let (tokens, size) = (trace.tokens.len(), ByteSize(size));
    format!(
        "{file}: {tokens} tokens, {} of {} experts in each of {} layers, {size}\n",
        shape.used, shape.experts, shape.layers
    )
}
