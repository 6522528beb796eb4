#version 460
// x[t] = row tokens[t] of a packed embedding (packed.glsl): one workgroup a token.
#include "common.glsl"
#include "exceptions.glsl"
#include "packed.glsl"

layout(push_constant) uniform Args {
  U64s packs;    // pack table
  U32s parts;    // parts of the embedding, `first_tile` counts rows
  U32s tokens;   // [tokens]; 0: rows from `first` on, in order
  uint64_t x;    // [tokens][x_stride] f32
  uint part_count;
  uint columns_;
  uint x_stride;
  uint first;
} a;

void main() {
  const uint token = uint64_t(a.tokens) == 0 ? a.first + gl_WorkGroupID.x : a.tokens.at[gl_WorkGroupID.x];
  const Part part = find_part(a.packs, a.parts, a.part_count, token);
  if (token - part.first_tile >= part.rows) return;  // of another product
  const uint row = token - part.first_tile;
  const Packed at = packed_at(part.at, part.rows, a.columns_);
  const Strip strip = strip_of(row, part.rows);
  const uint P = strip.run, p = strip.p, t = strip.t;
  F32sOut x = F32sOut(a.x + uint64_t(gl_WorkGroupID.x) * a.x_stride * 4);

  const float scale = scale_of_base(U32s(at.trailer).at[0]);
  const uint64_t blocks = at.blocks + uint64_t(strip.tile) * (at.coded / 32) * (8 * WORDS * 16);
  for (uint u = gl_LocalInvocationID.x; u < at.coded / 32; u += gl_WorkGroupSize.x) {
    const uint c = u / 4, s = u % 4, C = min(4, at.coded / 32 - 4 * c);
    U32s words = U32s(blocks + uint64_t(c) * (P * 4 * WORDS * 16));
    uvec4 w[WORDS];
    [[unroll]] for (uint i = 0; i < WORDS; i++) w[i] = uvec4(words.at[((i * P + p) * C + s) * 4 + t]);
    [[unroll]] for (uint i = 0; i < 16; i++) {
      const vec2 v = scale * unpackHalf2x16(pair(w, i).x);
      const uint k = 128 * c + i / 2 * 4 * C + 4 * s + i % 2 * 2;
      x.at[k] = v.x;
      x.at[k + 1] = v.y;
    }
  }
  put_exceptions(at.lists, strip, x);
  for (uint k = at.coded + gl_LocalInvocationID.x; k < a.columns_; k += gl_WorkGroupSize.x) {
    x.at[k] = tail_weight(at, part.rows, row, k - at.coded, a.columns_ - at.coded);
  }
}
