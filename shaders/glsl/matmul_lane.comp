#version 460
// y[t][r] = sum_k w[r][k] x[t][k], ROWS rows an invocation. For devices whose lanes are a CPU's vector lanes, where a load costs
// as much as eight of the same address: a lane loads one vec4 of x and gives it to the others, and no sum crosses lanes.
#include "common.glsl"
#include "block.glsl"
#include "matmul_args.glsl"

const uint CHUNKS = (WINDOW / 4 + SUBGROUP - 1) / SUBGROUP;  // vec4 of a window that a lane loads

void main() {
  const uint tile = gl_WorkGroupID.x;
  const Part part = find_part(a.parts, a.part_count, tile);
  const uint row0 = (tile - part.first_tile) * gl_WorkGroupSize.x * ROWS + gl_LocalInvocationID.x;
  const uint first = gl_WorkGroupID.y * TOKENS;
  const uint64_t w = a.packs.at[part.pack] + part.offset;
  F32x4s x = F32x4s(a.x + uint64_t(first) * a.x_stride * 4);
  const uint stride = a.x_stride / 4, lane = gl_SubgroupInvocationID;

  uint64_t rows[ROWS];
  float sum[ROWS][TOKENS];
  [[unroll]] for (uint r = 0; r < ROWS; r++) {
    rows[r] = w + uint64_t(min(row0 + r * gl_WorkGroupSize.x, part.rows - 1)) * row_bytes_of(a.columns_);
    [[unroll]] for (uint t = 0; t < TOKENS; t++) sum[r][t] = 0.0;
  }
#ifdef PLAIN
  const uint blocks = a.columns_ % 8 == 0 ? a.columns_ / BLOCK : 0;
#else
  const uint blocks = a.columns_ / BLOCK;
#endif
  for (uint b = 0; b < blocks; b++) {
    [[unroll]] for (uint v = 0; v < WINDOWS; v++) {
      vec4 mine[TOKENS][CHUNKS];
      [[unroll]] for (uint t = 0; t < TOKENS; t++) {
        [[unroll]] for (uint c = 0; c < CHUNKS; c++) {
          const uint q = min(c * SUBGROUP + lane, WINDOW / 4 - 1);
          mine[t][c] = x.at[t * stride + (b * BLOCK + v * WINDOW) / 4 + q];
        }
      }
      [[unroll]] for (uint g = v * (GROUPS / WINDOWS); g < (v + 1) * (GROUPS / WINDOWS); g++) {
        Scale s[ROWS];
        [[unroll]] for (uint r = 0; r < ROWS; r++) s[r] = scale_of(rows[r] + uint64_t(b) * BLOCK_BYTES, g);
        [[unroll]] for (uint u = 0; u < UNITS; u++) {
          vec4 w0[ROWS], w1[ROWS];
          [[unroll]] for (uint r = 0; r < ROWS; r++) decode(rows[r] + uint64_t(b) * BLOCK_BYTES, g, u, s[r], w0[r], w1[r]);
          const uvec2 q = (columns(g, u) - v * WINDOW) / 4;
          [[unroll]] for (uint t = 0; t < TOKENS; t++) {
            const vec4 x0 = subgroupBroadcast(mine[t][q.x / SUBGROUP], q.x % SUBGROUP);
            const vec4 x1 = subgroupBroadcast(mine[t][q.y / SUBGROUP], q.y % SUBGROUP);
            [[unroll]] for (uint r = 0; r < ROWS; r++) {
              float n = sum[r][t];
              n = fma(w0[r].x, x0.x, n); n = fma(w0[r].y, x0.y, n); n = fma(w0[r].z, x0.z, n); n = fma(w0[r].w, x0.w, n);
              n = fma(w1[r].x, x1.x, n); n = fma(w1[r].y, x1.y, n); n = fma(w1[r].z, x1.z, n); n = fma(w1[r].w, x1.w, n);
              sum[r][t] = n;
            }
          }
        }
      }
    }
  }
#ifdef PLAIN
  // What is left of rows that are no whole number of blocks, or not aligned to 16 bytes.
  for (uint k = blocks * BLOCK; k < a.columns_; k++) {
    [[unroll]] for (uint r = 0; r < ROWS; r++) {
      const float v = element(rows[r], k);
      [[unroll]] for (uint t = 0; t < TOKENS; t++) sum[r][t] = fma(v, x.at[t * stride + k / 4][k % 4], sum[r][t]);
    }
  }
#endif
  [[unroll]] for (uint r = 0; r < ROWS; r++) {
    const uint row = row0 + r * gl_WorkGroupSize.x;
    if (row < part.rows) {
      [[unroll]] for (uint t = 0; t < TOKENS; t++) write(first + t, part.first_row + row, sum[r][t]);
    }
  }
}
