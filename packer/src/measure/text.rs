//! A measurement for people.

use std::fmt::{self, Display, Write};

use symbiote_format::{ByteSize, Codec};

use super::floor;
use super::tally::{Measurement, PartsOf, Total};
use crate::report::ratio;

/// Widest column of names; longer ones push the rest of their line aside.
const NAME: usize = 56;

impl Measurement {
    /// A table of the tensors, and totals.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        // writing to a String cannot fail
        let _ = self.write(&mut out);
        out.chars().map(|c| if c.is_control() && c != '\n' { '?' } else { c }).collect()
    }

    fn write(&self, out: &mut String) -> fmt::Result {
        let total = self.total();
        let (count, weights, bytes) =
            (tensors(self.tensors.len()), grouped(total.weights), ByteSize(total.source_bytes));
        let name = self.file.replace('\n', "?");
        writeln!(out, "{name}: {count}, {weights} weights, {bytes}")?;
        writeln!(out, "Bits a weight by codec. Every encoding was decoded again and is its source, bit for bit.\n")?;

        let types = self.types();
        let codecs: Vec<Codec> =
            Codec::ALL.iter().copied().filter(|c| types.iter().any(|(_, _, t)| t.by(*c).is_some())).collect();
        let width = self.tensors.iter().map(|t| t.name.chars().count()).max().unwrap_or(0).clamp(20, NAME);
        write!(out, "  {:<width$}  {:<5}{:>13}{:>8}", "tensor", "type", "weights", "floor")?;
        codecs.iter().try_for_each(|codec| write!(out, "{:>8}", codec.name()))?;
        writeln!(out, "  {:<19}exceptions", "smallest")?;
        for t in &self.tensors {
            line(out, &t.name, width, t.dtype.name(), &t.total, &codecs)?;
        }
        writeln!(out)?;
        for (dtype, tensors, total) in &types {
            line(out, &format!("{tensors} of {dtype}"), width, dtype.name(), total, &codecs)?;
        }
        writeln!(out)?;
        self.totals(out, &total)?;
        writeln!(out, "\n{}", wrapped(floor::NOTE))
    }

    fn totals(&self, out: &mut String, total: &Total) -> fmt::Result {
        let mut row = |what: &str, bits: f64, bytes: f64, source: &PartsOf| {
            let share = bytes / (total.source_bytes.max(1) as f64);
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a length, and not negative
            let size = ByteSize(bytes.round() as u64);
            let codecs: Vec<String> = source
                .source_bytes
                .iter()
                .map(|(codec, bytes)| format!("{codec} {}", percent(ratio(*bytes, total.source_bytes))))
                .collect();
            writeln!(out, "  {what:<18}{size:>12}{bits:>8.2} bits {share:>7.3} of the source  {}", codecs.join(", "))
        };
        let none = PartsOf::default();
        let of = |bytes: u64| (total.bits(bytes), bytes as f64);
        let (bits, bytes) = of(total.source_bytes);
        row("source", bits, bytes, &none)?;
        let (bits, bytes) = of(total.run.bytes);
        row("--target run", bits, bytes, &total.run)?;
        let (bits, bytes) = of(total.ship.bytes);
        row("--target ship", bits, bytes, &total.ship)?;
        let (bits, bytes) = of(total.best_bytes);
        row("best, by tensor", bits, bytes, &none)?;
        row("floor", total.floor(), total.floor_bits / 8.0, &none)?;
        if !self.left_out.is_empty() {
            let mut types: Vec<&str> = self.left_out.iter().map(|(_, dtype)| dtype.as_str()).collect();
            types.sort_unstable();
            types.dedup();
            writeln!(
                out,
                "  left out: {} of types that are not read ({})",
                tensors(self.left_out.len()),
                types.join(", ")
            )?;
        }
        Ok(())
    }
}

fn line(out: &mut String, name: &str, width: usize, dtype: &str, t: &Total, codecs: &[Codec]) -> fmt::Result {
    let name = name.replace('\n', "?");
    write!(out, "  {name:<width$}  {dtype:<5}{:>13}{:>8.2}", grouped(t.weights), t.floor())?;
    for codec in codecs {
        match t.by(*codec) {
            Some((bytes, _)) => write!(out, "{:>8.2}", t.bits(bytes))?,
            None => write!(out, "{:>8}", "-")?,
        }
    }
    let (best, bytes) = t.best();
    let saved = 1.0 - ratio(bytes, t.source_bytes);
    let won = if best == Codec::Raw { "raw".into() } else { format!("{best}, {} less", percent(saved)) };
    write!(out, "  {won:<19}")?;
    let mut first = true;
    for (codec, _, exceptions) in &t.coded {
        let Some(count) = exceptions else { continue };
        let comma = if std::mem::take(&mut first) { "" } else { ", " };
        write!(out, "{comma}{codec} {} ({})", grouped(*count), percent(ratio(*count, t.weights.max(1))))?;
    }
    writeln!(out)
}

/// `1234567` as `1,234,567`.
pub(super) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 tensor`, `2 tensors`.
pub(super) fn tensors(n: usize) -> String {
    format!("{n} tensor{}", if n == 1 { "" } else { "s" })
}

/// A share as people read it: two digits that count.
pub(super) fn percent(share: f64) -> impl Display {
    let percent = share * 100.0;
    let digits = if percent == 0.0 || percent >= 10.0 {
        1
    } else if percent >= 0.1 {
        2
    } else {
        4
    };
    format!("{percent:.digits$} %")
}

/// `text` in lines of a sensible length.
fn wrapped(text: &str) -> String {
    let (mut out, mut column) = (String::new(), 0);
    for word in text.split_whitespace() {
        if column + word.len() > 110 {
            out.push('\n');
            column = 0;
        } else if column > 0 {
            out.push(' ');
        }
        out.push_str(word);
        column += word.len() + 1;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_people_write_them() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        let percents = [0.0, 0.000_123, 0.0123, 0.5, 1.0].map(|share| percent(share).to_string());
        assert_eq!(percents, ["0.0 %", "0.0123 %", "1.23 %", "50.0 %", "100.0 %"]);
    }
}
