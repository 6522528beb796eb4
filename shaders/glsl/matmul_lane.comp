#version 460
// y[t][r] = sum_k w[r][k] x[t][k], one invocation a row. For devices whose lanes are a CPU's vector lanes: x is the same for
// all of them, and there is no reduction and no barrier.
#include "common.glsl"
#include "block.glsl"
#include "matmul_args.glsl"

void main() {
  const uint tile = gl_WorkGroupID.x;
  const Part part = find_part(a.parts, a.part_count, tile);
  const uint row = (tile - part.first_tile) * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
  const uint first = gl_WorkGroupID.y * TOKENS;
  const uint64_t w = a.packs.at[part.pack] + part.offset + uint64_t(min(row, part.rows - 1)) * row_bytes_of(a.columns_);
  F32x4s x = F32x4s(a.x + uint64_t(first) * a.x_stride * 4);
  const uint stride = a.x_stride / 4;

  float sum[TOKENS];
  [[unroll]] for (uint t = 0; t < TOKENS; t++) sum[t] = 0.0;
#ifdef PLAIN
  const bool aligned = a.columns_ % 8 == 0;
  const uint blocks = aligned ? a.columns_ / BLOCK : 0;
#else
  const uint blocks = a.columns_ / BLOCK;
#endif
  for (uint b = 0; b < blocks; b++) {
    const uint64_t block = w + uint64_t(b) * BLOCK_BYTES;
    [[unroll]] for (uint g = 0; g < GROUPS; g++) {
      const Scale s = scale_of(block, g);
      [[unroll]] for (uint u = 0; u < UNITS; u++) {
        vec4 w0, w1;
        decode(block, g, u, s, w0, w1);
        const uvec2 k = (columns(g, u) + b * BLOCK) / 4;
        [[unroll]] for (uint t = 0; t < TOKENS; t++) {
          const vec4 x0 = x.at[t * stride + k.x], x1 = x.at[t * stride + k.y];
          float v = sum[t];
          v = fma(w0.x, x0.x, v); v = fma(w0.y, x0.y, v); v = fma(w0.z, x0.z, v); v = fma(w0.w, x0.w, v);
          v = fma(w1.x, x1.x, v); v = fma(w1.y, x1.y, v); v = fma(w1.z, x1.z, v); v = fma(w1.w, x1.w, v);
          sum[t] = v;
        }
      }
    }
  }
#ifdef PLAIN
  // Rows that are no multiple of 16 bytes: element by element.
  if (!aligned) for (uint k = 0; k < a.columns_; k++) {
    const float v = element(w, k);
    [[unroll]] for (uint t = 0; t < TOKENS; t++) sum[t] = fma(v, x.at[t * stride + k / 4][k % 4], sum[t]);
  }
#endif
  if (row < part.rows) {
    [[unroll]] for (uint t = 0; t < TOKENS; t++) write(first + t, part.first_row + row, sum[t]);
  }
}
