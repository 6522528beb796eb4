#version 460
// What happens to q, k and v between their product and attention: biases, RMSNorm of each head, rotation (RoFormer, arXiv
// 2104.09864); q stays in place, k and v go into the cache. A subgroup takes a head: x over heads of q, k and v, y over tokens.
// Angles come as cos and sin from the host: the precision that Vulkan asks of sin and cos is too low for long contexts.
#include "common.glsl"
#include "kv.glsl"
#include "kv_bytes.glsl"
#include "vector.glsl"
layout(constant_id = 3) const bool INTERLEAVED = false;
layout(constant_id = 4) const bool STAGED = false;  // there are biases or norms

layout(push_constant) uniform Args {
  F32sOut qkv;     // [tokens][stride]: q [heads][HEAD_DIM], k [kv_heads][HEAD_DIM], v [kv_heads][HEAD_DIM]
  uint64_t k;      // K cache of this layer
  uint64_t v;      // V cache of this layer
  F32s turns;      // [tokens][rope_dims / 2] x (cos, sin)
  U64s packs;      // pack table
  uvec2 q_bias;    // vectors: [heads * HEAD_DIM]
  uvec2 k_bias;    // [kv_heads * HEAD_DIM]
  uvec2 v_bias;
  uvec2 q_norm;    // [HEAD_DIM]
  uvec2 k_norm;
  uint heads;
  uint kv_heads;
  uint rope_dims;  // 0: nothing is turned
  uint capacity;   // positions in the cache
  uint position;   // of the first token
  uint stride;
  float eps;
  float norm_offset;
} a;

// Biases and norm, into shared memory.
void stage(uint at, uint own, uvec2 bias, uvec2 norm) {
  float squares = 0.0;
  for (uint d = gl_SubgroupInvocationID; d < HEAD_DIM; d += gl_SubgroupSize) {
    const float x = a.qkv.at[at + d] + bias_at(a.packs, bias, own * HEAD_DIM + d);
    staged[d] = x;
    squares = fma(x, x, squares);
  }
  if (norm.x != ABSENT) {
    const float r = 1.0 / sqrt(subgroupAdd(squares) / float(HEAD_DIM) + a.eps);
    for (uint d = gl_SubgroupInvocationID; d < HEAD_DIM; d += gl_SubgroupSize) {
      staged[d] *= r * (weight(a.packs, norm, d) + a.norm_offset);
    }
  }
  barrier();
}

void main() {
  const uint head = gl_WorkGroupID.x, t = gl_WorkGroupID.y;
  const bool query = head < a.heads, key = !query && head < a.heads + a.kv_heads;
  const uint own = query ? head : (head - a.heads) % a.kv_heads;
  const uint at = t * a.stride + head * HEAD_DIM;
  if (STAGED) {
    const uvec2 bias = query ? a.q_bias : key ? a.k_bias : a.v_bias;
    stage(at, own, bias, query ? a.q_norm : key ? a.k_norm : uvec2(ABSENT));
  }

  const uint half_rope = a.rope_dims / 2;
  const uint64_t cache = key ? a.k : a.v;
  const uint row = own * a.capacity + a.position + t;
  for (uint p = gl_SubgroupInvocationID; p < HEAD_DIM / 2; p += gl_SubgroupSize) {
    uvec2 d = uvec2(2 * p, 2 * p + 1);  // the pair's two dimensions
    if (!INTERLEAVED && p < half_rope) d = uvec2(p, p + half_rope);
    vec2 v = STAGED ? vec2(staged[d.x], staged[d.y]) : vec2(a.qkv.at[at + d.x], a.qkv.at[at + d.y]);
    if (p < half_rope && (query || key)) {
      const uint turn = 2 * (t * half_rope + p);
      const float c = a.turns.at[turn], s = a.turns.at[turn + 1];
      v = vec2(v.x * c - v.y * s, v.x * s + v.y * c);
    }
    if (query) {
      a.qkv.at[at + d.x] = v.x;
      a.qkv.at[at + d.y] = v.y;
    } else if (KV_BYTES == 1) {
      staged[d.x] = v.x;
      staged[d.y] = v.y;
    } else {
      kv_store(cache, row, d.x, v.x, HEAD_DIM);
      kv_store(cache, row, d.y, v.y, HEAD_DIM);
    }
  }
  if (KV_BYTES == 1 && !query) {
    barrier();
    store_bytes(cache + uint64_t(row) * kv_row(HEAD_DIM), HEAD_DIM, 0);
  }
}
