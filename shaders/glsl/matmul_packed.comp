#version 460
// y[t][r] = sum_k w[r][k] x[t][k] over packed parts (packed.glsl). A workgroup takes the rows of one tile that a subgroup has lanes
// for; its subgroups share out the chunks. A lane has four rows and every fourth group of columns, all the way.
#include "common.glsl"
#include "exceptions.glsl"
#include "packed.glsl"
#include "product.glsl"

layout(constant_id = 1) const uint TOKENS = 1;  // tokens a workgroup
layout(constant_id = 2) const uint LANES = 32;  // size of a subgroup
layout(constant_id = 3) const uint SUBGROUPS = 4;

const uint SLICE = LANES < 32 ? LANES : 32;    // slots of a chunk that a subgroup works on
const uint SLICES = 32 / SLICE;         // workgroups a tile
const uint ABREAST = LANES / SLICE;     // chunks at once, where a subgroup is larger than a chunk

shared float partial[SUBGROUPS * TOKENS * SLICE];

void main() {
  const uint first = gl_WorkGroupID.y * TOKENS;
  const bool gated = SUBGROUPS > 1 && is_gated();
  const uint shares = gated ? SUBGROUPS / 2 : SUBGROUPS;  // subgroups that share out a tile: of W, then of V where there is a gate
  Part part;
  uint tile0;
  if (gated) {
    Part w, v;
    parts_of(gl_WorkGroupID.x / SLICES, w, v);
    tile0 = w.first_tile;
    part = w;
    if (gl_SubgroupID >= shares) part = v;
  } else {
    part = part_of(gl_WorkGroupID.x / SLICES, first, 32);
    tile0 = part.first_tile;
  }
  if (EXPERTS && part.rows == 0) return;
  const uint share = gated ? gl_SubgroupID % shares : gl_SubgroupID;
  const uint tile = gl_WorkGroupID.x / SLICES - tile0, slice = gl_WorkGroupID.x % SLICES;
  const Packed at = packed_at(part.at, part.rows, a.columns_);
  const uint rows = part.rows - 32 * tile;
  const uint P = min(8, (rows + 3) / 4);

  const uint lane = gl_SubgroupInvocationID, slot = slice * SLICE + lane % SLICE;
  const uint p = slot / 4, s = slot % 4;
  const uint64_t x_at = a.x + uint64_t(first) * a.x_stride * 4;
  F32x4s x = F32x4s(x_at);
  const uint stride = a.x_stride / 4;

  vec4 sum[TOKENS];
  [[unroll]] for (uint t = 0; t < TOKENS; t++) sum[t] = vec4(0.0);
  if (p < P) {
    const uint64_t blocks = at.blocks + uint64_t(tile) * (at.coded / 32) * (8 * WORDS * 16);
    const uint first_chunk = share * ABREAST + lane / SLICE, step = shares * ABREAST;
    for (uint c = first_chunk; c * 128 < at.coded; c += step) {
      const uint C = columns_of(at, c);
      if (s < C) {
        uvec4 w[WORDS];
        load(w, blocks + uint64_t(c) * (P * 4 * WORDS * 16), P * C, p * C + s);
        [[unroll]] for (uint q = 0; q < 8; q++) {
          const uint k = 32 * c + q * C + s;
          const uvec4 v0 = pair(w, 2 * q), v1 = pair(w, 2 * q + 1);
          const vec2 r0 = unpackHalf2x16(v0.x), r1 = unpackHalf2x16(v0.y), r2 = unpackHalf2x16(v0.z), r3 = unpackHalf2x16(v0.w);
          const vec2 u0 = unpackHalf2x16(v1.x), u1 = unpackHalf2x16(v1.y), u2 = unpackHalf2x16(v1.z), u3 = unpackHalf2x16(v1.w);
          [[unroll]] for (uint t = 0; t < TOKENS; t++) {
            const vec4 v = x.at[t * stride + k];
            sum[t] = fma(vec4(r0.x, r1.x, r2.x, r3.x), vec4(v.x), sum[t]);
            sum[t] = fma(vec4(r0.y, r1.y, r2.y, r3.y), vec4(v.y), sum[t]);
            sum[t] = fma(vec4(u0.x, u1.x, u2.x, u3.x), vec4(v.z), sum[t]);
            sum[t] = fma(vec4(u0.y, u1.y, u2.y, u3.y), vec4(v.w), sum[t]);
          }
        }
      }
    }
    const uint base = U32s(at.trailer).at[0];
    const float scale = scale_of_base(base), nothing = nothing_of_base(base);
    [[unroll]] for (uint t = 0; t < TOKENS; t++) sum[t] *= scale;
    for (uint window = first_chunk; window < at.lists.windows; window += step) {
      const uvec2 run = exceptions_of(at.lists, tile, window, p);
      for (uint i = run.x + s; i < run.y; i += 4) {
        const Exception e = exception_at(at.lists.entries, i, window);
        [[unroll]] for (uint t = 0; t < TOKENS; t++) {
          sum[t] += only(e.t, (e.weight - nothing) * F32s(x_at).at[t * a.x_stride + e.column]);
        }
      }
    }
  }
  // columns beyond the last 32 are stored as in the source
  const uint tail = a.columns_ - at.coded;
  if (tail > 0 && p < P && share == 0 && lane < SLICE) {
    for (uint k = s; k < tail; k += 4) {
      [[unroll]] for (uint j = 0; j < 4; j++) {
        const float w = tail_weight(at, part.rows, 32 * tile + min(p + P * j, rows - 1), k, tail);
        [[unroll]] for (uint t = 0; t < TOKENS; t++) sum[t][j] = fma(w, x.at[t * stride + (at.coded + k) / 4][k % 4], sum[t][j]);
      }
    }
  }
  [[unroll]] for (uint t = 0; t < TOKENS; t++) {
    sum[t] += subgroupShuffleXor(sum[t], 1);
    sum[t] += subgroupShuffleXor(sum[t], 2);
    if (LANES == 64) sum[t] += subgroupShuffleXor(sum[t], 32);
  }
  // A subgroup on its own needs no barrier, which is dear on a CPU.
  if (s == 0 && lane < SLICE && p < P) {
    [[unroll]] for (uint t = 0; t < TOKENS; t++) {
      [[unroll]] for (uint j = 0; j < 4; j++) {
        const uint r = p + P * j;
        if (SUBGROUPS > 1) partial[(gl_SubgroupID * TOKENS + t) * SLICE + lane + j] = sum[t][j];
        else if (r < rows) write(first + t, part.first_row + 32 * tile + r, sum[t][j]);
      }
    }
  }
  if (SUBGROUPS == 1) return;
  const float factor = gl_SubgroupID == 0 ? factor_of_x() : 1.0;
  barrier();
  float squares = 0.0;
  for (uint i = gl_SubgroupID * LANES + lane; i < TOKENS * SLICE; i += gl_WorkGroupSize.x) {
    const uint t = i / SLICE, p = (slice * SLICE + i % SLICE) / 4, r = p + P * (i % 4);
    float v = 0.0, up = 0.0;
    for (uint g = 0; g < shares; g++) v += partial[g * (TOKENS * SLICE) + i];
    if (TOKENS == 1) {
      if (gated) for (uint g = shares; g < SUBGROUPS; g++) up += partial[g * (TOKENS * SLICE) + i];
      v *= factor;
      if (gated) v = gate(v, up * factor);
    }
    if (p >= P || r >= rows) continue;
    if (TOKENS == 1) write_row(first + t, part.first_row + 32 * tile + r, v, squares);
    else write(first + t, part.first_row + 32 * tile + r, v);
  }
  if (TOKENS == 1 && gl_SubgroupID == 0) leave(squares);
}
