//! `symbiote-run replay`: what caches of experts would have done on a recorded trace, policy by policy.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::str::FromStr;

use clap::ValueEnum;
use serde_json::{Value, json};
use symbiote_runtime::memory::ByteSize;
use symbiote_runtime::residency::experts::{
    AgeFrequency, ExpertPolicy, ExpertShape, Lfu, OracleKind, Pin, WarmStart, policy,
};
use symbiote_runtime::trace::{Belady, Replay, Replayed, Trace};

use super::args::{ReplayArgs, Synthetic};
use super::chart::{Chart, Line};
use super::output::{Failure, plain, print};

/// Layers, experts and experts used of what is made up, and its tokens.
const MADE_UP: (ExpertShape, usize) = (ExpertShape { layers: 8, experts: 32, used: 4 }, 1000);
const DENSE: (usize, usize, usize) = (16, 8, 64);

/// A policy to replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Player {
    /// Knows the trace: the bound
    Belady,
    /// When an expert is expected to be needed next, watched by LRU
    NextUse,
    /// The same by a table of age and frequency
    AgeFrequency,
    /// The weighted sum, watched by LRU
    Classic,
    /// What was used most
    Lfu,
    /// What was used last
    Lru,
    /// What the prompt used most; without a prompt, what came first
    Pin,
    /// What the whole trace uses most, which nobody knows beforehand
    BestPin,
}

impl Player {
    fn name(self) -> &'static str {
        match self {
            Self::Belady => "belady",
            Self::NextUse => "next-use",
            Self::AgeFrequency => "age-frequency",
            Self::Classic => "classic",
            Self::Lfu => "lfu",
            Self::Lru => "lru",
            Self::Pin => "pin",
            Self::BestPin => "best-pin",
        }
    }

    fn policy(self, trace: &Trace, slots: usize) -> Box<dyn ExpertPolicy> {
        let (shape, warm) = (trace.shape, WarmStart { heat: trace.prompt.clone(), ..WarmStart::default() });
        let seeded = |mut policy: Box<dyn ExpertPolicy>, heat: &[f32]| {
            policy.seed(heat);
            policy
        };
        match self {
            Self::Belady => Box::new(Belady::new(trace)),
            Self::NextUse => policy(OracleKind::NextUse, shape, slots, &warm),
            Self::AgeFrequency => seeded(Box::new(AgeFrequency::new(shape)), &trace.prompt),
            Self::Classic => policy(OracleKind::Classic, shape, slots, &warm),
            Self::Lfu => Box::new(Lfu::new(shape)),
            Self::Lru => policy(OracleKind::Lru, shape, slots, &warm),
            Self::Pin => policy(OracleKind::Pin, shape, slots, &warm),
            Self::BestPin => seeded(Box::new(Pin::new(shape)), &trace.heat()),
        }
    }
}

/// How large a cache is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Slots {
    /// So many experts.
    Count(usize),
    /// So many times what one token uses.
    Cycles(f64),
}

impl FromStr for Slots {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "it must be a number of experts, or of tokens' experts as in 2x".to_owned();
        match text.strip_suffix('x') {
            None => text.parse().map(Self::Count).map_err(|_| wrong()),
            Some(cycles) => match cycles.parse() {
                Ok(cycles) if (0.0..=1e6).contains(&cycles) => Ok(Self::Cycles(cycles)),
                _ => Err(wrong()),
            },
        }
    }
}

impl Slots {
    fn of(self, shape: ExpertShape) -> usize {
        match self {
            Self::Count(count) => count,
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
            Self::Cycles(cycles) => (cycles * shape.active() as f64).round() as usize,
        }
    }
}

/// A cache size, and what each policy did with it.
struct Row {
    slots: usize,
    cycles: f64,
    results: Vec<Replayed>,
}

/// Replays and prints.
pub fn run(args: &ReplayArgs) -> Result<(), Failure> {
    let (name, trace) = read(args)?;
    let players = if args.policy.is_empty() { Player::value_variants().to_vec() } else { args.policy.clone() };
    #[allow(clippy::cast_precision_loss)] // far fewer than 2^53
    let row = |slots: usize| Row {
        slots,
        cycles: slots as f64 / trace.shape.active() as f64,
        results: players
            .iter()
            .map(|player| replay(args, slots).run(&trace, &mut *player.policy(&trace, slots)))
            .collect(),
    };
    let rows: Vec<Row> = args.slots.iter().map(|slots| row(slots.of(trace.shape))).collect();
    if let Some(file) = &args.chart {
        let points = |i: usize| rows.iter().map(|row| (row.cycles, row.results[i].hit_rate())).collect();
        let lines = players.iter().enumerate().map(|(i, player)| Line { name: player.name(), points: points(i) });
        let (title, x) = (format!("{name}: {}", trace.model), "cache, in experts that one token uses");
        Chart { title, x, y: "hit rate", lines: lines.collect() }.write(file)?;
    }
    match args.json {
        true => print(format!("{}\n", describe(&trace, &players, &rows))),
        false => print(text(&name, &trace, &players, &rows, args)),
    }
}

fn replay(args: &ReplayArgs, slots: usize) -> Replay {
    Replay { slots, warm_up: args.warm_up, transfers: usize::from(args.lookahead) }
}

/// The trace, and what it is called.
fn read(args: &ReplayArgs) -> Result<(String, Trace), Failure> {
    let made = match args.synthetic {
        None => None,
        Some(Synthetic::Dense) => Some(("dense", Trace::dense(DENSE.0, DENSE.1, DENSE.2))),
        Some(Synthetic::Iid) => Some(("iid", Trace::independent(MADE_UP.0, MADE_UP.1))),
    };
    if let Some((name, trace)) = made {
        return Ok((name.into(), trace.map_err(|e| e.to_string())?));
    }
    let path = args.trace.as_deref().ok_or("name a trace")?; // clap has asked for it
    let name = path.display();
    let bytes = bytes(path).map_err(|e| format!("{name}: {e}"))?;
    Ok((name.to_string(), Trace::parse(&bytes).map_err(|e| format!("{name}: {e}"))?))
}

fn bytes(path: &Path) -> Result<Vec<u8>, String> {
    let mut file = File::open(path).map_err(|e| plain(&e))?;
    let (mut bytes, most) = (Vec::new(), Trace::MAX_BYTES);
    file.by_ref().take(most + 1).read_to_end(&mut bytes).map_err(|e| plain(&e))?;
    if bytes.len() as u64 > most {
        return Err(format!("traces of more than {} are not read", ByteSize(most)));
    }
    Ok(bytes)
}

fn text(name: &str, trace: &Trace, players: &[Player], rows: &[Row], args: &ReplayArgs) -> String {
    let ExpertShape { layers, experts, used } = trace.shape;
    let active = trace.shape.active();
    let mut text =
        format!("{name}: {layers} layers of {experts} experts, {used} a token; {} tokens", trace.tokens.len());
    text += &format!(", {} not counted\none token uses {active} experts", args.warm_up.min(trace.tokens.len()));
    if trace.expert_bytes > 0 {
        text += &format!(", {}", ByteSize(trace.expert_bytes.saturating_mul(active as u64)));
    }
    text += "\n";
    let mut table = |title: &str, of: &dyn Fn(&Replayed) -> String| {
        text += &format!("\n{title}\n{:>7} {:>6}", "slots", "cycles");
        players.iter().for_each(|player| text += &format!(" {:>13}", player.name()));
        for row in rows {
            text += &format!("\n{:>7} {:>6.2}", row.slots, row.cycles);
            row.results.iter().for_each(|result| text += &format!(" {:>13}", of(result)));
        }
        text += "\n";
    };
    table("hit rate", &|r| format!("{:.3}", r.hit_rate()));
    table("transfers a token that a layer waits for", &|r| format!("{:.1}", r.stalls()));
    if args.lookahead {
        table("brought ahead a token, and how many of them were used", &|r| {
            #[allow(clippy::cast_precision_loss)] // far fewer than 2^53
            let each = r.ahead as f64 / r.tokens.max(1) as f64;
            format!("{each:.1} {:3.0} %", r.precision() * 100.0)
        });
    }
    table("microseconds a token, policy and cache", &|r| format!("{:.1}", r.time.as_secs_f64() * 1e6));
    text
}

fn describe(trace: &Trace, players: &[Player], rows: &[Row]) -> Value {
    let ExpertShape { layers, experts, used } = trace.shape;
    let result = |(player, r): (&Player, &Replayed)| {
        json!({
            "policy": player.name(), "hit_rate": r.hit_rate(), "stalls_a_token": r.stalls(), "uses": r.uses,
            "ahead": r.ahead, "ahead_used": r.right, "microseconds_a_token": r.time.as_secs_f64() * 1e6,
        })
    };
    let row = |row: &Row| {
        let results: Vec<Value> = players.iter().zip(&row.results).map(result).collect();
        json!({ "slots": row.slots, "cycles": row.cycles, "results": results })
    };
    json!({
        "model": trace.model, "layers": layers, "experts": experts, "used": used, "tokens": trace.tokens.len(),
        "expert_bytes": trace.expert_bytes, "rows": rows.iter().map(row).collect::<Vec<_>>(),
    })
}
