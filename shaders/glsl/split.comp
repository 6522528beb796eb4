#version 460
// x for matmul_matrix.comp, as its lanes load it: lane 4 t + s has of token t what the slot s of a chunk multiplies, each number as
// the sum of an f16 and of 2^-11 times another, after a power of two has brought the token's largest to 2^14. Tokens and columns
// that are not there are zeros. Workgroup (t, g) has token 8 g + t.
#include "common.glsl"
#include "reduce.glsl"

layout(push_constant) uniform Args {
  F32x4s x;           // [tokens][x_stride]
  uint64_t halves;    // of every 8 tokens, split_bytes: [chunks][8 q][8 tokens][4 s]: two pairs of upper halves, two of lower ones; then [8] f32 factors
  uint columns_;
  uint tokens;
  uint x_stride;      // a multiple of 4
} a;

void main() {
  const uint t = gl_WorkGroupID.x, token = 8 * gl_WorkGroupID.y + t;
  F32x4s x = F32x4s(uint64_t(a.x) + uint64_t(token) * a.x_stride * 4);
  const uint64_t halves = a.halves + gl_WorkGroupID.y * split_bytes(a.columns_);
  const uint coded = a.columns_ & ~31u;
  const bool there = token < a.tokens;
  float largest = 0.0;
  if (there) for (uint i = gl_LocalInvocationID.x; i < coded / 4; i += gl_WorkGroupSize.x) {
    const vec4 v = abs(x.at[i]);
    largest = max(max(largest, max(v.x, v.y)), max(v.z, v.w));
  }
  const uint exponent = clamp(floatBitsToUint(workgroup_max(largest)) >> 23, 15, 254);
  const float factor = uintBitsToFloat((127 + 14 + 127 - exponent) << 23);

  const uint chunks = (a.columns_ + 127) / 128;
  for (uint i = gl_LocalInvocationID.x; i < chunks * 32; i += gl_WorkGroupSize.x) {
    const uint c = i / 32, q = i / 4 % 8, s = i % 4, C = 4 * c < coded / 32 ? min(4, coded / 32 - 4 * c) : 0;
    vec4 v = there && s < C ? x.at[32 * c + q * C + s] * factor : vec4(0.0);
    // cut off, not rounded, and small ones to zero: exact on devices that have no f16 denormals
    const uvec4 cut = floatBitsToUint(v) & 0xFFFFE000u;
    const vec4 upper = mix(vec4(0.0), uintBitsToFloat(cut), greaterThanEqual(abs(v), vec4(6.103515625e-5)));
    v = 2048.0 * (v - upper);
    U32x4sOut(halves).at[(i / 4 * 8 + t) * 4 + s] =
        uvec4(packHalf2x16(upper.xy), packHalf2x16(upper.zw), packHalf2x16(v.xy), packHalf2x16(v.zw));
  }
  if (gl_LocalInvocationID.x == 0) F32sOut(halves + uint64_t(chunks) * 4096).at[t] = 1.0 / factor;
}
