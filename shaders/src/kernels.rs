// The table of kernel variants. Shared with the build script, so: no other module of this crate in here.

/// A kernel variant: a GLSL file with one macro defined, or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// `file_DTYPE`, or `file` where the kernel reads no stored weights.
    pub name: &'static str,
    /// File name without `.comp`.
    pub file: &'static str,
    /// The macro that selects the stored type.
    pub define: Option<&'static str>,
}

macro_rules! per_dtype {
    ($file:literal: $($dtype:literal)*) => {
        [$(Kernel { name: concat!($file, "_", $dtype), file: $file, define: Some(concat!("DTYPE_", $dtype)) }),*]
    };
}

macro_rules! every_dtype {
    ($($file:literal)*) => {
        [$(per_dtype!($file:
            "F32" "F16" "BF16" "Q4_0" "Q4_1" "Q5_0" "Q5_1" "Q8_0" "Q2_K" "Q3_K" "Q4_K" "Q5_K" "Q6_K" "IQ4_NL"
            "IQ4_XS" "MXFP4" "TQ1_0" "TQ2_0" "IQ1_S" "IQ1_M" "IQ2_XXS" "IQ2_XS" "IQ2_S" "IQ3_XXS" "IQ3_S"
            "F8_E4M3" "F8_E5M2"
        )),*]
    };
}

const fn plain(name: &'static str) -> Kernel {
    Kernel { name, file: name, define: None }
}

const fn packed(name: &'static str, file: &'static str, define: &'static str) -> Kernel {
    Kernel { name, file, define: Some(define) }
}

const TYPED: [[Kernel; 27]; 2] = every_dtype!("embed" "matmul");
const QUANTS: [Kernel; 7] = per_dtype!("matmul_quant": "Q4_0" "Q8_0" "Q4_K" "Q5_K" "Q6_K" "F8_E4M3" "F8_E5M2");
const PACKED: [Kernel; 6] = [
    packed("embed_p11", "embed_packed", "CODEC_P11"),
    packed("embed_p12", "embed_packed", "CODEC_P12"),
    packed("matmul_p11", "matmul_packed", "CODEC_P11"),
    packed("matmul_p12", "matmul_packed", "CODEC_P12"),
    packed("matrix_p11", "matmul_matrix", "CODEC_P11"),
    packed("matrix_p12", "matmul_matrix", "CODEC_P12"),
];
const PLAIN: [Kernel; 17] = [
    plain("activate"),
    plain("add"),
    plain("attention"),
    plain("attention_merge"),
    plain("attention_token"),
    plain("cap"),
    plain("combine"),
    plain("gather"),
    plain("half_denormals"),
    plain("heads"),
    plain("latent_heads"),
    plain("latent_keys"),
    plain("matrix_layout"),
    plain("norm"),
    plain("read"),
    plain("route"),
    plain("split"),
];

/// Names of the stored types that the typed kernels exist for.
pub const DTYPES: [&str; 27] = [
    "F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL",
    "IQ4_XS", "MXFP4", "TQ1_0", "TQ2_0", "IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S", "F8_E4M3",
    "F8_E5M2",
];

/// Every kernel variant.
pub const KERNELS: &[&[Kernel]] = &[&TYPED[0], &TYPED[1], &QUANTS, &PACKED, &PLAIN];

/// The kernel of this name.
pub fn find(name: &str) -> Option<&'static Kernel> {
    KERNELS.iter().copied().flatten().find(|k| k.name == name)
}
