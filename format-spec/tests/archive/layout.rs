//! The offsets of SPEC.md section 5, as the compiler lays them out.

use std::mem::{align_of, offset_of, size_of};

use symbiote_format::archived::*;

macro_rules! layout {
    ($type:ty, $size:literal: $($field:ident $offset:literal),*) => {
        assert_eq!((size_of::<$type>(), align_of::<$type>()), ($size, 8), stringify!($type));
        $(assert_eq!(offset_of!($type, $field), $offset, concat!(stringify!($type), ".", stringify!($field)));)*
    };
}

#[test]
fn structs_lie_as_the_specification_says() {
    layout!(ArchivedIndex, 328: architecture 0, params 16, tokenizer 32, tensors 200, packs 216, parts 232,
        metadata 248, provenance 264, annotations 312);
    layout!(ArchivedParam, 48: key 0, numbers 16, text 32);
    layout!(ArchivedTokenizer, 160: kind 0, pre 8, tokens 24, scores 40, types 56, merges 72, json 88, bos 104,
        eos 108, unk 112, pad 116, stop 120, add_bos 136, add_eos 137, add_space_prefix 138, chat_template 144);
    layout!(rkyv::option::ArchivedOption<ArchivedTokenizer>, 168:);
    layout!(ArchivedTensor, 40: name 0, kind 16, dtype 18, layer 20, shape 24);
    layout!(ArchivedWeightPack, 64: role 0, layer 4, first_part 8, part_count 12, offset 16, len 24, sha256 32);
    layout!(ArchivedPart, 40: tensor 0, row 4, rows 8, codec 12, offset 16, coded_len 24, raw_len 32);
    layout!(ArchivedMetadata, 32: key 0, value 16);
    layout!(ArchivedProvenance, 48: writer 0, source_format 16, sources 32);
    layout!(ArchivedSource, 56: name 0, len 16, sha256 24);
    layout!(ArchivedAnnotation, 32: name 0, bytes 16);
    layout!(ArchivedCoaccess, 120: mixture 0, domains 56, successors 72, order 88, hits 104);
    layout!(ArchivedMixture, 56: architecture 0, name 16, layers 32, experts 48, used 52);
    layout!(ArchivedDomain, 40: name 0, tokens 16, heat 24);
    layout!(ArchivedCacheHits, 16: slots 0, hits 8);
    assert_eq!((size_of::<ArchivedSuccessor>(), align_of::<ArchivedSuccessor>()), (12, 4));
    assert_eq!((offset_of!(ArchivedSuccessor, next), offset_of!(ArchivedSuccessor, count)), (4, 8));
}
