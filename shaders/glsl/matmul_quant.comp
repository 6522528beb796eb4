#version 460
// y[t][r] = sum_k w[r][k] x[t][k] over rows of quants, as they are stored, one token a workgroup: matmul.comp for GPUs, which wait
// there for its arithmetic and its narrow loads. A lane keeps its columns of x in registers and goes through ROWS rows with them,
// DEPTH of which are on their way; the subgroups of a workgroup share out the columns of the same rows.
#include "common.glsl"
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require

layout(constant_id = 1) const uint LANES = 32;     // size of a subgroup
layout(constant_id = 2) const uint SUBGROUPS = 4;
layout(constant_id = 3) const uint ROWS = 32;      // rows a workgroup
layout(constant_id = 4) const uint DEPTH = 2;      // of them, on their way at once
#include "quant.glsl"
#include "scales.glsl"
#include "product.glsl"

// What a subgroup has in shared memory: x on its way to the lanes, half of their columns at a time, then the lanes' sums of every
// row. What belongs together is followed by four words of nothing, so that lanes that walk down a column are not in each other's way.
const uint QUADS = PIECE / 8;
const uint OF_X = LANES * (QUADS + 1), OF_SUMS = ROWS * (LANES / 4 + 1);
const uint AREA = OF_X > OF_SUMS ? OF_X : OF_SUMS;
shared vec4 lines[SUBGROUPS * AREA];
shared float totals[SUBGROUPS * ROWS];
const uint SUMS = (ROWS + LANES - 1) / LANES;

void main() {
  const bool gated = is_gated();
  Part part, part_v;  // of W, and of V where there is a gate
  if (gated) parts_of(gl_WorkGroupID.x, part, part_v);
  else part = part_of(gl_WorkGroupID.x, gl_WorkGroupID.y, ROWS);
  if (EXPERTS && part.rows == 0) return;
  const uint of_each = gated ? ROWS / 2 : ROWS;
  const uint row0 = (gl_WorkGroupID.x - part.first_tile) * of_each;
  const uint here_rows = min(of_each, part.rows - row0);
  const uint rows = gated ? 2 * here_rows : here_rows;  // those of V follow those of W
  const uint row_bytes = a.columns_ / BLOCK * BLOCK_BYTES;
  const uint64_t row_w = part.at + uint64_t(row0) * row_bytes;
  const uint64_t row_v = gated ? part_v.at + uint64_t(row0) * row_bytes - uint64_t(here_rows) * row_bytes : row_w;
  const uint lane = gl_SubgroupInvocationID, area = gl_SubgroupID * AREA;
  const uint pieces = a.columns_ / PIECE;
  F32x4s x_at = F32x4s(a.x + uint64_t(gl_WorkGroupID.y) * a.x_stride * 4);

#ifdef SCALED
  const Factors f = factors_of(U32s(a.halves), EXPERTS ? a.experts.at[gl_WorkGroupID.y / a.group_rows] : 0, part.first_row);
  const uint row1 = part.first_row + row0;
#endif
  float sums[SUMS];  // of rows lane, lane + LANES, ..
  [[unroll]] for (uint i = 0; i < SUMS; i++) sums[i] = 0.0;
  for (uint first = gl_SubgroupID * LANES; first < pieces; first += SUBGROUPS * LANES) {
    const uint here = min(LANES, pieces - first), strip = first / PIECES * BLOCK_BYTES;
#define ROW(r) ((r < here_rows ? row_w : row_v) + (strip + uint64_t(r) * row_bytes))
    uvec4 raw[DEPTH][LOADS];
    [[unroll]] for (uint j = 0; j < DEPTH; j++) fetch(raw[j], ROW(min(j, rows - 1)), here, lane);

    vec4 x[PIECE / 4];
    [[unroll]] for (uint pass = 0; pass < 2; pass++) {
      [[unroll]] for (uint i = 0; i < QUADS; i++) {
        const uint v = i * LANES + lane, piece = v / QUADS, quad = pass * QUADS + v % QUADS;
        lines[area + piece * (QUADS + 1) + v % QUADS] = x_at.at[column(first + min(piece, here - 1), quad / 4) / 4 + quad % 4];
      }
      LANES_MEET
      [[unroll]] for (uint i = 0; i < QUADS; i++) x[pass * QUADS + i] = lines[area + lane * (QUADS + 1) + i];
      LANES_MEET
    }
    const X own = prepare(x);
#ifdef SCALED
    const uint columns = PIECE * (first + min(lane, here - 1));
    const float scale = SCALES == OF_TILE ? factor(a.packs, f, first_factor(f, row1), columns) : 1.0;
#endif

    for (uint r = 0; r < rows; r += DEPTH) {
#ifdef STAGED
      [[unroll]] for (uint j = 0; j < DEPTH; j++) stage(raw[j], j, lane);
      LANES_MEET
      [[unroll]] for (uint j = 0; j < DEPTH; j++) {
        if (r + j + DEPTH < rows) fetch(raw[j], ROW(r + j + DEPTH), here, lane);
      }
#endif
      [[unroll]] for (uint j = 0; j < DEPTH; j++) {
#ifdef STAGED
        const float v = product(j, uint(ROW(r + j)) & 15, lane, own);
#else
        float v = product(raw[j], lane, own);
#ifdef SCALED
        if (SCALES > OF_TILE) v *= factor(a.packs, f, first_factor(f, row1 + min(r + j, rows - 1)), columns);
        else v *= scale;
#endif
        if (r + j + DEPTH < rows) fetch(raw[j], ROW(r + j + DEPTH), here, lane);
#endif
        if (r + j < ROWS) lines[area + (r + j) * (LANES / 4 + 1) + lane / 4][lane % 4] = lane < here ? v : 0.0;
      }
#ifdef STAGED
      LANES_MEET
#endif
    }
    LANES_MEET
    [[unroll]] for (uint i = 0; i < SUMS; i++) {
      const uint at = area + min(lane + i * LANES, ROWS - 1) * (LANES / 4 + 1);
      vec4 sum = lines[at];
      [[unroll]] for (uint l = 1; l < LANES / 4; l++) sum += lines[at + l];
      sums[i] += sum_of(sum);
    }
    LANES_MEET
  }
  [[unroll]] for (uint i = 0; i < SUMS; i++) {
    if (lane + i * LANES < ROWS) totals[gl_SubgroupID * ROWS + lane + i * LANES] = sums[i];
  }
  const float missing = gl_SubgroupID == 0 ? factor_of_x() : 0.0;
  barrier();
  if (gl_SubgroupID != 0) return;
  float squares = 0.0;
  for (uint r = lane; r < here_rows; r += LANES) {
    float v = 0.0, up = 0.0;
    [[unroll]] for (uint g = 0; g < SUBGROUPS; g++) {
      v += totals[g * ROWS + r];
      if (gated) up += totals[g * ROWS + here_rows + r];
    }
#ifdef SCALED
    if (SCALES == OF_ROWS) v *= factor(a.packs, f, first_factor(f, row1 + r), 0);
#endif
    v *= missing;
    if (gated) v = gate(v, up * missing);
    write_row(gl_WorkGroupID.y, part.first_row + row0 + r, v, squares);
  }
  leave(squares);
}
