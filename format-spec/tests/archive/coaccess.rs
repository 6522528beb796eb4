//! Co-access statistics: what is written is read, and every rule has its bad file.

use proptest::prelude::*;
use symbiote_format::{
    Annotation, Archive, CacheHits, Coaccess, CoaccessError, Domain, FormatError, Mixture, Sha256, Successor,
};

use crate::support::{Draft, mixture, statistics, tiny};

/// The mixture with statistics.
fn annotated(coaccess: &Coaccess) -> Draft {
    let mut draft = mixture();
    coaccess.annotate(&mut draft.index).unwrap();
    draft
}

fn refused(draft: &Draft) -> FormatError {
    Archive::parse(&draft.seal()).err().expect("a bad file is refused")
}

/// What is said of statistics that were changed, as a file.
fn changed(change: impl FnOnce(&mut Coaccess)) -> CoaccessError {
    let mut coaccess = statistics();
    change(&mut coaccess);
    coaccess.to_file().unwrap_err()
}

#[test]
fn a_file_gives_back_what_was_written() {
    for warm_start in [None, statistics().warm_start] {
        let coaccess = Coaccess { warm_start, ..statistics() };
        let file = coaccess.to_file().unwrap();
        assert_eq!(Coaccess::from_file(&file).unwrap(), coaccess);
        assert_eq!(file[..8], symbiote_format::COACCESS_MAGIC);
    }
}

#[test]
fn an_archive_gives_back_what_was_put_in() {
    let coaccess = statistics();
    let mut draft = annotated(&coaccess);
    let file = draft.seal();
    let archive = Archive::parse(&file).unwrap();
    assert_eq!(archive.coaccess(), Some(&coaccess));
    // again takes the place of what was there, its weights too
    let cold = Coaccess { warm_start: None, ..coaccess };
    draft.index.annotations.push(Annotation { name: "other".into(), bytes: vec![7] });
    cold.annotate(&mut draft.index).unwrap();
    let names: Vec<_> = draft.index.annotations.iter().map(|a| a.name.as_str()).collect();
    assert_eq!(names, ["other", "coaccess"]);
    assert_eq!(Archive::parse(&draft.seal()).unwrap().coaccess(), Some(&cold));
}

#[test]
fn without_statistics_archives_stay_valid() {
    assert_eq!(Archive::parse(&mixture().seal()).unwrap().coaccess(), None);
    // a dense model's annotation of that name says nothing
    assert_eq!(Archive::parse(&tiny().seal()).unwrap().coaccess(), None);
    assert_eq!(Archive::parse(&tiny().seal()).unwrap().token_cycle_bytes(), None);
}

#[test]
fn what_is_asked_of_them() {
    let c = statistics();
    assert_eq!((c.tokens(), c.requests()), (14, 56));
    assert_eq!(c.counts(), [12, 11, 5, 14, 4, 10]);
    assert_eq!(c.heat()[..2], [12.0 / 14.0, 11.0 / 14.0]);
    let name = |counts: &[u32]| c.closest_domain(counts).map(|domain| domain.name.as_str());
    assert_eq!(name(&[9, 9, 0, 9, 0, 9]), Some("essay"));
    assert_eq!(name(&[2, 0, 1, 1, 1, 1]), Some("code"));
    assert_eq!(name(&[0; 6]), None);
    assert_eq!(name(&[1; 5]), None);
    assert_eq!(c.successors(0).collect::<Vec<_>>(), [(3, 10.0 / 12.0), (5, 0.5)]);
    assert_eq!(c.successors(2).count(), 0);
    assert_eq!((c.order(0), c.order(1), c.order(2)), (&[0, 1, 2][..], &[2, 0, 1][..], &[][..]));
    assert_eq!(c.warm_start().map(|weights| weights[224]), Some(224.0));
}

#[test]
fn one_token_cycle_is_the_longest_experts_of_every_layer() {
    let draft = mixture();
    let len = |pack: usize| draft.index.packs[pack].len;
    let file = draft.seal();
    let archive = Archive::parse(&file).unwrap();
    assert_eq!(archive.token_cycle_bytes(), Some(2 * len(2) + 2 * len(7)));
    assert_eq!(archive.expert_bytes(), 3 * len(2) + 3 * len(7));
}

#[test]
fn bad_files() {
    use CoaccessError as E;
    let file = statistics().to_file().unwrap();
    let read = |bytes: &[u8]| Coaccess::from_file(bytes).unwrap_err();
    assert_eq!(read(b""), E::NotCoaccess);
    assert_eq!(read(b"SYMBIOTE and more"), E::NotCoaccess);
    assert_eq!(read(&file[..40]), E::Truncated);
    assert_eq!(read(&file[..file.len() - 1]), E::Truncated);
    assert_eq!(read(&[&file[..], &[0]].concat()), E::TrailingBytes);
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut file = file.clone();
        change(&mut file);
        let hash = Sha256::of(&file[64..]);
        file[32..64].copy_from_slice(&hash);
        read(&file)
    };
    assert_eq!(with(&|f| f[8] = 2), E::UnknownVersion { found: 2 });
    assert_eq!(with(&|f| f[31] = 0xFF), E::Truncated);
    assert_eq!(with(&|f| f[23] = 0xFF), E::Truncated);
    assert!(matches!(with(&|f| f[16] += 4), E::Truncated));
    let mut flipped = file.clone();
    flipped[100] ^= 1;
    assert_eq!(read(&flipped), E::Corrupt);
    // a NaN among the weights, and one byte more for them
    assert_eq!(with(&|f| f[file.len() - 4..].copy_from_slice(&f32::NAN.to_le_bytes())), E::Weights { bytes: 900 });
    let shifted = with(&|f| {
        f[24..26].copy_from_slice(&901u16.to_le_bytes());
        f.push(0);
    });
    assert_eq!(shifted, E::Weights { bytes: 901 });
    assert!(matches!(with(&|f| f[60 + file.len() - 964..file.len() - 900].fill(0x7F)), E::Malformed { .. }));
}

#[test]
fn bad_tables() {
    use CoaccessError as E;
    assert_eq!(changed(|c| c.mixture.layers.clear()), E::Mixture);
    assert_eq!(changed(|c| c.mixture.layers = vec![1, 0]), E::Mixture);
    assert_eq!(changed(|c| c.mixture.experts = 1), E::Mixture);
    assert_eq!(changed(|c| c.mixture.used = 4), E::Mixture);
    assert_eq!(changed(|c| c.mixture.name = "x".repeat(513)), E::Mixture);
    assert_eq!(changed(|c| c.domains.clear()), E::Domains { found: 0 });
    let domain = Domain { name: String::new(), ..statistics().domains[0].clone() };
    assert_eq!(changed(|c| c.domains.resize(257, domain)), E::Domains { found: 257 });
    assert_eq!(changed(|c| c.domains[1].name = "essay".into()), E::DomainName { domain: 1 });
    assert_eq!(changed(|c| c.domains[0].name = "a\nb".into()), E::DomainName { domain: 0 });
    assert_eq!(changed(|c| c.domains[0].name = "x".repeat(65)), E::DomainName { domain: 0 });
    assert_eq!(changed(|c| c.domains[0].tokens = 0), E::Tokens);
    assert_eq!(changed(|c| c.domains[1].tokens = u32::MAX), E::Tokens);
    let heat = || E::Heat { domain: "code".into() };
    assert_eq!(changed(|c| c.domains[1].heat[0] += 1), heat());
    assert_eq!(changed(|c| c.domains[1].heat.truncate(5)), heat());
    assert_eq!(changed(|c| c.domains[1].heat[..3].copy_from_slice(&[8, 0, 0])), heat());
    let successor = |number| E::Successor { number };
    assert_eq!(changed(|c| c.successors[0].next = 2), successor(0));
    assert_eq!(changed(|c| c.successors[2].expert = 3), successor(2));
    assert_eq!(changed(|c| c.successors[0].count = 13), successor(0));
    assert_eq!(changed(|c| c.successors[1].count = 0), successor(1));
    assert_eq!(changed(|c| c.successors.swap(0, 1)), successor(1));
    assert_eq!(changed(|c| c.successors[1] = c.successors[0]), successor(1));
    assert_eq!(changed(|c| c.order[4] = 2), E::Order { layer: 1 });
    assert_eq!(changed(|c| c.order.truncate(3)), E::Order { layer: 0 });
    assert_eq!(changed(|c| c.hits[0].hits = 57), E::Hits);
    assert_eq!(changed(|c| c.hits[1].slots = 2), E::Hits);
    assert_eq!(changed(|c| c.hits[1].slots = 7), E::Hits);
    assert_eq!(changed(|c| c.hits.insert(0, CacheHits { slots: 0, hits: 0 })), E::Hits);
}

#[test]
fn more_successors_than_allowed() {
    let tokens = 1;
    let mixture = Mixture { architecture: "x".into(), name: String::new(), layers: vec![0, 1], experts: 100, used: 64 };
    let all = |layer: u32| (0..64).map(move |e| Successor { expert: layer, next: 100 + e, count: 1 });
    let heat = (0..200).map(|n| u32::from(n % 100 < 64)).collect();
    let order = (0..100).chain(0..100).collect();
    let domains = vec![Domain { name: "text".into(), tokens, heat }];
    let mut c = Coaccess { mixture, domains, order, successors: all(0).chain(all(1)).collect(), ..Coaccess::default() };
    c.to_file().unwrap();
    c.domains[0].heat[199] = 0;
    c.successors.insert(64, Successor { expert: 0, next: 163, count: 1 });
    assert_eq!(c.to_file().unwrap_err(), CoaccessError::Successor { number: 64 });
}

#[test]
fn statistics_of_another_model() {
    let other = |change: &dyn Fn(&mut Coaccess)| {
        let mut coaccess = statistics();
        change(&mut coaccess);
        let mut draft = mixture();
        match coaccess.annotate(&mut draft.index).unwrap_err() {
            FormatError::Coaccess(CoaccessError::OtherModel { found, .. }) => found,
            other => panic!("{other}"),
        }
    };
    let said = "mixed (qwen3moe, 2 layers of 3 experts, 2 of them used)";
    assert_eq!(other(&|c| c.mixture.architecture = "qwen3moe".into()), said);
    other(&|c| c.mixture.layers = vec![0, 2]);
    other(&|c| c.mixture.name = "another".into());
    assert!(
        refused(&{
            let mut draft = annotated(&statistics());
            draft.index.metadata[0].value = "renamed".into();
            draft
        })
        .to_string()
        .contains("the model is renamed")
    );
    // a name that is not there fits
    let mut nameless = mixture();
    nameless.index.metadata.clear();
    statistics().annotate(&mut nameless.index).unwrap();
    Archive::parse(&nameless.seal()).unwrap();
    let dense = statistics().annotate(&mut tiny().index);
    assert_eq!(dense.unwrap_err(), CoaccessError::NoExperts.into());
}

#[test]
fn annotations_that_are_none() {
    let spoilt = |change: &dyn Fn(&mut Vec<Annotation>)| {
        let mut draft = annotated(&statistics());
        change(&mut draft.index.annotations);
        match refused(&draft) {
            FormatError::Coaccess(error) => error,
            other => panic!("{other}"),
        }
    };
    assert_eq!(spoilt(&|a| a.push(a[0].clone())), CoaccessError::Twice { name: "coaccess" });
    assert_eq!(spoilt(&|a| drop(a.remove(0))), CoaccessError::WeightsAlone);
    assert_eq!(spoilt(&|a| a[1].bytes.truncate(899)), CoaccessError::Weights { bytes: 899 });
    assert!(matches!(spoilt(&|a| a[0].bytes = vec![1, 2, 3]), CoaccessError::Malformed { .. }));
    let long = symbiote_format::limits::COACCESS_BYTES + 1;
    assert_eq!(spoilt(&|a| a[0].bytes = vec![0; long]), CoaccessError::TooLong { found: long });
}

/// Fails to compile when a variant is added, so that it gets its bad file above.
#[allow(dead_code)]
fn every_variant_has_its_bad_file(error: CoaccessError) {
    use CoaccessError as E;
    match error {
        E::NotCoaccess
        | E::UnknownVersion { .. }
        | E::Truncated
        | E::TrailingBytes
        | E::Corrupt
        | E::Malformed { .. } => {
            bad_files();
        }
        E::TooLong { .. } | E::Twice { .. } | E::WeightsAlone | E::Weights { .. } => annotations_that_are_none(),
        E::OtherModel { .. } | E::NoExperts => statistics_of_another_model(),
        E::Mixture | E::Domains { .. } | E::DomainName { .. } | E::Tokens | E::Heat { .. } => bad_tables(),
        E::Successor { .. } | E::Order { .. } | E::Hits => bad_tables(),
    }
}

#[test]
fn experts_of_a_layer_may_lie_in_any_order() {
    let swapped = |a: usize, b: usize| {
        let mut draft = mixture();
        let packs = &mut draft.index.packs;
        (packs[a].offset, packs[b].offset) = (packs[b].offset, packs[a].offset);
        draft.segments.swap(a, b);
        draft
    };
    // experts 0 and 2 of layer 0, and of layer 1
    for (a, b) in [(2, 4), (7, 9)] {
        let file = swapped(a, b).seal();
        let archive = Archive::parse(&file).unwrap();
        (0..10).for_each(|pack| archive.verify_pack(pack).unwrap());
        assert!(archive.index().packs[a].offset > archive.index().packs[b].offset);
    }
    // of two layers, and of an expert and another pack
    for (a, b) in [(4, 7), (1, 2)] {
        assert!(matches!(refused(&swapped(a, b)), FormatError::SegmentPlace { .. }));
    }
    let place = |change: &dyn Fn(&mut Draft)| {
        let mut draft = mixture();
        change(&mut draft);
        refused(&draft)
    };
    let first = mixture().index.packs[2].offset;
    let next = mixture().index.packs[3].offset;
    let on_each_other = place(&|d| d.index.packs[3].offset = first);
    assert_eq!(on_each_other, FormatError::SegmentPlace { pack: 3, found: first, expected: next });
    let gap = place(&|d| d.index.packs[2].offset += 4096);
    assert!(matches!(gap, FormatError::SegmentPlace { expected, .. } if expected == first));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Nothing panics, whatever the bytes; the hash is right.
    #[test]
    fn good_statistics_gone_bad(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut file = statistics().to_file().unwrap();
        let len = file.len();
        for (at, value) in changes {
            file[16 + at.index(len - 16)] = value;
        }
        let hash = Sha256::of(&file[64..]);
        file[32..64].copy_from_slice(&hash);
        if let Ok(coaccess) = Coaccess::from_file(&file) {
            // what is read can be written, and asked
            coaccess.to_file().unwrap();
            (0..8).for_each(|n| assert!(coaccess.successors(n).count() <= 64 && coaccess.order(n).len() <= 4096));
            coaccess.closest_domain(&coaccess.counts());
        }
    }

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut file = statistics().to_file().unwrap()[..64].to_vec();
        file.extend(&bytes);
        file[16..24].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
        file[24..32].fill(0);
        let hash = Sha256::of(&file[64..]);
        file[32..64].copy_from_slice(&hash);
        drop(Coaccess::from_file(&file));
    }
}
