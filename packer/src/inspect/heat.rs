//! The heat of experts as a picture: a row a layer, a column an expert; one panel for all texts, one for each domain.

use std::fmt::{self, Write};

use symbiote_format::Coaccess;

use crate::svg::{escaped, head};

/// Pixels.
const LEFT: f64 = 64.0;
const WIDEST: f64 = 1024.0;
const NARROWEST: f64 = 620.0;
const TOP: f64 = 52.0;
const TITLE: f64 = 30.0;
const AXIS: f64 = 24.0;
/// From no heat to four times the mean of a layer, and above.
const COLOURS: [&str; 17] = [
    "#f7fbff", "#e9f2fb", "#dbe9f6", "#cde0f1", "#bcd7eb", "#a6cde4", "#8cc0dd", "#72b2d7", "#5aa3cf", "#4493c7",
    "#3082be", "#2070b4", "#135fa7", "#0a4e96", "#083d7f", "#08306b", "#041d45",
];
const NEVER: &str = "#f2d5c4";

struct Panel<'a> {
    title: String,
    tokens: u32,
    counts: &'a [u32],
}

/// The picture, as the text of an SVG file; `file` names it.
pub(super) fn picture(file: &str, c: &Coaccess) -> String {
    let counts = c.counts();
    let mut panels = vec![Panel { title: format!("{} tokens", c.tokens()), tokens: c.tokens(), counts: &counts }];
    if c.domains.len() > 1 {
        panels.extend(c.domains.iter().map(|d| {
            let title = format!("{}: {} tokens", d.name, d.tokens);
            Panel { title, tokens: d.tokens, counts: &d.heat }
        }));
    }
    let mut out = String::new();
    // writing to a String cannot fail
    let _ = write(&mut out, file, c, &panels);
    out
}

fn write(out: &mut String, file: &str, c: &Coaccess, panels: &[Panel]) -> fmt::Result {
    let (columns, rows) = (f64::from(c.mixture.experts), count(c.mixture.layers.len()));
    let cell = (WIDEST / columns).floor().clamp(2.0, 16.0);
    let panel = TITLE + rows * cell + AXIS;
    let width = (LEFT + columns * cell + 16.0).max(NARROWEST);
    head(out, width, TOP + count(panels.len()) * panel + 40.0)?;
    writeln!(out, r#"<text x="16" y="30" font-size="17">{}: heat of experts</text>"#, escaped(file))?;
    let mut y = TOP;
    for panel in panels {
        writeln!(out, r#"<text x="16" y="{}" font-weight="bold">{}</text>"#, y + 12.0, escaped(&panel.title))?;
        y += TITLE;
        cells(out, c, panel, y, cell)?;
        axes(out, c, y, cell)?;
        y += rows * cell + AXIS;
    }
    legend(out, y + 16.0)?;
    writeln!(out, "</svg>")
}

/// The cells of a panel, all of one colour as one path.
fn cells(out: &mut String, c: &Coaccess, panel: &Panel, top: f64, cell: f64) -> fmt::Result {
    let experts = c.mixture.experts as usize;
    let alike = f64::from(panel.tokens) * f64::from(c.mixture.used) / f64::from(c.mixture.experts);
    let mut paths = vec![String::new(); COLOURS.len() + 1];
    for (number, heat) in panel.counts.iter().enumerate() {
        let (x, y) = (LEFT + count(number % experts) * cell, top + count(number / experts) * cell);
        write!(paths[level(*heat, alike)], "M{x} {y}h{cell}v{cell}h-{cell}z")?;
    }
    for (path, colour) in paths.iter().zip(COLOURS.iter().chain([&NEVER])).filter(|(path, _)| !path.is_empty()) {
        writeln!(out, r#"<path fill="{colour}" d="{path}"/>"#)?;
    }
    Ok(())
}

/// The number of a heat's colour; `alike` is the heat of experts that are all used alike.
fn level(heat: u32, alike: f64) -> usize {
    if heat == 0 {
        return COLOURS.len();
    }
    let level = f64::from(heat) / alike * 4.0;
    (1..COLOURS.len()).take_while(|step| count(*step) <= level).count()
}

/// Numbers of layers and experts, as many as there is room for.
fn axes(out: &mut String, c: &Coaccess, top: f64, cell: f64) -> fmt::Result {
    let bottom = top + count(c.mixture.layers.len()) * cell;
    let apart = |pixels: f64| (0..).map(|power| 1usize << power).find(|n| count(*n) * cell >= pixels).unwrap_or(1);
    for (row, layer) in c.mixture.layers.iter().enumerate().step_by(apart(14.0)) {
        let y = top + (count(row) + 0.5) * cell + 4.0;
        writeln!(out, r#"<text x="{}" y="{y}" font-size="11" text-anchor="end">{layer}</text>"#, LEFT - 6.0)?;
    }
    for (y, text) in [(top - 4.0, "layer"), (bottom + 14.0, "expert")] {
        writeln!(out, r#"<text x="{}" y="{y}" font-size="11" text-anchor="end">{text}</text>"#, LEFT - 6.0)?;
    }
    for expert in (0..c.mixture.experts as usize).step_by(apart(32.0)) {
        let x = LEFT + (count(expert) + 0.5) * cell;
        writeln!(out, r#"<text x="{x}" y="{}" font-size="11" text-anchor="middle">{expert}</text>"#, bottom + 14.0)?;
    }
    Ok(())
}

fn legend(out: &mut String, y: f64) -> fmt::Result {
    let mut x = 16.0;
    writeln!(out, r#"<rect x="{x}" y="{}" width="12" height="12" fill="{NEVER}"/>"#, y - 10.0)?;
    writeln!(out, r#"<text x="{}" y="{y}">never used</text>"#, x + 18.0)?;
    x += 120.0;
    for colour in COLOURS {
        writeln!(out, r#"<rect x="{x}" y="{}" width="12" height="12" fill="{colour}"/>"#, y - 10.0)?;
        x += 12.0;
    }
    writeln!(out, r#"<text x="{}" y="{y}">from none to 4 times the mean of a layer, and above</text>"#, x + 6.0)
}

/// A number far below 2^53.
#[allow(clippy::cast_precision_loss)]
fn count(n: usize) -> f64 {
    n as f64
}
