#version 460
// x for matmul_matrix.comp: each number as the sum of two f16, 22 bits of it, in the order in which a chunk's fields lie in
// matrices. Tokens and columns that are not there are zeros.
#include "common.glsl"

layout(push_constant) uniform Args {
  F32x4s x;           // [tokens][x_stride]
  U32sOut halves;     // [chunks][8 q][16: a token's upper half, 8 on its lower][16 fields of slots 0..3] f16
  uint coded;         // columns, a multiple of 32
  uint tokens;        // at most 8
  uint x_stride;      // a multiple of 4
} a;

void main() {
  const uint i = gl_GlobalInvocationID.x, t = gl_WorkGroupID.y;
  const uint c = i / 32, q = i / 4 % 8, s = i % 4;
  if (128 * c >= a.coded) return;
  const uint C = min(4, a.coded / 32 - 4 * c);
  vec4 v = vec4(0.0);
  if (t < a.tokens && s < C) v = a.x.at[t * (a.x_stride / 4) + 32 * c + q * C + s];
  const uvec2 upper = uvec2(packHalf2x16(v.xy), packHalf2x16(v.zw));
  v -= vec4(unpackHalf2x16(upper.x), unpackHalf2x16(upper.y));
  const uint to = (i / 4 * 16 + t) * 8 + s;
  a.halves.at[to] = upper.x;
  a.halves.at[to + 4] = upper.y;
  a.halves.at[to + 64] = packHalf2x16(v.xy);
  a.halves.at[to + 68] = packHalf2x16(v.zw);
}
