//! A reader in another language, written from SPEC.md alone, reads what this crate writes.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use symbiote_format::{Archive, Codec, Dtype, NO_LAYER, PackRole, TensorKind};

use crate::support::{Draft, mixture, statistics, tiny, with_scales};

/// What `read_pak.py` prints.
fn listing(archive: &Archive<'_>) -> String {
    let mut text = String::new();
    let index = archive.index();
    let layer = |layer: u32| if layer == NO_LAYER { "-".to_owned() } else { layer.to_string() };
    writeln!(text, "architecture {}", index.architecture).unwrap();
    for p in index.params.iter() {
        let numbers: Vec<String> = p.numbers.iter().map(|n| format!("{:.9}", n.to_native())).collect();
        writeln!(text, "param {} {}", p.key, if numbers.is_empty() { p.text.to_string() } else { numbers.join(" ") })
            .unwrap();
    }
    if let Some(t) = index.tokenizer.as_ref() {
        writeln!(text, "tokenizer {} tokens {} merges, stop {:?}", t.tokens.len(), t.merges.len(), t.stop).unwrap();
        t.tokens.iter().for_each(|token| writeln!(text, "token {token}").unwrap());
    }
    for t in index.tensors.iter() {
        let kind = TensorKind::from_code(t.kind.to_native()).unwrap();
        let dtype = Dtype::from_code(t.dtype.to_native()).unwrap();
        let shape: Vec<String> = t.shape.iter().map(|n| n.to_string()).collect();
        let layer = layer(t.layer.to_native());
        writeln!(text, "tensor {} {kind} {dtype} layer {layer} [{}]", t.name, shape.join(", ")).unwrap();
    }
    for p in index.packs.iter() {
        let role = PackRole::from_code(p.role).unwrap();
        writeln!(text, "pack {role} layer {} {}..{}", layer(p.layer.to_native()), p.offset, p.offset + p.len).unwrap();
        let first = p.first_part.to_native() as usize;
        for part in &index.parts[first..][..p.part_count.to_native() as usize] {
            let name = &index.tensors[part.tensor.to_native() as usize].name;
            let codec = Codec::from_code(part.codec).unwrap();
            let rows = part.row + part.rows;
            writeln!(text, "  {name} rows {}..{rows} {codec} at {} {} bytes", part.row, part.offset, part.coded_len)
                .unwrap();
        }
    }
    for m in index.metadata.iter() {
        writeln!(text, "metadata {} = {}", m.key, m.value).unwrap();
    }
    let from = &index.provenance;
    writeln!(text, "written by {} from {}", from.writer, from.source_format).unwrap();
    for s in from.sources.iter() {
        writeln!(text, "source {} {} {}", s.name, s.len, symbiote_format::hex(&s.sha256)).unwrap();
    }
    for a in index.annotations.iter() {
        writeln!(text, "annotation {} {} bytes", a.name, a.bytes.len()).unwrap();
    }
    if let Some(c) = archive.coaccess() {
        let m = &c.mixture;
        writeln!(text, "mixture {} {} {:?} {} {}", m.architecture, m.name, m.layers, m.experts, m.used).unwrap();
        c.domains.iter().for_each(|d| writeln!(text, "domain {} {} {:?}", d.name, d.tokens, d.heat).unwrap());
        c.successors.iter().for_each(|s| writeln!(text, "successor {} {} {}", s.expert, s.next, s.count).unwrap());
        writeln!(text, "order {:?}", c.order).unwrap();
        c.hits.iter().for_each(|h| writeln!(text, "hits {} {}", h.slots, h.hits).unwrap());
        if let Some(weights) = c.warm_start() {
            let weights: Vec<String> = weights.iter().map(|w| format!("{w:.9}")).collect();
            writeln!(text, "oracle {}", weights.join(" ")).unwrap();
        }
    }
    text
}

/// Runs the reader on `path`: what it prints, or what it complains of.
fn read(path: &Path) -> Result<String, String> {
    read_with(path, &[])
}

fn read_with(path: &Path, options: &[&str]) -> Result<String, String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/read_pak.py");
    // No byte code beside the sources.
    let run = Command::new("python3").args(["-B", script]).arg(path).args(options).output();
    let run = run.expect("this test needs python3");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    if run.status.success() { Ok(text(run.stdout)) } else { Err(text(run.stderr)) }
}

fn assert_same(found: &str, expected: &str) {
    for (found, expected) in found.lines().zip(expected.lines()) {
        assert!(found == expected, "{found:.200}\n{expected:.200}");
    }
    assert_eq!(found.lines().count(), expected.lines().count());
}

fn written(name: &str, bytes: &[u8]) -> std::path::PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn it_lists_the_golden_archive() {
    let file = tiny().seal();
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/v1.pak");
    assert_same(&read(Path::new(golden)).unwrap(), &listing(&Archive::parse(&file).unwrap()));
}

#[test]
fn it_lists_a_mixture_of_experts() {
    let file = mixture().seal();
    assert_same(&read(&written("mixture.pak", &file)).unwrap(), &listing(&Archive::parse(&file).unwrap()));
    let complaint = |name, change: &dyn Fn(&mut symbiote_format::Index)| {
        let mut draft = mixture();
        change(&mut draft.index);
        read(&written(name, &draft.seal())).unwrap_err()
    };
    assert!(complaint("x1.pak", &|i| i.params.retain(|p| !p.key.starts_with("experts."))).contains("X1 0.router"));
    assert!(complaint("x2.pak", &|i| i.tensors[12].kind = 255).contains("X2 1.0.gate_up"));
    assert!(complaint("x3.pak", &|i| i.tensors[0].kind = 59).contains("X3 0.router"));
    assert!(complaint("x4.pak", &|i| i.packs[8].layer = 0).contains("X4 8"));
    assert!(complaint("x5.pak", &|i| i.packs[3].role = 7).contains("X5 3"));
    assert!(complaint("p1.pak", &|i| i.packs[3].offset = i.packs[2].offset).contains("P1"));
}

#[test]
fn it_lists_co_access_statistics() {
    let mut draft = mixture();
    statistics().annotate(&mut draft.index).unwrap();
    // experts in another order
    let packs = &mut draft.index.packs;
    (packs[2].offset, packs[4].offset) = (packs[4].offset, packs[2].offset);
    draft.segments.swap(2, 4);
    let file = draft.seal();
    let found = read(&written("coaccess.pak", &file)).unwrap();
    assert_same(&found, &listing(&Archive::parse(&file).unwrap()));
    assert!(found.contains("domain code 6 [5, 3, 4, 6, 3, 3]") && found.contains("oracle 0.0"));
    let complaint = |name, change: &dyn Fn(&mut Draft)| {
        let mut draft = draft.clone();
        change(&mut draft);
        read(&written(name, &draft.seal())).unwrap_err()
    };
    assert!(complaint("a1.pak", &|d| drop(d.index.annotations.remove(0))).contains("A1"));
    assert!(complaint("a2.pak", &|d| d.index.annotations[0].bytes.truncate(9)).contains("I1"));
    assert!(complaint("a3.pak", &|d| d.index.annotations[1].bytes.truncate(899)).contains("A3"));
    assert!(complaint("a10.pak", &|d| d.index.architecture = "another".into()).contains("A10"));
    let heat = |d: &mut Draft| {
        // the count of expert 0 in domain essay, 7, is the first number behind the name of a domain
        let bytes = &mut d.index.annotations[0].bytes;
        let at = bytes.windows(8).position(|w| w == [7, 0, 0, 0, 8, 0, 0, 0]).unwrap();
        bytes[at] = 6;
    };
    assert!(complaint("a6.pak", &heat).contains("A6 essay"));
}

#[test]
fn it_lists_scales() {
    let file = with_scales().seal();
    assert_same(&read(&written("scales.pak", &file)).unwrap(), &listing(&Archive::parse(&file).unwrap()));
    let complaint = |name, change: &dyn Fn(&mut symbiote_format::Index)| {
        let mut draft = with_scales();
        change(&mut draft.index);
        read(&written(name, &draft.seal())).unwrap_err()
    };
    assert!(complaint("s1.pak", &|i| i.tensors[11].dtype = 24).contains("S1 w"));
    assert!(complaint("s2.pak", &|i| i.tensors[11].kind = 255).contains("S2 w_scale"));
    assert!(complaint("s3.pak", &|i| i.tensors[12].layer = u32::MAX).contains("S3 w_scale"));
    assert!(complaint("s4.pak", &|i| i.tensors[12].kind = 255).contains("S4 w"));
}

#[test]
fn it_reads_long_texts_and_empty_lists() {
    let mut draft = Draft::default();
    draft.index.params = crate::support::config().to_params();
    let tokenizer = draft.index.tokenizer.insert(symbiote_format::Tokenizer { kind: 1, ..Default::default() });
    // Lengths on both sides of what is stored inline, and of what fits six bits and fourteen.
    tokenizer.tokens = [0, 15, 16, 17].map(|n| "é".repeat(n) + &"x".repeat(n)).into();
    tokenizer.tokens[3] = "y".repeat(20_000);
    tokenizer.types = vec![1; 4];
    draft.index.architecture = "z".repeat(63);
    draft.index.provenance.writer = "w".repeat(64);
    let file = draft.seal();
    let expected = listing(&Archive::parse(&file).unwrap());
    assert_same(&read(&written("texts.pak", &file)).unwrap(), &expected);
}

/// The golden part of `name`, as a tensor of its own, and what it decodes to.
fn add_golden(draft: &mut Draft, name: &str) -> Vec<u8> {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden")).join(name);
    let file = std::fs::read(path).unwrap();
    let number = |i: usize| u32::from_le_bytes(*file[4 * i..].first_chunk().unwrap());
    let codec = Codec::from_code(u8::try_from(number(0)).unwrap()).unwrap();
    let dtype = Dtype::from_code(u16::try_from(number(1)).unwrap()).unwrap();
    let (rows, columns) = (number(2), u64::from(number(3)));
    let raw_len = u64::from(rows) * dtype.row_bytes(columns).unwrap();
    let (raw, coded) = file[16..].split_at(usize::try_from(raw_len).unwrap());
    let tensor = draft.tensor(name, TensorKind::Unused, dtype, NO_LAYER, &[u64::from(rows), columns]);
    draft.coded_pack(tensor, rows, codec, coded);
    raw.to_vec()
}

#[test]
fn it_decodes_what_every_codec_writes() {
    let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden")).unwrap();
    let mut names: Vec<String> = folder.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name.starts_with("codec-"));
    names.sort();
    let mut draft = Draft::default();
    draft.index.params = crate::support::config().to_params();
    let raw: Vec<Vec<u8>> = names.iter().map(|name| add_golden(&mut draft, name)).collect();
    let file = draft.seal();
    let mut expected = listing(&Archive::parse(&file).unwrap());
    for (name, raw) in names.iter().zip(raw) {
        writeln!(expected, "decoded {name} {}", symbiote_format::hex(&symbiote_format::Sha256::of(&raw))).unwrap();
    }
    let found = read_with(&written("codecs.pak", &file), &["--decode"]).unwrap();
    // Not every Python has zstd; what it says then stands for the hash.
    let lacks = "not: no zstd for this Python";
    let hash = |line: &str| line.replace(lacks, expected_hash(&expected, line));
    assert_same(&found.lines().map(hash).collect::<Vec<_>>().join("\n"), &expected);
}

/// The last word of the line that starts like `line`.
fn expected_hash<'a>(expected: &'a str, line: &str) -> &'a str {
    let name = line.split(' ').nth(1).unwrap_or_default();
    let line = expected.lines().find_map(|line| line.strip_prefix("decoded ")?.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_default()
}

#[test]
fn it_refuses_what_this_crate_refuses() {
    let whole = tiny().seal();
    let complaint = |name, bytes: &[u8]| read(&written(name, bytes)).unwrap_err();
    let flipped = |at: usize| {
        let mut file = whole.to_vec();
        file[at] ^= 1;
        file
    };
    let index = usize::try_from(tiny().end()).unwrap();
    assert!(complaint("cut.pak", &whole[..whole.len() - 1]).contains("H10"));
    assert!(complaint("header.pak", &flipped(20)).contains("H4"));
    assert!(complaint("index.pak", &flipped(index + 9)).contains("H11"));
    assert!(complaint("segment.pak", &flipped(4096)).contains("V1"));
    assert!(complaint("padding.pak", &flipped(8191)).contains("V2"));
}
