//! One bad file a rule: every variant of [`FormatError`] is asked for, with its fields.

use symbiote_format::codec::CodecError;
use symbiote_format::{
    Archive, Codec, Dtype, FormatError, Header, Index, MAGIC, NO_ID, NO_LAYER, PackRole, Param, ParamError, Sha256,
    Tensor, TensorKind, Tokenizer, limits,
};

use crate::support::{Bytes, Draft, mixture, seal, tiny, with_scales};

fn refused(file: &[u8]) -> FormatError {
    let mut aligned = Bytes::new();
    aligned.extend_from_slice(file);
    Archive::parse(&aligned).err().expect("a bad file is refused")
}

/// What a file says whose index was changed, with header and hashes to match.
fn index(change: impl FnOnce(&mut Index)) -> FormatError {
    let mut draft = tiny();
    change(&mut draft.index);
    refused(&draft.seal())
}

/// What a file says whose header was changed, with its hash to match.
fn header(change: impl FnOnce(&mut [u8])) -> FormatError {
    let mut file = tiny().seal();
    change(&mut file[..4064]);
    let hash = Sha256::of(&file[..4064]);
    file[4064..4096].copy_from_slice(&hash);
    refused(&file)
}

fn tokenizer(change: impl FnOnce(&mut Tokenizer)) -> String {
    match index(|i| change(i.tokenizer.as_mut().unwrap())) {
        FormatError::Tokenizer { reason } => reason,
        other => panic!("{other}"),
    }
}

#[test]
fn the_model_they_are_made_from_is_good() {
    let file = tiny().seal();
    let archive = Archive::parse(&file).unwrap();
    (0..8).for_each(|pack| archive.verify_pack(pack).unwrap());
}

#[test]
fn headers() {
    let file = tiny().seal();
    let len = file.len() as u64;
    assert_eq!(refused(b""), FormatError::NotAPak);
    assert_eq!(refused(b"GGUF\x03\0\0\0 and so on"), FormatError::NotAPak);
    assert_eq!(refused(&MAGIC), FormatError::Truncated { expected: 4096, found: 8 });
    assert_eq!(refused(&file[..file.len() - 1]), FormatError::Truncated { expected: len, found: len - 1 });
    let longer = [&file[..], &[0]].concat();
    assert_eq!(refused(&longer), FormatError::TrailingBytes { expected: len, found: len + 1 });
    assert_eq!(header(|h| h[8] = 2), FormatError::UnknownVersion { found: 2, newest: 1 });
    assert_eq!(header(|h| h[12] = 1), FormatError::HeaderLength { found: 4097 });
    assert_eq!(header(|h| h[45] = 1), FormatError::UnknownFlags { found: 1 << 40 });
    assert_eq!(header(|h| h[80] = 1), FormatError::ReservedNotZero { at: 80 });
    assert_eq!(header(|h| h[4063] = 1), FormatError::ReservedNotZero { at: 4063 });
    assert_eq!(header(|h| h[50] ^= 1), FormatError::IndexCorrupt);
    let mut corrupt = file.to_vec();
    corrupt[16] ^= 1;
    assert_eq!(refused(&corrupt), FormatError::HeaderCorrupt);
}

#[test]
fn the_place_of_the_index() {
    let file = tiny().seal();
    let (len, offset) = (file.len() as u64, tiny().end());
    let index_len = len - offset;
    let put = |h: &mut [u8], at: usize, n: u64| h[at..at + 8].copy_from_slice(&n.to_le_bytes());
    let place = |offset, len, file_len| FormatError::IndexPlace { offset, len, file_len };
    assert_eq!(header(|h| put(h, 24, offset + 4096)), place(offset + 4096, index_len, len));
    assert_eq!(header(|h| put(h, 24, u64::MAX)), place(u64::MAX, index_len, len));
    let unaligned = header(|h| {
        put(h, 24, offset + 1);
        put(h, 32, index_len - 1);
    });
    assert_eq!(unaligned, place(offset + 1, index_len - 1, len));
    let in_the_header = header(|h| {
        put(h, 24, 0);
        put(h, 32, len);
    });
    assert_eq!(in_the_header, place(0, len, len));
    let found = limits::INDEX_BYTES + 1;
    let above = FormatError::AboveLimit { what: "index bytes", found, limit: limits::INDEX_BYTES };
    assert_eq!(header(|h| put(h, 32, found)), above);
    assert_eq!(Header::new(u64::MAX, b"x"), Err(FormatError::Overflow { what: "file length" }));
}

#[test]
fn an_index_that_is_none() {
    for bytes in [&[][..], &[0xFF; 512], &tiny().index.to_bytes().unwrap()[8..]] {
        assert!(matches!(refused(&seal(&tiny().segments, bytes)), FormatError::IndexMalformed { .. }));
    }
}

#[test]
fn counts_above_their_limits() {
    let above =
        |what, found: usize, limit: usize| FormatError::AboveLimit { what, found: found as u64, limit: limit as u64 };
    let params = index(|i| i.params = vec![Param::default(); limits::PARAMS + 1]);
    assert_eq!(params, above("hyperparameters", limits::PARAMS + 1, limits::PARAMS));
    let tensors = index(|i| i.tensors = vec![Tensor::default(); limits::TENSORS + 1]);
    assert_eq!(tensors, above("tensors", limits::TENSORS + 1, limits::TENSORS));
    assert_eq!(index(|i| i.tensors[0].shape = vec![1; 9]), above("dimensions", 9, 8));
    // One row of 64 KiB more than a pack may have.
    let len = (1 << 30) + (1 << 16);
    let pack = index(|i| {
        i.tensors[1].shape = vec![(1 << 14) + 1, 1 << 14];
        i.parts[1].rows = (1 << 14) + 1;
        (i.parts[1].raw_len, i.parts[1].coded_len) = (len, len);
        i.parts[2].offset = len;
        i.packs[1].len = len + 128;
    });
    assert_eq!(pack, FormatError::AboveLimit { what: "pack bytes", found: len + 128, limit: limits::PACK_BYTES });
}

#[test]
fn codes_that_no_table_has() {
    let unknown = |what: &str, table, code| FormatError::UnknownCode { what: what.into(), table, code };
    assert_eq!(index(|i| i.tensors[0].kind = 99), unknown("tensor token_embd.weight", "tensor kind", 99));
    assert_eq!(index(|i| i.tensors[0].dtype = 4), unknown("tensor token_embd.weight", "dtype", 4));
    assert_eq!(index(|i| i.packs[3].role = 0), unknown("pack 3", "pack role", 0));
    assert_eq!(index(|i| i.parts[3].codec = 200), unknown("part 3", "codec", 200));
    assert_eq!(index(|i| i.tokenizer.as_mut().unwrap().kind = 0), unknown("the tokenizer", "tokenizer", 0));
}

#[test]
fn tensors() {
    let name = "token_embd.weight";
    let twice = index(|i| i.tensors[5].name = name.into());
    assert_eq!(twice, FormatError::DuplicateTensor { name: name.into() });
    for bad in [String::new(), "a\nb".into(), "a\u{7f}".into(), "x".repeat(513)] {
        assert_eq!(index(|i| i.tensors[2].name = bad), FormatError::TensorName { tensor: 2 });
    }
    let big = limits::ROWS + 1;
    for shape in [vec![], vec![0], vec![4, 0], vec![u64::MAX, 2, 32], vec![big, 1], vec![1, big], vec![1 << 30; 2]] {
        let error = index(|i| i.tensors[0].shape = shape.clone());
        assert_eq!(error, FormatError::TensorShape { name: name.into(), shape, dtype: "BF16" });
    }
    let error = index(|i| i.tensors[3].shape = vec![32, 33]);
    let name = "blk.0.attn_q.weight".into();
    assert_eq!(error, FormatError::TensorShape { name, shape: vec![32, 33], dtype: "Q8_0" });
    let what = "tensor blk.0.attn_norm.weight".into();
    assert_eq!(index(|i| i.tensors[1].layer = 1), FormatError::LayerOutOfRange { what, layer: 1, layers: 1 });
    let what = "pack 2".into();
    assert_eq!(index(|i| i.packs[2].layer = 7), FormatError::LayerOutOfRange { what, layer: 7, layers: 1 });
}

#[test]
fn packs() {
    let parts = |pack, found, count, expected| FormatError::PackParts { pack, found, count, expected, total: 13 };
    assert_eq!(index(|i| i.packs[1].first_part = 2), parts(1, 2, 2, 1));
    assert_eq!(index(|i| i.packs[1].part_count = 0), parts(1, 1, 0, 1));
    assert_eq!(index(|i| i.packs[7].part_count = u32::MAX), parts(7, 12, u32::MAX, 12));
    assert_eq!(index(|i| i.parts.push(i.parts[0])), FormatError::StrayParts { count: 1 });
    for found in [0, 4096, 8193, 12288, u64::MAX] {
        let error = FormatError::SegmentPlace { pack: 1, found, expected: 8192 };
        assert_eq!(index(|i| i.packs[1].offset = found), error);
    }
    let error = FormatError::SegmentLength { pack: 0, found: 257, expected: 256 };
    assert_eq!(index(|i| i.packs[0].len += 1), error);
    let end = tiny().end();
    let gap = index(|i| {
        i.packs.pop();
        i.parts.pop();
    });
    assert_eq!(gap, FormatError::IndexGap { found: end, expected: end - 4096 });
}

#[test]
fn parts() {
    let error = FormatError::PartTensor { part: 0, tensor: 11, tensors: 11 };
    assert_eq!(index(|i| i.parts[0].tensor = 11), error);
    let error = FormatError::PartPlace { part: 2, found: 128, expected: 256 };
    assert_eq!(index(|i| i.parts[2].offset = 128), error);
    let tensor = || String::from("blk.0.ffn_gate.weight");
    let rows =
        |part, row, end, expected| FormatError::PartRows { part, tensor: tensor(), row, end, expected, rows: 64 };
    assert_eq!(index(|i| i.parts[9].row = 32), rows(9, 32, 63, 33));
    assert_eq!(index(|i| i.parts[9].rows = 0), rows(9, 33, 33, 33));
    assert_eq!(index(|i| i.parts[9].rows = 32), rows(9, 33, 65, 33));
    assert_eq!(index(|i| i.parts[9].rows = u32::MAX), rows(9, 33, 33 + u64::from(u32::MAX), 33));
    let len = |found| FormatError::PartLength { part: 9, tensor: tensor(), rows: 31, found, expected: 1984 };
    assert_eq!(index(|i| i.parts[9].raw_len = 1), len(1));
    let coded = |codec, coded_len, source| {
        let found = index(|i| (i.parts[9].codec, i.parts[9].coded_len) = (Codec::code(codec), coded_len));
        assert_eq!(found, FormatError::PartCoded { part: 9, tensor: tensor(), source });
    };
    coded(Codec::Raw, u64::MAX, CodecError::Length { found: u64::MAX, expected: 1984 });
    // 31 rows of 32 columns are 8 times 4 units of 48 bytes; a trailer without exceptions has 40.
    coded(Codec::P12, 1575, CodecError::Short { found: 1575, least: 1576 });
    coded(Codec::P12, 1579, CodecError::Entries { bytes: 3, entry: 4 });
    coded(Codec::P11, 8 * 4 * 44 + 39, CodecError::Short { found: 1447, least: 1448 });
    coded(Codec::Zstd, 9, CodecError::Short { found: 9, least: 10 });
    coded(Codec::Zfp, 8, CodecError::Type { codec: Codec::Zfp, dtype: Dtype::F16 });
    let name = "output_norm.weight".into();
    let error = FormatError::TensorIncomplete { name, found: 1, rows: 2 };
    assert_eq!(index(|i| i.tensors[10].shape = vec![2, 32]), error);
}

#[test]
fn segments_and_padding() {
    let verify = |at: usize, pack| {
        let mut file = tiny().seal();
        file[at] ^= 1;
        Archive::parse(&file).unwrap().verify_pack(pack)
    };
    let corrupt =
        FormatError::SegmentCorrupt { pack: 1, role: "norms", layer: "layer 0".into(), offset: 8192, end: 8576 };
    assert_eq!(verify(8192, 1), Err(corrupt));
    assert_eq!(verify(8576, 1), Err(FormatError::PaddingNotZero { pack: 1, at: 8576 }));
    assert_eq!(verify(12287, 1), Err(FormatError::PaddingNotZero { pack: 1, at: 12287 }));
    let end = usize::try_from(tiny().end()).unwrap();
    assert_eq!(verify(end - 1, 7), Err(FormatError::PaddingNotZero { pack: 7, at: end as u64 - 1 }));
    // Between the parts of a pack, with a hash to match.
    let mut draft = tiny();
    draft.segments[1][200] = 9;
    draft.index.packs[1].sha256 = Sha256::of(&draft.segments[1]);
    let file = draft.seal();
    let error = Archive::parse(&file).unwrap().verify_pack(1);
    assert_eq!(error, Err(FormatError::PaddingNotZero { pack: 1, at: 8192 + 200 }));
}

#[test]
fn hyperparameters() {
    let param = |error| FormatError::Param(error);
    let key = "context_length";
    assert_eq!(index(|i| drop(i.params.remove(1))), param(ParamError::Missing { key }));
    let twice = index(|i| i.params.push(i.params[1].clone()));
    assert_eq!(twice, param(ParamError::Twice { key: key.into() }));
    let unknown = index(|i| i.params[13].key = "rope.sparkle".into());
    assert_eq!(unknown, param(ParamError::Missing { key: "rope.scaling" }));
    let unknown = index(|i| i.params.push(Param { key: "rope.sparkle".into(), ..Param::default() }));
    assert_eq!(unknown, param(ParamError::Unknown { key: "rope.sparkle".into() }));
    let range =
        |found: &str, expected: &str| param(ParamError::Range { key, found: found.into(), expected: expected.into() });
    let whole = "a whole number from 1 to 134217728";
    assert_eq!(index(|i| i.params[1].numbers = vec![0.5]), range("0.5", whole));
    assert_eq!(index(|i| i.params[1].numbers = vec![f64::NAN]), range("NaN", whole));
    assert_eq!(index(|i| i.params[1].numbers = vec![]), range("[]", "one number"));
    assert_eq!(index(|i| i.params[1].text = "64".into()), range("64", "numbers"));
    let mixed = index(|i| i.params[12].numbers = vec![1.0]);
    assert!(matches!(mixed, FormatError::Param(ParamError::Range { key: "rope.layout", .. })));
}

/// What a file says of a mixture of experts whose index was changed.
fn mixed(change: impl FnOnce(&mut Index)) -> FormatError {
    let mut draft = mixture();
    change(&mut draft.index);
    refused(&draft.seal())
}

#[test]
fn mixtures_of_experts() {
    Archive::parse(&mixture().seal()).unwrap();
    let unsaid = |name: &str| FormatError::MixtureUnsaid { name: name.into() };
    let dense = mixed(|i| i.params.retain(|p| !p.key.starts_with("experts.")));
    assert_eq!(dense, unsaid("0.router"));
    assert_eq!(mixed(|i| i.tensors[1].layer = u32::MAX), unsaid("0.router.bias"));

    let shape = |name: &str, found, expected| FormatError::MixtureShape { name: name.into(), found, expected };
    assert_eq!(mixed(|i| i.tensors[0].kind = 59), shape("0.router", [3, 32], [8, 32]));
    assert_eq!(mixed(|i| i.tensors[1].kind = 61), shape("0.router.bias", [1, 3], [1, 32]));
    assert_eq!(mixed(|i| i.tensors[5].kind = 55), shape("0.down.bias", [3, 32], [3, 4]));
    let wider = mixed(|i| i.params.iter_mut().find(|p| p.key == "experts.ffn_size").unwrap().numbers[0] = 5.0);
    assert_eq!(wider, shape("0.gate", [12, 32], [15, 32]));
    let more = mixed(|i| i.params.iter_mut().find(|p| p.key == "experts.count").unwrap().numbers[0] = 4.0);
    assert_eq!(more, shape("0.router", [3, 32], [4, 32]));
    assert_eq!(mixed(|i| i.tensors[4].kind = 54), shape("0.down", [96, 4], [24, 32]));
    let count = |kind, found| FormatError::ExpertCount { kind, layer: 1, found, count: 3 };
    assert_eq!(mixed(|i| i.tensors[12].kind = 255), count("ffn_gate_up_exps", 2));

    let pack = |pack, expert| FormatError::ExpertPack { pack, expert };
    // experts 0 and 1 of layer 1 in each other's place
    let swapped = mixed(|i| (i.parts[14].tensor, i.parts[16].tensor) = (i.parts[16].tensor, i.parts[14].tensor));
    assert_eq!(swapped, pack(7, 0));
    assert_eq!(mixed(|i| i.packs[8].layer = 0), pack(8, 3));
    assert_eq!(mixed(|i| i.packs[0].role = 5), pack(0, 0));
    assert_eq!(mixed(|i| i.packs[3].role = 7), FormatError::ExpertPart { part: 6, tensor: "0.gate".into() });
    let mut split = Draft::default();
    let whole = mixture();
    (split.index.params, split.index.tensors) = (whole.index.params, whole.index.tensors[2..5].to_vec());
    split.pack(PackRole::Expert, 0, &[(0, 0, 2), (1, 0, 4), (2, 0, 32)]);
    split.pack(PackRole::Expert, 0, &[(0, 2, 10), (1, 4, 8), (2, 32, 64)]);
    assert_eq!(refused(&split.seal()), pack(0, 0));
    // between experts 0 and 1 lies something else
    let index = Index { packs: Vec::new(), parts: Vec::new(), ..split.index };
    let mut apart = Draft { index, ..Draft::default() };
    let other = apart.tensor("other", TensorKind::Unused, Dtype::F32, NO_LAYER, &[1]);
    apart.pack(PackRole::Expert, 0, &[(0, 0, 4), (1, 0, 4), (2, 0, 32)]);
    apart.pack(PackRole::Norms, NO_LAYER, &[(other, 0, 1)]);
    for expert in 1..3 {
        apart.pack(PackRole::Expert, 0, &[(0, expert * 4, 4), (1, expert * 4, 4), (2, expert * 32, 32)]);
    }
    assert_eq!(refused(&apart.seal()), pack(2, 1));
}

/// What a file says whose last tensor but one has factors, those of the last.
fn scaled(change: impl FnOnce(&mut Index)) -> Result<(), FormatError> {
    let mut draft = with_scales();
    change(&mut draft.index);
    Archive::parse(&draft.seal()).map(drop)
}

#[test]
fn scales() {
    assert_eq!(scaled(|_| ()), Ok(()));
    // of a tensor that nothing reads, nothing is asked
    assert_eq!(scaled(|i| (i.tensors[11].kind, i.tensors[12].kind) = (255, 255)), Ok(()));
    let (name, dtype) = (|| String::from("w"), "F8_E5M2");
    assert_eq!(scaled(|i| i.tensors[12].kind = 255), Err(FormatError::NoScale { name: name(), dtype }));
    assert_eq!(scaled(|i| i.tensors[11].dtype = 24), Err(FormatError::KeptType { name: name(), dtype: "I8" }));
    let stray = Err(FormatError::StrayScale { name: "w_scale".into() });
    assert_eq!(scaled(|i| i.tensors[11].kind = 255), stray);
    let shape = || {
        let (name, found, of) = ("w_scale".into(), [3, 2], name());
        Err(FormatError::ScaleShape { name, dtype: "BF16", found, of })
    };
    assert_eq!(scaled(|i| i.tensors[12].layer = NO_LAYER), shape());
    assert_eq!(scaled(|i| drop(i.params.pop())), shape());
    let block = |numbers| {
        let found = scaled(|i| i.params.last_mut().unwrap().numbers = numbers);
        matches!(found, Err(FormatError::Param(ParamError::Range { key: "scale_block", .. })))
    };
    assert!(block(vec![2.0]) && block(vec![0.0, 16.0]) && block(vec![2.0, 8.0]) && block(vec![2.0, 24.0]));
}

#[test]
fn tokenizers() {
    assert_eq!(tokenizer(|t| t.tokens.clear()), "it has 0 tokens and the embedding has 4 rows");
    assert_eq!(tokenizer(|t| t.tokens.push("c".into())), "it has 5 tokens and the embedding has 4 rows");
    assert_eq!(tokenizer(|t| t.types.truncate(3)), "it has 4 tokens and 3 token types");
    assert_eq!(tokenizer(|t| t.kind = 2), "it has 4 tokens and 0 scores");
    assert_eq!(tokenizer(|t| t.kind = 3), "its tokenizer.json is empty");
    assert_eq!(tokenizer(|t| t.eos = 4), "its eos token is 4 and the embedding has 4 rows");
    assert_eq!(tokenizer(|t| t.stop.push(9)), "its stop token is 9 and the embedding has 4 rows");
    assert_eq!(tokenizer(|t| t.bos = NO_ID), "it adds a bos or eos token that it does not name");
}

/// Fails to compile when a variant is added, so that it gets its bad file above.
#[allow(dead_code)]
fn every_variant_has_its_bad_file(error: FormatError) {
    use FormatError as E;
    match error {
        E::NotAPak
        | E::UnknownVersion { .. }
        | E::HeaderCorrupt
        | E::HeaderLength { .. }
        | E::UnknownFlags { .. }
        | E::ReservedNotZero { .. }
        | E::Truncated { .. }
        | E::TrailingBytes { .. } => headers(),
        E::IndexPlace { .. } | E::Overflow { .. } => the_place_of_the_index(),
        E::IndexCorrupt => headers(),
        E::IndexMalformed { .. } => an_index_that_is_none(),
        E::AboveLimit { .. } => counts_above_their_limits(),
        E::UnknownCode { .. } => codes_that_no_table_has(),
        E::DuplicateTensor { .. } | E::TensorName { .. } | E::TensorShape { .. } | E::LayerOutOfRange { .. } => {
            tensors()
        }
        E::PackParts { .. }
        | E::StrayParts { .. }
        | E::SegmentPlace { .. }
        | E::SegmentLength { .. }
        | E::IndexGap { .. } => packs(),
        E::PartTensor { .. }
        | E::PartPlace { .. }
        | E::PartRows { .. }
        | E::PartLength { .. }
        | E::PartCoded { .. }
        | E::TensorIncomplete { .. } => parts(),
        E::SegmentCorrupt { .. } | E::PaddingNotZero { .. } => segments_and_padding(),
        E::MixtureUnsaid { .. }
        | E::MixtureShape { .. }
        | E::ExpertCount { .. }
        | E::ExpertPack { .. }
        | E::ExpertPart { .. } => mixtures_of_experts(),
        E::KeptType { .. } | E::NoScale { .. } | E::StrayScale { .. } | E::ScaleShape { .. } => scales(),
        E::Coaccess(_) => {} // coaccess.rs has one of each
        E::Param(_) => hyperparameters(),
        E::Tokenizer { .. } => tokenizers(),
        // A writer's error: nothing that fits memory is known to cause it.
        E::IndexEncode { .. } => {}
    }
}
