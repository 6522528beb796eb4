#version 460
// Attention of one token, from the products of q, k and v to its result: what heads.comp and attention.comp do, in one dispatch, for
// GPUs. A workgroup takes QUERIES of the heads that share a key-value head, and a stretch of keys that its subgroups share out;
// P lanes have a key and its value, eight dimensions or more each. Where there are several stretches, the workgroup that is done
// last joins what all have left, in their order.
// x: key-value head, y: QUERIES of its heads, z: stretch.
#include "common.glsl"
#include "kv.glsl"
#include "math.glsl"
#include "vector.glsl"
layout(constant_id = 3) const uint QUERIES = 1;
layout(constant_id = 4) const uint SUBGROUP = 32;  // size of a subgroup
layout(constant_id = 5) const uint SUBGROUPS = 1;
layout(constant_id = 6) const uint GROUP = 1;      // heads that share a key-value head
layout(constant_id = 8) const uint ROPE_DIMS = 0;  // leading dimensions that are turned
layout(constant_id = 9) const bool INTERLEAVED = false;
layout(constant_id = 10) const bool STAGED = false;  // there are biases or norms

layout(push_constant) uniform Args {
  F32s qkv;        // q [heads][HEAD_DIM], k [kv_heads][HEAD_DIM], v [kv_heads][HEAD_DIM]
  uint64_t k;      // K cache of this layer
  uint64_t v;      // V cache of this layer
  F32s turns;      // [ROPE_DIMS / 2] x (cos, sin)
  U64s packs;      // pack table
  F32sOut y;       // [heads][HEAD_DIM]
  uint64_t left;   // arrivals [heads rounded up to 4] u32, all 0; what stretches leave [stretches][heads][HEAD_DIM + 2]
  uvec2 q_bias;    // vectors: [heads * HEAD_DIM]
  uvec2 k_bias;    // [kv_heads * HEAD_DIM]
  uvec2 v_bias;
  uvec2 q_norm;    // [HEAD_DIM]
  uvec2 k_norm;
  uint capacity;   // positions in the cache
  uint position;   // of the token
  uint first;      // the first key that it sees
  uint stretch;    // keys a stretch
  float scale;
  float cap;       // of scores; 0: none
  float eps;
  float norm_offset;
} a;

layout(buffer_reference, std430, buffer_reference_align = 4) coherent buffer Shared { float at[]; };
layout(buffer_reference, std430, buffer_reference_align = 4) coherent buffer Arrivals { uint at[]; };

const uint OCTETS = HEAD_DIM / 8;
const uint NEEDED = OCTETS <= 1 ? 1 : OCTETS <= 2 ? 2 : OCTETS <= 4 ? 4 : OCTETS <= 8 ? 8 : OCTETS <= 16 ? 16 : 32;
const uint P = NEEDED < SUBGROUP ? NEEDED : SUBGROUP;  // lanes that share a key
const uint OWN = (OCTETS + P - 1) / P;                 // octets a lane
const uint KEYS = SUBGROUP / P;                        // keys of a subgroup at once
const uint UNITS = OWN * (KV_BYTES == 4 ? 2 : 1);      // loads of 16 bytes a key
const uint AHEAD = UNITS >= 4 ? 1 : 4 / UNITS;         // keys of a lane on their way at once
const uint PAIRS = (HEAD_DIM / 2 + SUBGROUP - 1) / SUBGROUP;
const uint LEFT = HEAD_DIM + 2;                        // a sum, the maximum, the total
const float NONE = -1.0e30;

#define STAGED_FLOATS ((QUERIES + 2) * HEAD_DIM)  // q, then the token's own k and v
#include "kv_bytes.glsl"
shared float merged[SUBGROUPS * QUERIES * LEFT];
shared uint arrived;

// Head `n` of qkv into `staged`: biases, norm, turn.
void stage(uint to, uint n, uint own, uvec2 bias, uvec2 norm, bool turned) {
  vec2 v[PAIRS];
  float squares = 0.0;
  [[unroll]] for (uint i = 0; i < PAIRS; i++) {
    const uint p = gl_SubgroupInvocationID + i * SUBGROUP;
    if (p >= HEAD_DIM / 2) break;
    const uvec2 d = !INTERLEAVED && p < ROPE_DIMS / 2 ? uvec2(p, p + ROPE_DIMS / 2) : uvec2(2 * p, 2 * p + 1);
    v[i] = vec2(a.qkv.at[n * HEAD_DIM + d.x], a.qkv.at[n * HEAD_DIM + d.y]);
    if (STAGED) v[i] += vec2(bias_at(a.packs, bias, own * HEAD_DIM + d.x), bias_at(a.packs, bias, own * HEAD_DIM + d.y));
    squares += dot(v[i], v[i]);
  }
  const bool normed = STAGED && norm.x != ABSENT;
  const float r = normed ? 1.0 / sqrt(subgroupAdd(squares) / float(HEAD_DIM) + a.eps) : 1.0;
  [[unroll]] for (uint i = 0; i < PAIRS; i++) {
    const uint p = gl_SubgroupInvocationID + i * SUBGROUP;
    if (p >= HEAD_DIM / 2) break;
    const uvec2 d = !INTERLEAVED && p < ROPE_DIMS / 2 ? uvec2(p, p + ROPE_DIMS / 2) : uvec2(2 * p, 2 * p + 1);
    if (normed) v[i] *= r * (vec2(weight(a.packs, norm, d.x), weight(a.packs, norm, d.y)) + a.norm_offset);
    if (turned && p < ROPE_DIMS / 2) {
      const float c = a.turns.at[2 * p], s = a.turns.at[2 * p + 1];
      v[i] = vec2(v[i].x * c - v[i].y * s, v[i].x * s + v[i].y * c);
    }
    staged[to * HEAD_DIM + d.x] = v[i].x;
    staged[to * HEAD_DIM + d.y] = v[i].y;
  }
}

// The token's key, or value, goes into the cache; what can be read back stays staged.
void keep(uint to, uint64_t cache, uint row, bool write) {
  subgroupMemoryBarrierShared();
  LANES_MEET
  const uint from = to * HEAD_DIM;
  if (KV_BYTES == 1) {
    // written twice where a key-value head has several workgroups: the same
    store_bytes(cache + uint64_t(row) * kv_row(HEAD_DIM), HEAD_DIM, from);
  } else {
    for (uint d = gl_SubgroupInvocationID; d < HEAD_DIM; d += SUBGROUP) {
      if (KV_BYTES == 2) staged[from + d] = nearest_half(staged[from + d]);
      if (write) kv_store(cache, row, d, staged[from + d], HEAD_DIM);
    }
  }
}

// Eight dimensions of a row, as they are stored.
struct Octet { uvec4 low, high; };

Octet fetch(uint64_t cache, uint row, uint octet) {
  const uint64_t at = cache + uint64_t(row) * kv_row(HEAD_DIM);
  Octet o;
  o.high = uvec4(0);
  if (KV_BYTES == 4) {
    o.low = U32x4s(at + 32 * octet).at[0];
    o.high = U32x4s(at + 32 * octet).at[1];
  } else if (KV_BYTES == 2) {
    o.low = U32x4s(at + 16 * octet).at[0];
  } else {
    // rows of bytes are aligned to four
    o.low = uvec4(U32s(at + 8 * octet).at[0], U32s(at + 8 * octet).at[1], uint(U16s(at + HEAD_DIM).at[octet / (KV_BLOCK / 8)]), 0);
  }
  return o;
}

vec4 signed_bytes(uint w) { return vec4(ivec4(w << 24, w << 16, w << 8, w) >> 24); }

void values(Octet o, out vec4 low, out vec4 high) {
  if (KV_BYTES == 4) {
    low = uintBitsToFloat(o.low);
    high = uintBitsToFloat(o.high);
  } else if (KV_BYTES == 2) {
    low = vec4(unpackHalf2x16(o.low.x), unpackHalf2x16(o.low.y));
    high = vec4(unpackHalf2x16(o.low.z), unpackHalf2x16(o.low.w));
  } else {
    const float scale = half_to_float(o.low.z);
    low = scale * signed_bytes(o.low.x);
    high = scale * signed_bytes(o.low.y);
  }
}

vec4 staged_quad(uint at) { return vec4(staged[at], staged[at + 1], staged[at + 2], staged[at + 3]); }

void main() {
  const uint lane = gl_SubgroupInvocationID, part = lane % P, slot = lane / P;
  const uint kv_heads = gl_NumWorkGroups.x, kv_head = gl_WorkGroupID.x, query0 = gl_WorkGroupID.y * QUERIES;
  const uint begin = a.first + gl_WorkGroupID.z * a.stretch, end = min(begin + a.stretch, a.position + 1);
  const bool has_own = gl_WorkGroupID.z == gl_NumWorkGroups.z - 1;
  const uint head_row = kv_head * a.capacity, cached = max(a.position, 1) - 1;  // the last key in the cache

  uint octet[OWN];
  [[unroll]] for (uint o = 0; o < OWN; o++) octet[o] = min(part + o * P, OCTETS - 1);
  Octet k[AHEAD][OWN], v[AHEAD][OWN];
  uint base = begin + gl_SubgroupID * AHEAD * KEYS + slot;  // the lane's first key
#define FETCH \
  [[unroll]] for (uint n = 0; n < AHEAD; n++) { \
    const uint row = head_row + min(base + n * KEYS, cached); \
    [[unroll]] for (uint o = 0; o < OWN; o++) { k[n][o] = fetch(a.k, row, octet[o]); v[n][o] = fetch(a.v, row, octet[o]); } \
  }
  // on their way while q is staged
  FETCH

  for (uint n = gl_SubgroupID; n < QUERIES + (has_own ? 2 : 0); n += SUBGROUPS) {
    if (n < QUERIES) {
      const uint head = kv_head * GROUP + min(query0 + n, GROUP - 1);
      stage(n, head, head, a.q_bias, a.q_norm, true);
    } else {
      const bool key = n == QUERIES;
      const uint head = kv_heads * (GROUP + (key ? 0 : 1)) + kv_head;
      stage(n, head, kv_head, key ? a.k_bias : a.v_bias, key ? a.k_norm : uvec2(ABSENT), key);
      keep(n, key ? a.k : a.v, head_row + a.position, gl_WorkGroupID.y == 0);
    }
  }
  barrier();

  vec4 q[QUERIES][OWN][2], sum[QUERIES][OWN][2];
  float best[QUERIES], total[QUERIES];
  [[unroll]] for (uint i = 0; i < QUERIES; i++) {
    best[i] = NONE;
    total[i] = 0.0;
    [[unroll]] for (uint o = 0; o < OWN; o++) {
      const bool there = part + o * P < OCTETS;
      [[unroll]] for (uint h = 0; h < 2; h++) {
        const vec4 own = staged_quad(i * HEAD_DIM + 8 * octet[o] + 4 * h) * a.scale;
        q[i][o][h] = there ? own : vec4(0.0);
        sum[i][o][h] = vec4(0.0);
      }
    }
  }

  // all lanes go on as long as one of them has a key
  for (uint all = begin + gl_SubgroupID * AHEAD * KEYS; all < end; all += SUBGROUPS * AHEAD * KEYS) {
    float score[AHEAD][QUERIES];
    vec4 value[AHEAD][OWN][2];
    [[unroll]] for (uint n = 0; n < AHEAD; n++) {
      const bool own = has_own && base + n * KEYS >= a.position;
      [[unroll]] for (uint i = 0; i < QUERIES; i++) score[n][i] = 0.0;
      [[unroll]] for (uint o = 0; o < OWN; o++) {
        vec4 low, high;
        values(k[n][o], low, high);
        values(v[n][o], value[n][o][0], value[n][o][1]);
        if (own) {
          const uint at = QUERIES * HEAD_DIM + 8 * octet[o];
          low = staged_quad(at);
          high = staged_quad(at + 4);
          value[n][o][0] = staged_quad(at + HEAD_DIM);
          value[n][o][1] = staged_quad(at + HEAD_DIM + 4);
        }
        [[unroll]] for (uint i = 0; i < QUERIES; i++) score[n][i] += dot(q[i][o][0], low) + dot(q[i][o][1], high);
      }
      [[unroll]] for (uint m = 1; m < P; m *= 2) {
        [[unroll]] for (uint i = 0; i < QUERIES; i++) score[n][i] += subgroupShuffleXor(score[n][i], m);
      }
    }
    bool seen[AHEAD];
    [[unroll]] for (uint n = 0; n < AHEAD; n++) seen[n] = base + n * KEYS < end;
    base += SUBGROUPS * AHEAD * KEYS;
    if (all + SUBGROUPS * AHEAD * KEYS < end) { FETCH }
    [[unroll]] for (uint i = 0; i < QUERIES; i++) {
      float top = best[i];
      [[unroll]] for (uint n = 0; n < AHEAD; n++) {
        if (a.cap != 0.0) score[n][i] = a.cap * tanh_of(score[n][i] / a.cap);
        score[n][i] = seen[n] ? score[n][i] : NONE;
        top = max(top, score[n][i]);
      }
      const float shrink = exp(best[i] - top);
      best[i] = top;
      total[i] *= shrink;
      [[unroll]] for (uint o = 0; o < OWN; o++) { sum[i][o][0] *= shrink; sum[i][o][1] *= shrink; }
      [[unroll]] for (uint n = 0; n < AHEAD; n++) {
        const float p = seen[n] ? exp(score[n][i] - top) : 0.0;
        total[i] += p;
        [[unroll]] for (uint o = 0; o < OWN; o++) {
          sum[i][o][0] = fma(vec4(p), value[n][o][0], sum[i][o][0]);
          sum[i][o][1] = fma(vec4(p), value[n][o][1], sum[i][o][1]);
        }
      }
    }
  }

  // keys of a subgroup, then those of all
  [[unroll]] for (uint i = 0; i < QUERIES; i++) {
    float top = best[i];
    [[unroll]] for (uint m = P; m < SUBGROUP; m *= 2) top = max(top, subgroupShuffleXor(top, m));
    const float shrink = exp(best[i] - top);
    total[i] *= shrink;
    [[unroll]] for (uint m = P; m < SUBGROUP; m *= 2) total[i] += subgroupShuffleXor(total[i], m);
    const uint to = (gl_SubgroupID * QUERIES + i) * LEFT;
    [[unroll]] for (uint o = 0; o < OWN; o++) {
      [[unroll]] for (uint h = 0; h < 2; h++) {
        vec4 s = sum[i][o][h] * shrink;
        [[unroll]] for (uint m = P; m < SUBGROUP; m *= 2) s += subgroupShuffleXor(s, m);
        if (slot == 0 && part + o * P < OCTETS) {
          [[unroll]] for (uint e = 0; e < 4; e++) merged[to + 8 * octet[o] + 4 * h + e] = s[e];
        }
      }
    }
    if (lane == 0) { merged[to + HEAD_DIM] = top; merged[to + HEAD_DIM + 1] = total[i]; }
  }
  barrier();
  const uint stretches = gl_NumWorkGroups.z, heads = kv_heads * GROUP;
  Shared left = Shared(a.left + (heads + 3) / 4 * 16);
  for (uint e = gl_LocalInvocationID.x; e < QUERIES * HEAD_DIM; e += gl_WorkGroupSize.x) {
    const uint i = e / HEAD_DIM, d = e % HEAD_DIM, head = kv_head * GROUP + query0 + i;
    if (query0 + i >= GROUP) continue;
    float top = NONE, sum = 0.0, total = 0.0;
    for (uint g = 0; g < SUBGROUPS; g++) top = max(top, merged[(g * QUERIES + i) * LEFT + HEAD_DIM]);
    for (uint g = 0; g < SUBGROUPS; g++) {
      const uint at = (g * QUERIES + i) * LEFT;
      const float share = exp(merged[at + HEAD_DIM] - top);
      sum = fma(merged[at + d], share, sum);
      total = fma(merged[at + HEAD_DIM + 1], share, total);
    }
    if (stretches == 1) {
      a.y.at[head * HEAD_DIM + d] = sum / total;
      continue;
    }
    const uint at = (gl_WorkGroupID.z * heads + head) * LEFT;
    left.at[at + d] = sum;
    if (d == 0) { left.at[at + HEAD_DIM] = top; left.at[at + HEAD_DIM + 1] = total; }
  }
  if (stretches == 1) return;

  memoryBarrierBuffer();
  barrier();
  Arrivals arrivals = Arrivals(a.left);
  const uint place = kv_head * gl_NumWorkGroups.y + gl_WorkGroupID.y;
  if (gl_LocalInvocationID.x == 0) arrived = atomicAdd(arrivals.at[place], 1);
  barrier();
  if (arrived != stretches - 1) return;
  memoryBarrierBuffer();
  if (gl_LocalInvocationID.x == 0) arrivals.at[place] = 0;
  for (uint e = gl_LocalInvocationID.x; e < QUERIES * HEAD_DIM; e += gl_WorkGroupSize.x) {
    const uint i = e / HEAD_DIM, d = e % HEAD_DIM, head = kv_head * GROUP + query0 + i;
    if (query0 + i >= GROUP) continue;
    float top = NONE, sum = 0.0, total = 0.0;
    for (uint z = 0; z < stretches; z++) top = max(top, left.at[(z * heads + head) * LEFT + HEAD_DIM]);
    for (uint z = 0; z < stretches; z++) {
      const uint at = (z * heads + head) * LEFT;
      const float share = exp(left.at[at + HEAD_DIM] - top);
      sum = fma(left.at[at + d], share, sum);
      total = fma(left.at[at + HEAD_DIM + 1], share, total);
    }
    a.y.at[head * HEAD_DIM + d] = sum / total;
  }
}
