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

// What a subgroup has in shared memory: x on its way to the lanes, 16 columns of theirs at a time, then the lanes' sums of every
// row. What belongs together is a bank or four apart, so that lanes that walk down a column are not in each other's way.
const uint PASS = 16;
const uint OF_X = LANES * (PASS + 4), OF_SUMS = (ROWS * (LANES + 1) + 3) / 4 * 4;
const uint AREA = OF_X > OF_SUMS ? OF_X : OF_SUMS;
shared float lines[SUBGROUPS * AREA];
const uint SUMS = (ROWS + LANES - 1) / LANES;

void main() {
  const Part part = part_of(gl_WorkGroupID.x, gl_WorkGroupID.y, ROWS);
  if (EXPERTS && part.rows == 0) return;
  const uint row0 = (gl_WorkGroupID.x - part.first_tile) * ROWS;
  const uint rows = min(ROWS, part.rows - row0);
  const uint row_bytes = a.columns_ / BLOCK * BLOCK_BYTES;
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
    const uint here = min(LANES, pieces - first);
    const uint64_t strip = part.at + uint64_t(row0) * row_bytes + first / PIECES * BLOCK_BYTES;
    uvec4 raw[DEPTH][LOADS];
    [[unroll]] for (uint j = 0; j < DEPTH; j++) fetch(raw[j], strip + uint64_t(min(j, rows - 1)) * row_bytes, here, lane);

    vec4 x[PIECE / 4];
    [[unroll]] for (uint pass = 0; pass < PIECE / PASS; pass++) {
      [[unroll]] for (uint i = 0; i < PASS / 4; i++) {
        const uint v = i * LANES + lane, piece = v / (PASS / 4), four = v % (PASS / 4);
        const uint to = area + piece * (PASS + 4) + 4 * four;
        const vec4 columns = piece < here ? x_at.at[column(first + piece, pass) / 4 + four] : vec4(0.0);
        lines[to] = columns.x; lines[to + 1] = columns.y; lines[to + 2] = columns.z; lines[to + 3] = columns.w;
      }
      subgroupBarrier();
      [[unroll]] for (uint i = 0; i < PASS / 4; i++) {
        const uint at = area + lane * (PASS + 4) + 4 * i;
        x[pass * (PASS / 4) + i] = vec4(lines[at], lines[at + 1], lines[at + 2], lines[at + 3]);
      }
      subgroupBarrier();
    }
    const X own = prepare(x);
#ifdef SCALED
    const uint columns = PIECE * (first + min(lane, here - 1));
    const float scale = SCALES == OF_TILE ? factor(a.packs, f, first_factor(f, row1), columns) : 1.0;
#endif

    for (uint r = 0; r < rows; r += DEPTH) {
#ifdef STAGED
      [[unroll]] for (uint j = 0; j < DEPTH; j++) stage(raw[j], j, lane);
      subgroupBarrier();
      [[unroll]] for (uint j = 0; j < DEPTH; j++) {
        if (r + j + DEPTH < rows) fetch(raw[j], strip + uint64_t(r + j + DEPTH) * row_bytes, here, lane);
      }
#endif
      [[unroll]] for (uint j = 0; j < DEPTH; j++) {
#ifdef STAGED
        const float v = product(j, uint(strip + uint64_t(r + j) * row_bytes) & 15, lane, own);
#else
        float v = product(raw[j], lane, own);
#ifdef SCALED
        if (SCALES > OF_TILE) v *= factor(a.packs, f, first_factor(f, row1 + min(r + j, rows - 1)), columns);
        else v *= scale;
#endif
        if (r + j + DEPTH < rows) fetch(raw[j], strip + uint64_t(r + j + DEPTH) * row_bytes, here, lane);
#endif
        if (r + j < ROWS) lines[area + (r + j) * (LANES + 1) + lane] = lane < here ? v : 0.0;
      }
#ifdef STAGED
      subgroupBarrier();
#endif
    }
    subgroupBarrier();
    [[unroll]] for (uint i = 0; i < SUMS; i++) {
      const uint r = min(lane + i * LANES, ROWS - 1);
      [[unroll]] for (uint l = 0; l < LANES; l++) sums[i] += lines[area + r * (LANES + 1) + l];
    }
    subgroupBarrier();
  }
  [[unroll]] for (uint i = 0; i < SUMS; i++) {
    if (lane + i * LANES < ROWS) lines[area + lane + i * LANES] = sums[i];
  }
  barrier();
  for (uint r = gl_LocalInvocationID.x; r < rows; r += gl_WorkGroupSize.x) {
    float v = 0.0;
    [[unroll]] for (uint g = 0; g < SUBGROUPS; g++) v += lines[g * AREA + r];
#ifdef SCALED
    if (SCALES == OF_ROWS) v *= factor(a.packs, f, first_factor(f, row1 + r), 0);
#endif
    write(gl_WorkGroupID.y, part.first_row + row0 + r, v);
  }
}
