//! A measurement as a picture: bits a weight of each codec as bars, beside the floor as a line. SVG, by hand.

use std::fmt::{self, Write};

use symbiote_format::Codec;

use super::tally::{Measurement, Total};
use super::text::{grouped, tensors};
use crate::report::ratio;
use crate::svg::{escaped, head};

/// Pixels.
const WIDTH: f64 = 760.0;
const LEFT: f64 = 120.0;
const BARS: f64 = 480.0;
const BAR: f64 = 18.0;
const STEP: f64 = 24.0;
const TITLE: f64 = 34.0;
/// A bar longer than this many times the source is cut off, and says so.
const LONGEST: f64 = 1.15;

/// Bars with one scale.
struct Group {
    title: String,
    bars: Vec<Bar>,
    /// Bits a weight in the source, and at the floor.
    source: f64,
    floor: f64,
}

struct Bar {
    label: String,
    bits: f64,
    colour: &'static str,
}

const STORED: &str = "#9aa0a6";
const RUNS: &str = "#1a73e8";
const SHIPS: &str = "#1e8e5a";
const FLOOR: &str = "#d93025";

impl Measurement {
    /// The picture, as the text of an SVG file.
    pub fn to_svg(&self) -> String {
        let mut groups: Vec<Group> = self
            .types()
            .iter()
            .map(|(dtype, count, total)| {
                let title = format!("{dtype}: {}, {} weights", tensors(*count), grouped(total.weights));
                Group { title, bars: codecs(total), source: total.bits(total.source_bytes), floor: total.floor() }
            })
            .collect();
        groups.push(whole(&self.total()));
        let mut out = String::new();
        // writing to a String cannot fail
        let _ = write(&mut out, &self.file, &groups);
        out
    }
}

fn codecs(total: &Total) -> Vec<Bar> {
    let bar = |(codec, bytes, _): &(Codec, u64, Option<u64>)| {
        let colour = match codec {
            Codec::Raw => STORED,
            codec if codec.runs() => RUNS,
            _ => SHIPS,
        };
        Bar { label: codec.name().into(), bits: total.bits(*bytes), colour }
    };
    total.coded.iter().map(bar).collect()
}

fn whole(total: &Total) -> Group {
    let bar = |label: &str, bytes, colour| Bar { label: label.into(), bits: total.bits(bytes), colour };
    let bars = vec![
        bar("source", total.source_bytes, STORED),
        bar("--target run", total.run.bytes, RUNS),
        bar("--target ship", total.ship.bytes, SHIPS),
    ];
    let (run, ship) = (ratio(total.run.bytes, total.source_bytes), ratio(total.ship.bytes, total.source_bytes));
    let title = format!("All tensors: run {run:.3} of the source, ship {ship:.3}");
    Group { title, bars, source: total.bits(total.source_bytes), floor: total.floor() }
}

fn write(out: &mut String, file: &str, groups: &[Group]) -> fmt::Result {
    let rows: usize = groups.iter().map(|group| group.bars.len()).sum();
    let height = 60.0 + groups.len() as f64 * (TITLE + 14.0) + rows as f64 * STEP + 40.0;
    head(out, WIDTH, height)?;
    writeln!(out, r#"<text x="16" y="30" font-size="17">{}: bits a weight</text>"#, escaped(file))?;
    let mut y = 52.0;
    for group in groups {
        y = write_group(out, group, y)?;
    }
    y += 16.0;
    let mut x = 16.0;
    for (colour, label) in [
        (STORED, "as stored"),
        (RUNS, "computed on as it is"),
        (SHIPS, "decoded before use"),
        (FLOOR, "floor: order-0 entropy"),
    ] {
        writeln!(out, r#"<rect x="{x}" y="{}" width="12" height="12" fill="{colour}"/>"#, y - 10.0)?;
        writeln!(out, r#"<text x="{}" y="{y}">{label}</text>"#, x + 18.0)?;
        x += 180.0;
    }
    writeln!(out, "</svg>")
}

/// Writes a group from `y` down; returns where it ends.
fn write_group(out: &mut String, group: &Group, mut y: f64) -> Result<f64, fmt::Error> {
    let scale = |bits: f64| if group.source > 0.0 { BARS * bits / group.source / LONGEST } else { 0.0 };
    y += TITLE - 12.0;
    writeln!(out, r#"<text x="16" y="{y}" font-weight="bold">{}</text>"#, escaped(&group.title))?;
    y += 12.0;
    let top = y - 2.0;
    for bar in &group.bars {
        let (middle, shown) = (y + BAR - 5.0, scale(bar.bits).min(BARS));
        let cut = if scale(bar.bits) > BARS { " (cut off)" } else { "" };
        writeln!(out, r#"<text x="{}" y="{middle}" text-anchor="end">{}</text>"#, LEFT - 8.0, bar.label)?;
        writeln!(
            out,
            r#"<rect x="{LEFT}" y="{y}" width="{shown:.1}" height="{BAR}" fill="{}"><title>{} {:.3}</title></rect>"#,
            bar.colour, bar.label, bar.bits
        )?;
        writeln!(out, r#"<text x="{:.1}" y="{middle}">{:.2}{cut}</text>"#, LEFT + shown + 8.0, bar.bits)?;
        y += STEP;
    }
    let x = LEFT + scale(group.floor);
    writeln!(out, r#"<line x1="{x:.1}" x2="{x:.1}" y1="{top}" y2="{}" stroke="{FLOOR}" stroke-width="2"/>"#, y - 2.0)?;
    writeln!(
        out,
        r#"<text x="{x:.1}" y="{}" text-anchor="middle" fill="{FLOOR}">{:.2}</text>"#,
        y + 10.0,
        group.floor
    )?;
    Ok(y + 14.0)
}
