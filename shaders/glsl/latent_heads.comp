#version 460
// Latent attention (arXiv 2405.04434) between its products and the softmax: the last dimensions of queries and of keys are rotated,
// those of keys being the same for all heads. Queries stay in place, keys and values go into the cache. A subgroup takes a head of a
// token: x over heads, y over tokens.
#include "common.glsl"
#include "kv.glsl"
#include "kv_bytes.glsl"
layout(constant_id = 3) const bool INTERLEAVED = false;

layout(push_constant) uniform Args {
  F32sOut q;            // [tokens][q_stride]: [heads][HEAD_DIM]
  F32s rotated;         // [tokens][rotated_stride]: [rope_dims], of all keys
  F32s keys;            // [tokens][key_stride]: what else keys have, key_step from head to head
  F32s values;          // [tokens][value_stride]: value_step from head to head
  F32s turns;           // [tokens][rope_dims / 2] x (cos, sin)
  uint64_t k;           // K cache of this layer, rows of HEAD_DIM
  uint64_t v;           // V cache of this layer, rows of VALUE_DIM
  uint rope_dims;
  uint capacity;        // positions in the cache
  uint position;        // of the first token
  uint q_stride;
  uint rotated_stride;
  uint key_stride;
  uint key_step;
  uint value_stride;
  uint value_step;
} a;

void put(uint64_t cache, uint row, uint d, float x, uint dims) {
  if (KV_BYTES == 1) staged[d] = x;
  else kv_store(cache, row, d, x, dims);
}

vec2 turned(vec2 x, uint turn) {
  const float c = a.turns.at[turn], s = a.turns.at[turn + 1];
  return vec2(x.x * c - x.y * s, x.x * s + x.y * c);
}

void main() {
  const uint head = gl_WorkGroupID.x, t = gl_WorkGroupID.y, lane = gl_SubgroupInvocationID;
  const uint own = HEAD_DIM - a.rope_dims, pairs = a.rope_dims / 2, row = head * a.capacity + a.position + t;
  for (uint d = lane; d < own; d += gl_SubgroupSize) {
    put(a.k, row, d, a.keys.at[t * a.key_stride + head * a.key_step + d], HEAD_DIM);
  }
  for (uint p = lane; p < pairs; p += gl_SubgroupSize) {
    const uvec2 d = INTERLEAVED ? uvec2(2 * p, 2 * p + 1) : uvec2(p, p + pairs);
    const uint turn = 2 * (t * pairs + p);
    const uvec2 query = uvec2(t * a.q_stride + head * HEAD_DIM + own) + d, key = uvec2(t * a.rotated_stride) + d;
    const vec2 q = turned(vec2(a.q.at[query.x], a.q.at[query.y]), turn);
    const vec2 k = turned(vec2(a.rotated.at[key.x], a.rotated.at[key.y]), turn);
    a.q.at[query.x] = q.x;
    a.q.at[query.y] = q.y;
    put(a.k, row, own + d.x, k.x, HEAD_DIM);
    put(a.k, row, own + d.y, k.y, HEAD_DIM);
  }
  if (KV_BYTES == 1) {
    barrier();
    store_bytes(a.k + uint64_t(row) * kv_row(HEAD_DIM), HEAD_DIM, 0);
    barrier();
  }
  for (uint d = lane; d < VALUE_DIM; d += gl_SubgroupSize) {
    put(a.v, row, d, a.values.at[t * a.value_stride + head * a.value_step + d], VALUE_DIM);
  }
  if (KV_BYTES == 1) {
    barrier();
    store_bytes(a.v + uint64_t(row) * kv_row(VALUE_DIM), VALUE_DIM, 0);
  }
}
