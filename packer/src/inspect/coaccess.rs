//! Co-access statistics in words, as JSON and as a picture.

use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::path::Path;

use serde_json::{Value, json};
use symbiote_format::{ByteSize, COACCESS_MAGIC, Coaccess, CoaccessError, FormatError};

use super::heat;
use crate::archive_file::ArchiveFile;
use crate::error::{At, Error, Problem};
use crate::output::Output;
use crate::report::ratio;
use crate::source::SourceFile;

/// What is known of the experts of a model.
#[derive(Clone, Debug)]
pub struct CoaccessView {
    /// The file's name.
    pub file: String,
    /// The statistics.
    pub coaccess: Coaccess,
    /// Bytes of the experts that one token goes through, and of all; nothing for a file of statistics alone.
    pub bytes: Option<[u64; 2]>,
}

/// Reads the statistics in `path`, an archive or a file of statistics. Draws their heat as `chart`, where one is asked for; one
/// that is there is an error unless `force`.
pub fn inspect_coaccess(path: &Path, chart: Option<&Path>, force: bool) -> Result<CoaccessView, Error> {
    let view = read(path)?;
    if let Some(chart) = chart {
        let mut out = Output::create(chart, 0, force)?;
        out.file().write_all(view.to_svg().as_bytes()).at(chart)?;
        out.commit()?;
    }
    Ok(view)
}

fn read(path: &Path) -> Result<CoaccessView, Error> {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let file = name.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    let mut start = COACCESS_MAGIC;
    let source = SourceFile::open(path)?;
    if source.len() >= start.len() as u64 {
        source.read_at(&mut start, 0)?;
        if start == COACCESS_MAGIC {
            return Ok(CoaccessView { file, coaccess: crate::coaccess::read(path)?, bytes: None });
        }
    }
    let archive = ArchiveFile::open(path)?;
    let archive = archive.parse()?;
    let cycle = archive.token_cycle_bytes().ok_or(FormatError::from(CoaccessError::NoExperts)).at(path)?;
    let coaccess = archive.coaccess().cloned().ok_or(Problem::NoCoaccess).at(path)?;
    Ok(CoaccessView { file, coaccess, bytes: Some([cycle, archive.expert_bytes()]) })
}

impl CoaccessView {
    /// For people.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        // writing to a String cannot fail
        let _ = self.write(&mut out);
        out
    }

    /// The heat of every expert, over all texts and in each domain, as the text of an SVG file.
    pub fn to_svg(&self) -> String {
        heat::picture(&self.file, &self.coaccess)
    }

    fn write(&self, out: &mut String) -> fmt::Result {
        let c = &self.coaccess;
        writeln!(out, "{}: {}", self.file, c.mixture)?;
        let domains: Vec<String> = c.domains.iter().map(|d| format!("{} {}", d.name, d.tokens)).collect();
        writeln!(out, "  tokens       {}: {}", c.tokens(), domains.join(", "))?;
        write!(out, "  token cycle  {} of {} experts", c.mixture.cycle(), c.mixture.count())?;
        match self.bytes {
            Some([cycle, all]) => writeln!(out, ", {} of {}", ByteSize(cycle), ByteSize(all))?,
            None => writeln!(out)?,
        }
        let warm = if c.warm_start.is_some() { "the oracle's weights are there" } else { "none" };
        writeln!(out, "  warm start   {warm}")?;
        writeln!(out, "\n  {:>12}{:>10}{:>10}", "cache", "experts", "LRU hits")?;
        for hit in &c.hits {
            let rate = 100.0 * ratio(hit.hits, c.requests());
            writeln!(out, "  {:>5.2} cycles{:>10}{rate:>8.1} %", self.cycles(hit.slots), hit.slots)?;
        }
        writeln!(
            out,
            "\n  {:>5}  {:<30}{:>10}{:>22}",
            "layer", "hottest experts", "never used", "half of the tokens to"
        )?;
        let experts = c.mixture.experts as usize;
        for (layer, heat) in c.mixture.layers.iter().zip(c.heat().chunks(experts)) {
            let ranked = ranked(heat);
            let hottest = ranked.iter().take(3).map(|(expert, share)| format!("{expert} {:.1} %", share * 100.0));
            let never = heat.iter().filter(|share| **share == 0.0).count();
            let hottest = hottest.collect::<Vec<_>>().join(", ");
            writeln!(out, "  {layer:>5}  {hottest:<30}{never:>10}{:>14} experts", half(&ranked))?;
        }
        Ok(())
    }

    #[allow(clippy::cast_precision_loss)] // far fewer than 2^53
    fn cycles(&self, slots: u32) -> f64 {
        f64::from(slots) / self.coaccess.mixture.cycle().max(1) as f64
    }

    /// All of it, for programs.
    pub fn to_json(&self) -> Value {
        let c = &self.coaccess;
        let (m, experts) = (&c.mixture, c.mixture.experts as usize);
        let layers = |numbers: &[u32]| numbers.chunks(experts).map(<[u32]>::to_vec).collect::<Vec<_>>();
        let domain =
            |d: &symbiote_format::Domain| json!({ "name": d.name, "tokens": d.tokens, "heat": layers(&d.heat) });
        let hit = |h: &symbiote_format::CacheHits| {
            let rate = ratio(h.hits, c.requests());
            json!({ "cycles": self.cycles(h.slots), "experts": h.slots, "hits": h.hits, "rate": rate })
        };
        json!({
            "file": self.file,
            "model": {
                "name": m.name, "architecture": m.architecture, "layers": m.layers, "experts": m.experts, "used": m.used,
            },
            "tokens": c.tokens(),
            "token_cycle": { "experts": m.cycle(), "bytes": self.bytes.map(|bytes| bytes[0]) },
            "expert_bytes": self.bytes.map(|bytes| bytes[1]),
            "heat": layers(&c.counts()),
            "domains": c.domains.iter().map(domain).collect::<Vec<_>>(),
            "successors": c.successors.iter().map(|s| json!([s.expert, s.next, s.count])).collect::<Vec<_>>(),
            "order": layers(&c.order),
            "lru": c.hits.iter().map(hit).collect::<Vec<_>>(),
            "warm_start": c.warm_start.as_ref().map(|weights| weights.to_vec()),
        })
    }
}

/// Experts and their shares of tokens, the largest first.
fn ranked(heat: &[f32]) -> Vec<(usize, f32)> {
    let mut ranked: Vec<(usize, f32)> = heat.iter().copied().enumerate().collect();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
    ranked
}

/// How many experts have half of all heat.
fn half(ranked: &[(usize, f32)]) -> usize {
    let all: f32 = ranked.iter().map(|(_, share)| share).sum();
    let mut sum = 0.0;
    let before = |(_, share): &&(usize, f32)| {
        let short = sum < all / 2.0;
        sum += share;
        short
    };
    ranked.iter().take_while(before).count()
}
