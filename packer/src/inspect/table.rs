//! The archive in words and tables.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

use symbiote_format::archived::ArchivedTokenizer;
use symbiote_format::{
    Archive, ArchivedWeightPack, ByteSize, Codec, Dtype, NO_ID, PackRole, RopeLayout, TokenizerKind, VERSION, hex,
};

pub(super) fn text(archive: &Archive, path: &Path) -> String {
    let mut out = String::new();
    // writing to a String cannot fail
    let _ = write_all(&mut out, archive, path);
    out.chars().map(|c| if c.is_control() && c != '\n' { '?' } else { c }).collect()
}

fn write_all(out: &mut String, archive: &Archive, path: &Path) -> std::fmt::Result {
    let index = archive.index();
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    writeln!(
        out,
        "{}: {}, {}, format version {VERSION}",
        line(&name),
        line(&index.architecture),
        ByteSize(archive.file_len())
    )?;
    config(out, archive)?;
    match index.tokenizer.as_ref() {
        Some(t) => tokenizer(out, t)?,
        None => writeln!(out, "  tokenizer   none: the archive runs on token ids only")?,
    }
    writeln!(out)?;
    roles(out, archive)?;
    writeln!(out)?;
    for source in index.provenance.sources.iter() {
        let (name, len) = (line(&source.name), ByteSize(source.len.to_native()));
        writeln!(out, "  source      {name}, {len}, SHA-256 {}", hex(&source.sha256))?;
    }
    let provenance = &index.provenance;
    writeln!(out, "  written by  {}, from {}", line(&provenance.writer), line(&provenance.source_format))?;
    for annotation in index.annotations.iter() {
        writeln!(out, "  annotation  {}, {} bytes", line(&annotation.name), annotation.bytes.len())?;
    }
    Ok(())
}

fn config(out: &mut String, archive: &Archive) -> std::fmt::Result {
    let c = archive.config();
    let head = if c.tied_embeddings { "tied head" } else { "own head" };
    let layout = match c.rope_layout {
        RopeLayout::Interleaved => "interleaved",
        RopeLayout::Halves => "halves",
    };
    writeln!(
        out,
        "  model       {} layers, hidden {}, feed-forward {}, norm epsilon {:e}",
        c.layer_count, c.hidden_size, c.ffn_size, c.norm_eps
    )?;
    write!(out, "  attention   {} heads of {}, ", c.head_count, c.head_dim)?;
    match &c.design.latent {
        None => writeln!(out, "{} key-value heads", c.kv_head_count)?,
        Some(latent) => writeln!(out, "values of {}, by latent vectors of {}", latent.value_dim, latent.kv_rank)?,
    }
    writeln!(out, "  vocabulary  {} tokens, {head}; context {}", c.vocab_size, c.context_length)?;
    writeln!(
        out,
        "  rotary      {layout}, {} dimensions, base {}, scaling {}",
        c.rope_dims,
        c.rope_base,
        c.rope_scaling.name()
    )
}

fn tokenizer(out: &mut String, t: &ArchivedTokenizer) -> std::fmt::Result {
    let kind = TokenizerKind::from_code(t.kind).map_or("unknown", TokenizerKind::name);
    write!(out, "  tokenizer   {kind}")?;
    if !t.pre.is_empty() {
        write!(out, " ({})", line(&t.pre))?;
    }
    match t.json.len() {
        0 => write!(out, ", {} tokens, {} merges", t.tokens.len(), t.merges.len())?,
        len => write!(out, ", {}", ByteSize(len as u64))?,
    }
    for (name, id) in [("bos", &t.bos), ("eos", &t.eos)] {
        match id.to_native() {
            NO_ID => write!(out, ", no {name}")?,
            id => write!(out, ", {name} {id}")?,
        }
    }
    let stop: Vec<_> = t.stop.iter().map(|id| id.to_string()).collect();
    writeln!(out, ", stops at {}", if stop.is_empty() { "nothing".into() } else { stop.join(", ") })?;
    match t.chat_template.chars().count() {
        0 => writeln!(out, "  chat        no template"),
        n => writeln!(out, "  chat        template of {n} characters"),
    }
}

/// One line a role, and one for all.
fn roles(out: &mut String, archive: &Archive) -> std::fmt::Result {
    let packs = &archive.index().packs;
    writeln!(
        out,
        "  {:<18}{:>6}{:>12}{:>12}{:>12}  {:<14}types",
        "role", "packs", "source", "coded", "largest", "codecs"
    )?;
    for role in PackRole::ALL {
        let of_role: Vec<_> = packs.iter().filter(|p| p.role == role.code()).collect();
        if !of_role.is_empty() {
            role_line(out, archive, role.name(), &of_role)?;
        }
    }
    role_line(out, archive, "total", &packs.iter().collect::<Vec<_>>())
}

fn role_line(out: &mut String, archive: &Archive, name: &str, packs: &[&ArchivedWeightPack]) -> std::fmt::Result {
    let index = archive.index();
    let (mut dtypes, mut codecs) = (BTreeSet::new(), BTreeSet::new());
    let (mut source, mut coded) = (0, 0);
    for pack in packs {
        let (first, count) = (pack.first_part.to_native() as usize, pack.part_count.to_native() as usize);
        for part in &index.parts[first..][..count] {
            let tensor = &index.tensors[part.tensor.to_native() as usize];
            dtypes.extend(Dtype::from_code(tensor.dtype.to_native()).map(Dtype::name));
            codecs.extend(Codec::from_code(part.codec).map(Codec::name));
            source += part.raw_len.to_native();
            coded += part.coded_len.to_native();
        }
    }
    let join = |set: BTreeSet<&str>| set.into_iter().collect::<Vec<_>>().join(" ");
    let largest = ByteSize(packs.iter().map(|p| p.len.to_native()).max().unwrap_or(0));
    let (count, source, coded) = (packs.len(), ByteSize(source), ByteSize(coded));
    writeln!(out, "  {name:<18}{count:>6}{source:>12}{coded:>12}{largest:>12}  {:<14}{}", join(codecs), join(dtypes))
}

/// A text of the archive, on one line of a sensible length.
fn line(text: &str) -> String {
    text.chars().take(200).map(|c| if c.is_control() { '?' } else { c }).collect()
}
