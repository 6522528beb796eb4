//! Lines over an axis, as a picture: SVG, by hand.

use std::fmt::Write;
use std::path::Path;

use super::output::Failure;

/// Pixels.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 70.0;
const TOP: f64 = 40.0;
const RIGHT: f64 = 20.0;
const BOTTOM: f64 = 50.0;
const COLOURS: [&str; 8] = ["#1a73e8", "#9aa0a6", "#1e8e5a", "#d93025", "#f29900", "#8430ce", "#12858d", "#6d4c41"];
/// Marks on an axis.
const MARKS: u32 = 5;

/// A picture of some lines, whose axes start at 0.
pub struct Chart {
    pub title: String,
    pub x: &'static str,
    pub y: &'static str,
    pub lines: Vec<Line>,
}

/// A line, from left to right.
pub struct Line {
    pub name: &'static str,
    pub points: Vec<(f64, f64)>,
}

impl Chart {
    /// Writes the picture to `file`.
    pub fn write(&self, file: &Path) -> Result<(), Failure> {
        std::fs::write(file, self.svg()).map_err(|e| format!("{}: cannot write the chart: {e}", file.display()).into())
    }

    fn svg(&self) -> String {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let most = |of: fn(&(f64, f64)) -> f64| points().map(of).fold(f64::MIN_POSITIVE, f64::max) * 1.05;
        let (right, top) = (most(|p| p.0), most(|p| p.1));
        let x = |value: f64| LEFT + value / right * (WIDTH - LEFT - RIGHT);
        let y = |value: f64| HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM);
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
        );
        // writing to a String cannot fail
        let mut text = |x: f64, y: f64, anchor: &str, text: &str| {
            let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            let _ = writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>");
        };
        text(LEFT, 20.0, "start", &self.title);
        text((LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 10.0, "middle", self.x);
        text(LEFT, TOP - 6.0, "end", self.y);
        for mark in 0..=MARKS {
            let part = f64::from(mark) / f64::from(MARKS);
            text(x(right * part), HEIGHT - BOTTOM + 16.0, "middle", &format!("{:.2}", right * part));
            text(LEFT - 6.0, y(top * part) + 4.0, "end", &format!("{:.2}", top * part));
        }
        let axes = format!("M{LEFT} {TOP}V{}H{}", HEIGHT - BOTTOM, WIDTH - RIGHT);
        let _ = writeln!(out, "<path d=\"{axes}\" fill=\"none\" stroke=\"black\"/>");
        for (i, (line, colour)) in self.lines.iter().zip(COLOURS.into_iter().cycle()).enumerate() {
            let (x, y) = (LEFT + 10.0, TOP + 16.0 * (i as f64));
            let _ = writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" fill=\"{colour}\">\u{25a0} {}</text>", line.name);
        }
        for (line, colour) in self.lines.iter().zip(COLOURS.into_iter().cycle()) {
            let points: Vec<String> = line.points.iter().map(|p| format!("{:.1},{:.1}", x(p.0), y(p.1))).collect();
            let points = points.join(" ");
            let _ =
                writeln!(out, "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>");
        }
        out + "</svg>\n"
    }
}
