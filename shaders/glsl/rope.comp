#version 460
// Turns q in place, and turns k on its way into the cache; v goes along (RoFormer, arXiv 2104.09864).
// One invocation a pair of dimensions: x over the pairs of q, k and v, y over tokens. Angles come as cos and sin from the
// host: the precision that Vulkan asks of sin and cos is too low for long contexts.
#include "common.glsl"
#include "kv.glsl"
layout(constant_id = 2) const bool INTERLEAVED = false;

layout(push_constant) uniform Args {
  F32sOut qkv;     // [tokens][stride]: q [heads][head_dim], k [kv_heads][head_dim], v [kv_heads][head_dim]
  uint64_t k;      // K cache of this layer
  uint64_t v;      // V cache of this layer
  F32s turns;      // [tokens][rope_dims / 2] x (cos, sin)
  uint heads;
  uint kv_heads;
  uint head_dim;
  uint rope_dims;
  uint capacity;   // positions in the cache
  uint position;   // of the first token
  uint stride;
} a;

void main() {
  const uint half_dim = a.head_dim / 2, half_rope = a.rope_dims / 2;
  const uint i = gl_GlobalInvocationID.x, t = gl_WorkGroupID.y;
  const uint head = i / half_dim, p = i % half_dim;
  if (head >= a.heads + 2 * a.kv_heads) return;

  const bool turned = p < half_rope && head < a.heads + a.kv_heads;
  uvec2 d = uvec2(2 * p, 2 * p + 1);  // the pair's two dimensions
  if (!INTERLEAVED && p < half_rope) d = uvec2(p, p + half_rope);

  const uint at = t * a.stride + head * a.head_dim;
  vec2 v = vec2(a.qkv.at[at + d.x], a.qkv.at[at + d.y]);
  if (turned) {
    const uint turn = 2 * (t * half_rope + p);
    const float c = a.turns.at[turn], s = a.turns.at[turn + 1];
    v = vec2(v.x * c - v.y * s, v.x * s + v.y * c);
  }
  if (head < a.heads) {
    a.qkv.at[at + d.x] = v.x;
    a.qkv.at[at + d.y] = v.y;
    return;
  }
  const uint kv_head = (head - a.heads) % a.kv_heads;
  const uint64_t cache = head < a.heads + a.kv_heads ? a.k : a.v;
  const uint64_t row = (uint64_t(kv_head) * a.capacity + a.position + t) * a.head_dim;
  kv_store(cache, row + d.x, v.x);
  kv_store(cache, row + d.y, v.y);
}
