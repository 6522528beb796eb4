#version 460
// x[t] = row tokens[t] of the embedding: one workgroup a token.
#include "common.glsl"
#include "exceptions.glsl"
#include "block.glsl"
#include "scales.glsl"

layout(push_constant) uniform Args {
  U64s packs;    // pack table
  U32s parts;    // parts of the embedding, `first_tile` counts rows
  U32s tokens;   // [tokens]; 0: rows from `first` on, in order
  uint64_t x;    // [tokens][x_stride] f32
  uint part_count;
  uint columns_;
  uint x_stride;
  uint first;
  uint64_t grid;  // of types that refer to one; of types with scales, their table
} a;

void main() {
  load_table();
#ifdef GRID
  grid = a.grid;
#endif
  const uint token = uint64_t(a.tokens) == 0 ? a.first + gl_WorkGroupID.x : a.tokens.at[gl_WorkGroupID.x];
  const Part part = find_part(a.packs, a.parts, a.part_count, token);
  if (token - part.first_tile >= part.rows) return;  // of another product
  const uint row_bytes = row_bytes_of(a.columns_);
  const uint64_t row = part.at + uint64_t(token - part.first_tile) * row_bytes;
  F32sOut x = F32sOut(a.x + uint64_t(gl_WorkGroupID.x) * a.x_stride * 4);
#if defined(SCALED)
  const Factors f = factors_of(U32s(a.grid), 0, token);
  const uint first = first_factor(f, token);
  for (uint k = gl_LocalInvocationID.x; k < a.columns_; k += gl_WorkGroupSize.x) {
    x.at[k] = element(row, k) * factor(a.packs, f, first, k);
  }
#elif defined(PLAIN)
  for (uint k = gl_LocalInvocationID.x; k < a.columns_; k += gl_WorkGroupSize.x) x.at[k] = element(row, k);
#else
  const uint units = a.columns_ / 8;
  for (uint i = gl_LocalInvocationID.x; i < units; i += gl_WorkGroupSize.x) {
    const uint b = i / (GROUPS * UNITS), g = i / UNITS % GROUPS, u = i % UNITS;
    const uint64_t block = row + uint64_t(b) * BLOCK_BYTES;
    vec4 w0, w1;
    decode(block, g, u, scale_of(block, g), w0, w1);
    const uvec2 k = columns(g, u) + b * BLOCK;
    [[unroll]] for (uint j = 0; j < 4; j++) { x.at[k.x + j] = w0[j]; x.at[k.y + j] = w1[j]; }
  }
#endif
  if (SOURCE != NONE) {
    put_exceptions(lists_at(trailer_of(part, row_bytes), part.rows, a.columns_), strip_of(token - part.first_tile, part.rows), x);
  }
}
