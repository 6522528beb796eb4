#version 460
// y[t][r] = sum_k w[r][k] x[t][k] for up to eight tokens over packed parts (packed.glsl), on cooperative matrices: fields are f16
// numbers, and x is the sum of two (split.comp). A workgroup takes TILES tiles, its subgroups share out the chunks.
#pragma use_vulkan_memory_model
#include "common.glsl"
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#include "packed.glsl"

layout(constant_id = 2) const uint LANES = 32;     // size of a subgroup, 32 or 64
layout(constant_id = 3) const uint SUBGROUPS = 4;
layout(constant_id = 5) const uint TILES = 1;
// Element e of lane l of a 16x16 left factor is row l / 4 + 8 (e / 2 % 2), column 2 (l % 4) + 8 (e / 4) + e % 2: then lanes fill
// their own. Else matrices are read from shared memory.
layout(constant_id = 6) const bool DIRECT = false;

const uint TOKENS = 8;

layout(push_constant) uniform Args {
  U64s packs;      // pack table
  U32s parts;      // parts of the operation
  uint64_t x;      // [TOKENS][x_stride] f32
  F32sOut y;       // [tokens][y_stride] f32
  uint part_count;
  uint columns_;
  uint tokens;
  uint x_stride;   // a multiple of 4
  uint y_stride;
  uint add;        // 1: y += instead of y =
  U32x4s halves;   // x, as split.comp has made it
} a;

#define Factor coopmat<float16_t, gl_ScopeSubgroup, 16, 16, gl_MatrixUseA>
#define Tokens coopmat<float16_t, gl_ScopeSubgroup, 16, 16, gl_MatrixUseB>
#define Sum coopmat<float, gl_ScopeSubgroup, 16, 16, gl_MatrixUseAccumulator>

const uint STRIDE = 12;  // words a row of a decoded 32 x 16 block: 8, and 4 so that rows lie in different banks
shared uint stage[SUBGROUPS * (DIRECT ? 1 : 32 * STRIDE)];
shared float sums[SUBGROUPS * 512];
shared float corrections[SUBGROUPS * 32 * TOKENS];

void write(uint t, uint r, float v) {
  if (t < a.tokens) {
    const uint i = t * a.y_stride + r;
    a.y.at[i] = a.add == 1 ? a.y.at[i] + v : v;
  }
}

// The 16x16 block of rows p + 8 t, t in {2 h, 2 h + 1}, with pairs `v0` and `v1` of each lane's rows.
Factor factor(uvec4 v0, uvec4 v1, uint h) {
  Factor m;
  if (DIRECT) {
    const f16vec2 e0 = unpackFloat2x16(v0[2 * h]), e1 = unpackFloat2x16(v0[2 * h + 1]);
    const f16vec2 e2 = unpackFloat2x16(v1[2 * h]), e3 = unpackFloat2x16(v1[2 * h + 1]);
    m[0] = e0.x; m[1] = e0.y; m[2] = e1.x; m[3] = e1.y;
    m[4] = e2.x; m[5] = e2.y; m[6] = e3.x; m[7] = e3.y;
  } else {
    coopMatLoad(m, stage, (gl_SubgroupID * 32 + 16 * h) * STRIDE, STRIDE, gl_CooperativeMatrixLayoutRowMajor);
  }
  return m;
}

void main() {
  const uint group = gl_WorkGroupID.x;
  const Part part = find_part(a.parts, a.part_count, group);
  const Packed at = packed_at(a.packs.at[part.pack] + part.offset, part.rows, a.columns_);
  const uint lane = gl_SubgroupInvocationID, p = lane / 4 % 8, s = lane % 4;
  const uint chunks = (at.coded + 127) / 128;
  const uint tile0 = (group - part.first_tile) * TILES;

  Sum sum[TILES][2];
  [[unroll]] for (uint i = 0; i < TILES; i++) sum[i][0] = sum[i][1] = Sum(0.0);

  for (uint c = gl_SubgroupID; c < chunks; c += SUBGROUPS) {
    const uint C = min(4, at.coded / 32 - 4 * c);
    Tokens x[8];
    [[unroll]] for (uint q = 0; q < 8; q++) {
      coopMatLoad(x[q], a.halves.at, (c * 8 + q) * 32, 2, gl_CooperativeMatrixLayoutColumnMajor);
    }
    [[unroll]] for (uint i = 0; i < TILES; i++) {
      const uint tile = tile0 + i;
      const uint P = 32 * tile < part.rows ? min(8, (part.rows - 32 * tile + 3) / 4) : 0;
      U32x4s words = U32x4s(at.blocks + (uint64_t(tile) * (at.coded / 32) * 8 + uint64_t(c) * (P * 4)) * (WORDS * 16));
      uvec4 w[WORDS];
      if (P == 8 && C == 4) {
        [[unroll]] for (uint j = 0; j < WORDS; j++) w[j] = words.at[j * 32 + lane % 32];
      } else {
        const bool there = p < P && s < C;
        [[unroll]] for (uint j = 0; j < WORDS; j++) w[j] = there ? words.at[(j * P + p) * C + s] : uvec4(0);
      }
      [[unroll]] for (uint q = 0; q < 8; q++) {
        const uvec4 v0 = pair(w, 2 * q), v1 = pair(w, 2 * q + 1);
        if (!DIRECT) {
          const uint to = (gl_SubgroupID * 32 + p) * STRIDE + s;
          subgroupBarrier();
          [[unroll]] for (uint t = 0; t < 4; t++) {
            stage[to + 8 * t * STRIDE] = v0[t];
            stage[to + 8 * t * STRIDE + 4] = v1[t];
          }
          subgroupMemoryBarrierShared();
          subgroupBarrier();
        }
        [[unroll]] for (uint h = 0; h < 2; h++) sum[i][h] = coopMatMulAdd(factor(v0, v1, h), x[q], sum[i][h]);
      }
    }
  }

  const uint base = U32s(at.trailer).at[0];
  const float scale = scale_of_base(base), nothing = nothing_of_base(base);
  F32s x = F32s(a.x);
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
    if (p < P && lane < 32) {
      for (uint w = gl_SubgroupID; w < at.windows; w += SUBGROUPS) {
        const uvec2 run = exceptions_of(at, tile, w, p);
        for (uint e_ = run.x + s; e_ < run.y; e_ += 4) {
          const Exception e = exception_at(at.entries, e_, w);
          [[unroll]] for (uint t = 0; t < TOKENS; t++) {
            if (t < a.tokens) more[t] += only(e.t, (e.weight - nothing) * x.at[t * a.x_stride + e.column]);
          }
        }
      }
      const uint tail = a.columns_ - at.coded;
      if (gl_SubgroupID == 0) for (uint k = s; k < tail; k += 4) {
        [[unroll]] for (uint j = 0; j < 4; j++) {
          const float w = tail_weight(at, part.rows, 32 * tile + min(p + P * j, rows - 1), k, tail);
          [[unroll]] for (uint t = 0; t < TOKENS; t++) {
            if (t < a.tokens) more[t][j] = fma(w, x.at[t * a.x_stride + at.coded + k], more[t][j]);
          }
        }
      }
    }
    [[unroll]] for (uint t = 0; t < TOKENS; t++) {
      more[t] += subgroupShuffleXor(more[t], 1);
      more[t] += subgroupShuffleXor(more[t], 2);
      if (s == 0 && lane < 32) {
        [[unroll]] for (uint j = 0; j < 4; j++) corrections[(gl_SubgroupID * 32 + p + 8 * j) * TOKENS + t] = more[t][j];
      }
    }
    barrier();
    for (uint o = gl_LocalInvocationID.x; o < 32 * TOKENS; o += gl_WorkGroupSize.x) {
      const uint t = o % TOKENS, local = o / TOKENS, r = local % 8 + P * (local / 8);
      float v = 0.0, more_ = 0.0;
      for (uint g = 0; g < SUBGROUPS; g++) {
        v += sums[g * 512 + local * 16 + t] + sums[g * 512 + local * 16 + t + 8];
        more_ += corrections[(g * 32 + local) * TOKENS + t];
      }
      if (local % 8 < P && r < rows) write(t, part.first_row + 32 * tile + r, fma(v, scale, more_));
    }
  }
}
