#version 460
// y[t][r] = sum_k w[r][k] x[t][k], eight tokens a workgroup, over packed parts (packed.glsl), on cooperative matrices: fields are f16
// numbers, and x is the sum of two (split.comp). A workgroup takes TILES tiles, its subgroups share out the chunks. Lanes fill the
// elements of matrices that are theirs: subgroups of 32, and elements where matrix_layout.comp says that they are.
#pragma use_vulkan_memory_model
#include "common.glsl"
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#include "exceptions.glsl"
#include "packed.glsl"
#include "product.glsl"

layout(constant_id = 3) const uint SUBGROUPS = 4;
layout(constant_id = 5) const uint TILES = 1;
const uint TOKENS = 8;

#define Factor coopmat<float16_t, gl_ScopeSubgroup, 16, 16, gl_MatrixUseA>
#define Tokens coopmat<float16_t, gl_ScopeSubgroup, 16, 16, gl_MatrixUseB>
#define Sum coopmat<float, gl_ScopeSubgroup, 16, 16, gl_MatrixUseAccumulator>

shared float sums[SUBGROUPS * 512];
shared float corrections[SUBGROUPS * 32 * TOKENS];

// The rows p + 8 t, t in {2 h, 2 h + 1}, of 16 columns, by the pairs that the lanes have of them.
Factor factor(uvec4 v0, uvec4 v1, uint h) {
  const f16vec2 e0 = unpackFloat2x16(v0[2 * h]), e1 = unpackFloat2x16(v0[2 * h + 1]);
  const f16vec2 e2 = unpackFloat2x16(v1[2 * h]), e3 = unpackFloat2x16(v1[2 * h + 1]);
  Factor m;
  m[0] = e0.x; m[1] = e0.y; m[2] = e2.x; m[3] = e2.y;
  m[4] = e1.x; m[5] = e1.y; m[6] = e3.x; m[7] = e3.y;
  return m;
}

// The same columns of x: upper halves of eight tokens, then lower ones.
Tokens tokens_of(uvec4 v) {
  const f16vec2 e0 = unpackFloat2x16(v.x), e1 = unpackFloat2x16(v.y), e2 = unpackFloat2x16(v.z), e3 = unpackFloat2x16(v.w);
  Tokens m;
  m[0] = e0.x; m[1] = e0.y; m[2] = e1.x; m[3] = e1.y;
  m[4] = e2.x; m[5] = e2.y; m[6] = e3.x; m[7] = e3.y;
  return m;
}

void main() {
  const uint group = gl_WorkGroupID.x, first = gl_WorkGroupID.y * TOKENS;
  const Part part = part_of(group, first, 32 * TILES);
  if (EXPERTS && part.rows == 0) return;
  const Packed at = packed_at(part.at, part.rows, a.columns_);
  const uint lane = gl_SubgroupInvocationID, p = lane / 4, s = lane % 4;
  const uint chunks = (at.coded + 127) / 128;
  const uint tile0 = (group - part.first_tile) * TILES;
  const uint tokens = min(TOKENS, a.tokens - first);
  const uint64_t halves = a.halves + gl_WorkGroupID.y * split_bytes(a.columns_);

  Sum sum[TILES][2];
  [[unroll]] for (uint i = 0; i < TILES; i++) sum[i][0] = sum[i][1] = Sum(0.0);

  for (uint c = gl_SubgroupID; c < chunks; c += SUBGROUPS) {
    const uint C = columns_of(at, c);
    uvec4 x[8];
    [[unroll]] for (uint q = 0; q < 8; q++) x[q] = U32x4s(halves).at[(c * 8 + q) * 32 + lane];
    [[unroll]] for (uint i = 0; i < TILES; i++) {
      const uint tile = tile0 + i;
      const uint P = 32 * tile < part.rows ? min(8, (part.rows - 32 * tile + 3) / 4) : 0;
      uvec4 w[WORDS];
      [[unroll]] for (uint j = 0; j < WORDS; j++) w[j] = uvec4(0);
      const uint64_t blocks = at.blocks + uint64_t(tile) * (at.coded / 32) * (8 * WORDS * 16);
      if (p < P && s < C) load(w, blocks + uint64_t(c) * (P * 4 * WORDS * 16), P * C, p * C + s);
      [[unroll]] for (uint q = 0; q < 8; q++) {
        const uvec4 v0 = pair(w, 2 * q), v1 = pair(w, 2 * q + 1);
        const Tokens m = tokens_of(x[q]);
        [[unroll]] for (uint h = 0; h < 2; h++) sum[i][h] = coopMatMulAdd(factor(v0, v1, h), m, sum[i][h]);
      }
    }
  }

  const uint base = U32s(at.trailer).at[0];
  const float scale = scale_of_base(base), nothing = nothing_of_base(base);
  F32s x = F32s(a.x + uint64_t(first) * a.x_stride * 4), factors = F32s(halves + uint64_t((a.columns_ + 127) / 128) * 4096);
  [[unroll]] for (uint i = 0; i < TILES; i++) {
    const uint tile = tile0 + i;
    if (32 * tile >= part.rows) break;
    const uint rows = part.rows - 32 * tile, P = min(8, (rows + 3) / 4);
    barrier();
    coopMatStore(sum[i][0], sums, gl_SubgroupID * 512, 16, gl_CooperativeMatrixLayoutRowMajor);
    coopMatStore(sum[i][1], sums, gl_SubgroupID * 512 + 256, 16, gl_CooperativeMatrixLayoutRowMajor);

    // exceptions and the columns beyond the last 32, in f32; a lane has the rows p + P j
    vec4 more[TOKENS];
    [[unroll]] for (uint t = 0; t < TOKENS; t++) more[t] = vec4(0.0);
    if (p < P) {
      for (uint w = gl_SubgroupID; w < at.lists.windows; w += SUBGROUPS) {
        const uvec2 run = exceptions_of(at.lists, tile, w, p);
        for (uint e_ = run.x + s; e_ < run.y; e_ += 4) {
          const Exception e = exception_at(at.lists.entries, e_, w);
          [[unroll]] for (uint t = 0; t < TOKENS; t++) {
            if (t < tokens) more[t] += only(e.t, (e.weight - nothing) * x.at[t * a.x_stride + e.column]);
          }
        }
      }
      const uint tail = a.columns_ - at.coded;
      if (gl_SubgroupID == 0) for (uint k = s; k < tail; k += 4) {
        [[unroll]] for (uint j = 0; j < 4; j++) {
          const float w = tail_weight(at, part.rows, 32 * tile + min(p + P * j, rows - 1), k, tail);
          [[unroll]] for (uint t = 0; t < TOKENS; t++) {
            if (t < tokens) more[t][j] = fma(w, x.at[t * a.x_stride + at.coded + k], more[t][j]);
          }
        }
      }
    }
    [[unroll]] for (uint t = 0; t < TOKENS; t++) {
      more[t] += subgroupShuffleXor(more[t], 1);
      more[t] += subgroupShuffleXor(more[t], 2);
      if (s == 0) {
        [[unroll]] for (uint j = 0; j < 4; j++) corrections[(gl_SubgroupID * 32 + p + 8 * j) * TOKENS + t] = more[t][j];
      }
    }
    barrier();
    for (uint o = gl_LocalInvocationID.x; o < 32 * TOKENS; o += gl_WorkGroupSize.x) {
      const uint t = o % TOKENS, local = o / TOKENS, r = local % 8 + P * (local / 8);
      float v = 0.0, more_ = 0.0;
      for (uint g = 0; g < SUBGROUPS; g++) {
        v += sums[g * 512 + local * 16 + t] + sums[g * 512 + local * 16 + t + 8] / 2048.0;
        more_ += corrections[(g * 32 + local) * TOKENS + t];
      }
      if (local % 8 < P && r < rows) write(first + t, part.first_row + 32 * tile + r, fma(v * factors.at[t], scale, more_));
    }
  }
}
