//! How long it takes to open an archive: 10,000 packs, 50,000 tokens. The goal is less than 20 ms.

#[path = "../tests/support/mod.rs"]
mod support;

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use support::Draft;
use symbiote_format::{Archive, Dtype, Header, ModelConfig, NO_ID, PackRole, Sha256, TensorKind, Tokenizer};

const PACKS: u32 = 10_000;
const TOKENS: u32 = 50_000;

/// A model of many small packs: the index is what it would be for large ones.
fn large() -> Draft {
    let mut draft = Draft::default();
    let config = ModelConfig { vocab_size: TOKENS, layer_count: PACKS / 4, ..support::config() };
    for pack in 0..PACKS {
        let name = format!("blk.{}.ffn_down_{}.weight", pack / 4, pack % 4);
        let tensor = draft.tensor(&name, TensorKind::FfnDown, Dtype::Bf16, pack / 4, &[4, 8]);
        draft.pack(PackRole::MlpDown, pack / 4, &[(tensor, 0, 4)]);
    }
    draft.index.params = config.to_params();
    draft.index.tokenizer = Some(Tokenizer {
        kind: 1,
        tokens: (0..TOKENS).map(|id| format!("token-{id}")).collect(),
        types: vec![1; TOKENS as usize],
        merges: (0..TOKENS).map(|id| format!("token {id}")).collect(),
        bos: NO_ID,
        ..Tokenizer::default()
    });
    draft
}

fn open(c: &mut Criterion) {
    let file = large().seal();
    let header = Header::decode(&file).expect("the header is good");
    let index = &file[usize::try_from(header.index_offset).expect("it fits")..];
    println!("{PACKS} packs, {TOKENS} tokens: {} bytes, {} of them index", file.len(), index.len());
    c.bench_function("Archive::parse", |b| b.iter(|| Archive::parse(black_box(&file)).map(drop)));
    c.bench_function("SHA-256 of the index, a part of it", |b| b.iter(|| Sha256::of(black_box(index))));
}

criterion_group!(benches, open);
criterion_main!(benches);
