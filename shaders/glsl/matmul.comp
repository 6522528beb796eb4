#version 460
// y[t][r] = sum_k w[r][k] x[t][k] over the parts of one operation, wherever they lie. A subgroup takes ROWS rows and its lanes
// stride over their units: loads coalesce on a GPU, and on a CPU's vector lanes, where every load is one lane's, those of x
// serve ROWS rows. Of halves, some weights may stand apart: exceptions. Numbers of 8 bits have factors: scales.
#include "common.glsl"
#include "exceptions.glsl"
#include "block.glsl"
#include "scales.glsl"
#include "product.glsl"

layout(constant_id = 1) const uint TOKENS = 1;  // tokens a workgroup
layout(constant_id = 2) const uint ROWS = 1;    // rows a subgroup
layout(constant_id = 3) const bool TOUCH = false;  // ask for the subgroup's weights before computing on them

// Reads a word of every cache line of `bytes` bytes at `first`. A CPU then waits for many lines at once, where the sums below would
// have it wait for a few at a time: they read ROWS rows side by side, which no hardware prefetcher follows.
uint touch(uint64_t first, uint bytes) {
  const uint64_t aligned = first & ~uint64_t(63);
  uint seen = 0;
  for (uint at = 64 * gl_SubgroupInvocationID; at < bytes; at += 64 * gl_SubgroupSize) seen |= U32s(aligned + at).at[0];
  return seen;
}

void main() {
  const uint tile = gl_WorkGroupID.x, first = gl_WorkGroupID.y * TOKENS;
  const Part part = part_of(tile, first, gl_NumSubgroups * ROWS);
  if (EXPERTS && part.rows == 0) return;
  load_table();
#ifdef GRID
  grid = a.halves;
#endif
  const uint row0 = ((tile - part.first_tile) * gl_NumSubgroups + gl_SubgroupID) * ROWS;
  const uint row_bytes = row_bytes_of(a.columns_);
  const uint64_t start = part.at;
  F32x4s x = F32x4s(a.x + uint64_t(first) * a.x_stride * 4);
  const uint stride = a.x_stride / 4;

  uint seen = 0;
  if (TOUCH && row0 < part.rows) seen = touch(start + uint64_t(row0) * row_bytes, min(ROWS, part.rows - row0) * row_bytes);

  uint64_t rows[ROWS];
  float sum[ROWS][TOKENS];
  [[unroll]] for (uint r = 0; r < ROWS; r++) {
    rows[r] = start + uint64_t(min(row0 + r, part.rows - 1)) * row_bytes;
    [[unroll]] for (uint t = 0; t < TOKENS; t++) sum[r][t] = 0.0;
  }
#ifdef SCALED
  const uint expert = EXPERTS ? a.experts.at[first / a.group_rows] : 0;
  const Factors f = factors_of(U32s(a.halves), expert, part.first_row);
  uint factors[ROWS];
  [[unroll]] for (uint r = 0; r < ROWS; r++) factors[r] = first_factor(f, part.first_row + min(row0 + r, part.rows - 1));
#endif
#ifdef PLAIN
  const bool aligned = a.columns_ % 8 == 0;
  const uint units = aligned ? a.columns_ / 8 : 0;
#else
  const uint units = a.columns_ / 8;
#endif
  for (uint i = gl_SubgroupInvocationID; i < units; i += gl_SubgroupSize) {
    const uint b = i / (GROUPS * UNITS), g = i / UNITS % GROUPS, u = i % UNITS;
    const uvec2 k = (columns(g, u) + b * BLOCK) / 4;
    vec4 w0[ROWS], w1[ROWS];
    [[unroll]] for (uint r = 0; r < ROWS; r++) {
      const uint64_t block = rows[r] + uint64_t(b) * BLOCK_BYTES;
      decode(block, g, u, scale_of(block, g), w0[r], w1[r]);
    }
#ifdef SCALED
    float scale[ROWS];
    [[unroll]] for (uint r = 0; r < ROWS; r++) {
      if (SCALES == OF_ROWS) scale[r] = 1.0;
      else scale[r] = r > 0 && SCALES == OF_TILE ? scale[0] : factor(a.packs, f, factors[r], 8 * i);
    }
#endif
    [[unroll]] for (uint t = 0; t < TOKENS; t++) {
      const vec4 x0 = x.at[t * stride + k.x], x1 = x.at[t * stride + k.y];
#ifdef SCALED
      [[unroll]] for (uint r = 0; r < ROWS; r++) sum[r][t] = fma(dot(w0[r], x0) + dot(w1[r], x1), scale[r], sum[r][t]);
#else
      [[unroll]] for (uint r = 0; r < ROWS; r++) sum[r][t] += dot(w0[r], x0) + dot(w1[r], x1);
#endif
    }
  }
#ifdef PLAIN
  if (!aligned) for (uint k = gl_SubgroupInvocationID; k < a.columns_; k += gl_SubgroupSize) {
    float w[ROWS];
    [[unroll]] for (uint r = 0; r < ROWS; r++) {
      w[r] = element(rows[r], k);
#ifdef SCALED
      if (SCALES != OF_ROWS) w[r] *= factor(a.packs, f, factors[r], k);
#endif
    }
    [[unroll]] for (uint t = 0; t < TOKENS; t++) {
      const float v = x.at[t * stride + k / 4][k % 4];
      [[unroll]] for (uint r = 0; r < ROWS; r++) sum[r][t] = fma(w[r], v, sum[r][t]);
    }
  }
#endif
#ifdef SCALED
  if (SCALES == OF_ROWS) [[unroll]] for (uint r = 0; r < ROWS; r++) {
    const float scale = factor(a.packs, f, factors[r], 0);
    [[unroll]] for (uint t = 0; t < TOKENS; t++) sum[r][t] *= scale;
  }
#endif
  if (SOURCE != NONE) {
    const Lists lists = lists_at(trailer_of(part, row_bytes), part.rows, a.columns_);
    [[unroll]] for (uint r = 0; r < ROWS; r++) {
      const Strip strip = strip_of(min(row0 + r, part.rows - 1), part.rows);
      for (uint window = 0; window < lists.windows; window++) {
        const uvec2 run = exceptions_of(lists, strip.tile, window, strip.p);
        for (uint i = run.x + gl_SubgroupInvocationID; i < run.y; i += gl_SubgroupSize) {
          const Exception e = exception_at(lists.entries, i, window);
          if (e.t != strip.t) continue;
          const uint k = e.column;
          [[unroll]] for (uint t = 0; t < TOKENS; t++) sum[r][t] = fma(e.weight, x.at[t * stride + k / 4][k % 4], sum[r][t]);
        }
      }
    }
  }
  [[unroll]] for (uint r = 0; r < ROWS; r++) {
    [[unroll]] for (uint t = 0; t < TOKENS; t++) {
      float v = subgroupAdd(sum[r][t]);
      if (TOUCH && a.tokens == 0) v += float(seen);  // never, but the compiler does not know
      if (subgroupElect() && row0 + r < part.rows) write(first + t, part.first_row + row0 + r, v);
    }
  }
}
