//! Code tables: what a number in the index stands for. A code that is not in its table is refused.

use std::fmt;

macro_rules! code_table {
    ($(#[$doc:meta])* $name:ident: $repr:ty { $($(#[$vdoc:meta])* $variant:ident = $code:literal $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr($repr)]
        pub enum $name { $($(#[$vdoc])* $variant = $code,)* }

        impl $name {
            /// Every entry of the table.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];
            /// The entry with this code, if there is one.
            pub fn from_code(code: $repr) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)* _ => None }
            }
            /// The number that stands for this entry in an archive.
            pub const fn code(self) -> $repr { self as $repr }
            /// The name that people read.
            pub const fn name(self) -> &'static str { match self { $(Self::$variant => $text,)* } }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.pad(self.name()) }
        }
    };
}

code_table! {
    /// What a pack holds: the unit of residency is whole rows of one role of one layer.
    PackRole: u8 {
        /// q, k and v rows of one or more key-value groups.
        AttentionHeads = 1 "attention-heads",
        /// Rows of the attention output projection.
        AttentionOutput = 2 "attention-output",
        /// Gate and up rows of the feed-forward network.
        MlpBlock = 3 "mlp-block",
        /// Rows of the feed-forward down projection.
        MlpDown = 4 "mlp-down",
        /// One whole expert: gate, up and down.
        Expert = 5 "expert",
        /// The expert router.
        Router = 6 "router",
        /// Normalisation weights and other small vectors.
        Norms = 7 "norms",
        /// Rows of the token embedding.
        Embedding = 8 "embedding",
        /// Rows of the output head.
        Head = 9 "head",
    }
}

code_table! {
    /// Which weight of the architecture a tensor is.
    TensorKind: u16 {
        /// Token embedding `[vocabulary, hidden]`; also the head where none is stored.
        TokenEmbedding = 1 "token_embd",
        /// Norm before the head `[hidden]`.
        OutputNorm = 2 "output_norm",
        /// Output head `[vocabulary, hidden]`.
        Output = 3 "output",
        /// Divisors of the rotary frequencies `[rope dims / 2]`.
        RopeFactors = 4 "rope_freqs",
        /// Learned positions `[context, hidden]`, added to the embedding.
        PositionEmbedding = 5 "position_embd",
        /// Bias of the norm before the head `[hidden]`.
        OutputNormBias = 6 "output_norm.bias",
        /// Norm before attention `[hidden]`.
        AttentionNorm = 16 "attn_norm",
        /// Query projection `[heads * head size, hidden]`.
        Query = 17 "attn_q",
        /// Key projection `[kv heads * head size, hidden]`.
        Key = 18 "attn_k",
        /// Value projection `[kv heads * head size, hidden]`.
        Value = 19 "attn_v",
        /// Attention output projection `[hidden, heads * head size]`.
        AttentionOutput = 20 "attn_output",
        /// Bias of the norm before attention `[hidden]`.
        AttentionNormBias = 21 "attn_norm.bias",
        /// Query, key and value projections in one `[(heads + 2 kv heads) * head size, hidden]`.
        QueryKeyValue = 22 "attn_qkv",
        /// Their bias `[(heads + 2 kv heads) * head size]`.
        QueryKeyValueBias = 23 "attn_qkv.bias",
        /// Query bias `[heads * head size]`.
        QueryBias = 24 "attn_q.bias",
        /// Key bias `[kv heads * head size]`.
        KeyBias = 25 "attn_k.bias",
        /// Value bias `[kv heads * head size]`.
        ValueBias = 26 "attn_v.bias",
        /// RMSNorm of queries before they are turned: `[head size]`, of each head, or `[heads * head size]`, of all together.
        QueryNorm = 27 "attn_q_norm",
        /// RMSNorm of keys, likewise.
        KeyNorm = 28 "attn_k_norm",
        /// Attention output bias `[hidden]`.
        AttentionOutputBias = 29 "attn_output.bias",
        /// Norm of what attention adds to the residual stream `[hidden]`.
        PostAttentionNorm = 30 "post_attention_norm",
        /// Logits of nothing, which take part in each head's softmax and bring no value `[heads]`.
        AttentionSinks = 31 "attn_sinks",
        /// Norm before the feed-forward network `[hidden]`.
        FfnNorm = 32 "ffn_norm",
        /// Gate projection `[ffn, hidden]`.
        FfnGate = 33 "ffn_gate",
        /// Up projection `[ffn, hidden]`.
        FfnUp = 34 "ffn_up",
        /// Down projection `[hidden, ffn]`.
        FfnDown = 35 "ffn_down",
        /// Bias of the norm before the feed-forward network `[hidden]`.
        FfnNormBias = 36 "ffn_norm.bias",
        /// Gate and up projections in one, the gate's rows first `[2 * ffn, hidden]`.
        FfnGateUp = 37 "ffn_gate_up",
        /// Gate bias `[ffn]`.
        FfnGateBias = 38 "ffn_gate.bias",
        /// Up bias `[ffn]`.
        FfnUpBias = 39 "ffn_up.bias",
        /// Down bias `[hidden]`.
        FfnDownBias = 40 "ffn_down.bias",
        /// Norm of what the feed-forward network adds to the residual stream `[hidden]`.
        PostFfnNorm = 41 "post_ffw_norm",
        /// Router `[experts, hidden]`.
        Router = 48 "ffn_gate_inp",
        /// Router bias, added to its logits `[experts]`.
        RouterBias = 49 "ffn_gate_inp.bias",
        /// Added to the scores by which experts are chosen, and to no weight `[experts]`.
        ExpertScoreBias = 50 "exp_probs_b",
        /// Gate projections of experts: of all of a layer `[experts, ffn, hidden]`, or of one `[ffn, hidden]`; then a layer has as
        /// many, in the index in the order of the experts.
        ExpertGate = 51 "ffn_gate_exps",
        /// Up projections, likewise.
        ExpertUp = 52 "ffn_up_exps",
        /// Down projections, likewise: `[experts, hidden, ffn]`, or `[hidden, ffn]`.
        ExpertDown = 53 "ffn_down_exps",
        /// Gate and up projections in one, each expert's gate rows first or in turn with those of up, as
        /// [`Experts::interleaved`](crate::Experts::interleaved) says: `[experts, 2 * ffn, hidden]`, or `[2 * ffn, hidden]`.
        ExpertGateUp = 54 "ffn_gate_up_exps",
        /// Gate biases `[experts, ffn]`.
        ExpertGateBias = 55 "ffn_gate_exps.bias",
        /// Up biases `[experts, ffn]`.
        ExpertUpBias = 56 "ffn_up_exps.bias",
        /// Down biases `[experts, hidden]`.
        ExpertDownBias = 57 "ffn_down_exps.bias",
        /// Gate projection of what every token goes through beside its experts `[shared ffn, hidden]`.
        SharedGate = 58 "ffn_gate_shexp",
        /// Its up projection `[shared ffn, hidden]`.
        SharedUp = 59 "ffn_up_shexp",
        /// Its down projection `[hidden, shared ffn]`.
        SharedDown = 60 "ffn_down_shexp",
        /// Its result is multiplied by the sigmoid of this vector's product with the input `[hidden]`.
        SharedRouter = 61 "ffn_gate_inp_shexp",
        /// Its gate and up projections in one, the gate's rows first `[2 * shared ffn, hidden]`.
        SharedGateUp = 62 "ffn_gate_up_shexp",
        /// Factors of the tensor before it in the index, whose type needs them: see [`ScaleBlocks`](crate::ScaleBlocks).
        Scale = 240 "scale",
        /// Biases of gate and up in one, in the order of the rows of [`ExpertGateUp`](Self::ExpertGateUp) `[experts, 2 * ffn]`.
        ExpertGateUpBias = 63 "ffn_gate_up_exps.bias",
        /// Projection to the latent vector of queries `[query rank, hidden]`.
        QueryLatent = 72 "attn_q_a",
        /// RMSNorm of that `[query rank]`.
        QueryLatentNorm = 73 "attn_q_a_norm",
        /// Queries out of it `[heads * head size, query rank]`.
        QueryOfLatent = 74 "attn_q_b",
        /// Projection to the latent vector of keys and values, and to what is rotated of keys `[kv rank + rope dims, hidden]`.
        KeyValueLatent = 75 "attn_kv_a_mqa",
        /// RMSNorm of that vector `[kv rank]`.
        KeyValueLatentNorm = 76 "attn_kv_a_norm",
        /// What is not rotated of a head's keys, then its values, head after head
        /// `[heads * (head size - rope dims + value size), kv rank]`.
        KeyValueOfLatent = 77 "attn_kv_b",
        /// The same of keys alone, transposed `[heads, kv rank, head size - rope dims]`.
        KeyOfLatent = 78 "attn_k_b",
        /// The same of values alone `[heads, value size, kv rank]`.
        ValueOfLatent = 79 "attn_v_b",
        /// Kept so that `extract` returns it; no computation reads it.
        Unused = 255 "unused",
    }
}

code_table! {
    /// How the bytes of a part are coded.
    Codec: u8 {
        /// As the source stored them, row after row.
        Raw = 0 "raw",
        /// 12 bits a weight: sign, 4-bit exponent code, mantissa; exceptions apart. Computed on as it is.
        P12 = 1 "p12",
        /// 11 bits a weight: as p12, with a 3-bit exponent code.
        P11 = 2 "p11",
        /// Byte planes under zstd. Decoded before use.
        Zstd = 3 "zstd",
        /// zfp in its reversible mode. Decoded before use.
        Zfp = 4 "zfp",
        /// F32 values that are exact in f16, as f16; exceptions apart. Computed on as it is.
        F16 = 5 "f16",
        /// F32 values that are exact in bf16, as bf16; exceptions apart. Computed on as it is.
        Bf16 = 6 "bf16",
    }
}

code_table! {
    /// Where the vocabulary came from, and so how it is rebuilt.
    TokenizerKind: u8 {
        /// Byte-level BPE from GGUF metadata (`tokenizer.ggml.model` = `gpt2`): tokens, merges, a pre-tokenizer's name.
        GgufBpe = 1 "gguf-bpe",
        /// SentencePiece from GGUF metadata (`tokenizer.ggml.model` = `llama`): tokens and scores.
        GgufSentencePiece = 2 "gguf-sentencepiece",
        /// A Hugging Face `tokenizer.json`, stored whole.
        HuggingFace = 3 "tokenizer.json",
        /// As [`GgufSentencePiece`](Self::GgufSentencePiece), and the white space after a special token of a type with
        /// [`STRIPS_RIGHT`](crate::STRIPS_RIGHT) belongs to it.
        GgufSentencePieceStrip = 4 "gguf-sentencepiece-strip",
    }
}
