#version 460
// Causal attention with grouped queries, softmax in one pass over the keys (arXiv 1805.02867, 2205.14135). A workgroup is
// one subgroup. It takes QUERIES of the (token, head) pairs that share a key-value head, so that each key and value is read once
// for all of them: a lane scores one key of SUBGROUP, then sums the values of its own dimensions.
// x: key-value head, y: QUERIES of the pairs, z: a stretch of `split` keys (with partial results where there are several).
#include "common.glsl"
#include "kv.glsl"
#include "math.glsl"
#include "vector.glsl"
layout(constant_id = 3) const uint QUERIES = 1;
layout(constant_id = 4) const uint SUBGROUP = 32;   // size of a subgroup
layout(constant_id = 5) const bool PARTIAL = false; // leave [splits][pairs][VALUE_DIM + 2] for attention_merge
layout(constant_id = 6) const bool SHARE_Q = false; // lanes hold q and give it to each other: for CPUs, where a load is made lane by lane

layout(push_constant) uniform Args {
  uint64_t q;         // [tokens][q_stride] f32, heads in front
  uint64_t k;         // K cache of this layer
  uint64_t v;         // V cache of this layer
  F32sOut y;          // [tokens][y_stride] f32, or partial results
  U64s packs;         // pack table
  uvec2 sinks;        // a vector: [heads], a score of each that has no value (arXiv 2309.17453)
  uint heads;
  uint kv_heads;
  uint capacity;
  uint position;      // of the first token
  uint tokens;
  uint q_stride;
  uint y_stride;
  uint split;         // keys a stretch
  uint first;         // the first stretch's first key
  uint window;        // keys that a query sees, the last of them its own
  float scale;
  float cap;          // of scores; 0: none
} a;

const uint QUADS = HEAD_DIM / 4;
const uint OWN = (QUADS + SUBGROUP - 1) / SUBGROUP;  // quads of a query that a lane holds
const uint VALUE_QUADS = VALUE_DIM / 4;
const uint OWN_VALUES = (VALUE_QUADS + SUBGROUP - 1) / SUBGROUP;  // quads of dimensions that a lane sums
const float NONE = -1.0e30;
const uint AHEAD = 8;  // loads on their way at once: a GPU waits for one as long as for eight

void main() {
  const uint lane = gl_SubgroupInvocationID;
  const uint group = a.heads / a.kv_heads, pairs = a.tokens * group;
  const uint pair0 = gl_WorkGroupID.y * QUERIES;
  const uint head_row = gl_WorkGroupID.x * a.capacity;

  uint q_at[QUERIES], from[QUERIES], limit[QUERIES];  // where the query lies, in vec4; the keys it sees
  float best[QUERIES], total[QUERIES];
  vec4 sum[QUERIES][OWN_VALUES];
  vec4 q[QUERIES][OWN];  // quad lane + SUBGROUP * o of the query
  [[unroll]] for (uint i = 0; i < QUERIES; i++) {
    const uint pair = min(pair0 + i, pairs - 1), t = pair / group;
    q_at[i] = (t * a.q_stride + (gl_WorkGroupID.x * group + pair % group) * HEAD_DIM) / 4;
    limit[i] = a.position + t + 1;
    from[i] = limit[i] - min(limit[i], a.window);
    // a sink is like a key before the first stretch
    const bool sink = a.sinks.x != ABSENT && gl_WorkGroupID.z == 0;
    best[i] = sink ? weight(a.packs, a.sinks, gl_WorkGroupID.x * group + pair % group) : NONE;
    total[i] = sink ? 1.0 : 0.0;
    [[unroll]] for (uint o = 0; o < OWN_VALUES; o++) sum[i][o] = vec4(0.0);
    [[unroll]] for (uint o = 0; o < OWN; o++) {
      if (SHARE_Q) q[i][o] = F32x4s(a.q).at[q_at[i] + min(lane + o * SUBGROUP, QUADS - 1)];
    }
  }
  // pairs ascend, so the first sees the earliest key, and the last the latest
  const uint stretch = a.first + gl_WorkGroupID.z * a.split;
  const uint begin = max(stretch, from[0]), end = min(stretch + a.split, limit[QUERIES - 1]);

  for (uint base = begin; base < end; base += SUBGROUP) {
    const uint j = base + lane;
    const uint key = head_row + min(j, end - 1);
    float score[QUERIES];
    [[unroll]] for (uint i = 0; i < QUERIES; i++) score[i] = 0.0;
    if (SHARE_Q) {
      [[unroll]] for (uint d = 0; d < QUADS; d++) {
        const vec4 kd = kv_load(a.k, key, 4 * d, HEAD_DIM);
        [[unroll]] for (uint i = 0; i < QUERIES; i++) {
          score[i] += dot(kd, subgroupBroadcast(q[i][d / SUBGROUP], d % SUBGROUP));
        }
      }
    } else {
      for (uint d0 = 0; d0 < QUADS; d0 += AHEAD) {
        vec4 kd[AHEAD];
        [[unroll]] for (uint d = 0; d < AHEAD; d++) kd[d] = kv_load(a.k, key, 4 * min(d0 + d, QUADS - 1), HEAD_DIM);
        [[unroll]] for (uint d = 0; d < AHEAD; d++) {
          if (QUADS % AHEAD != 0 && d0 + d >= QUADS) break;
          [[unroll]] for (uint i = 0; i < QUERIES; i++) score[i] += dot(kd[d], F32x4s(a.q).at[q_at[i] + d0 + d]);
        }
      }
    }
    float p[QUERIES];
    [[unroll]] for (uint i = 0; i < QUERIES; i++) {
      const bool seen = j >= from[i] && j < min(end, limit[i]);
      float s = score[i] * a.scale;
      if (a.cap != 0.0) s = a.cap * tanh_of(s / a.cap);
      s = seen ? s : NONE;
      const float top = max(best[i], subgroupMax(s));
      const float shrink = exp(best[i] - top);
      p[i] = seen ? exp(s - top) : 0.0;
      total[i] = total[i] * shrink + subgroupAdd(p[i]);
      best[i] = top;
      [[unroll]] for (uint o = 0; o < OWN_VALUES; o++) sum[i][o] *= shrink;
    }
    const uint keys = min(SUBGROUP, end - base);
    const uint step = SHARE_Q ? 1 : min(AHEAD, SUBGROUP);
    for (uint n0 = 0; n0 < keys; n0 += step) {
      [[unroll]] for (uint o = 0; o < OWN_VALUES; o++) {
        const uint quad = min(lane + o * SUBGROUP, VALUE_QUADS - 1);
        vec4 vd[AHEAD];
        [[unroll]] for (uint n = 0; n < AHEAD; n++) {
          if (n < step) vd[n] = kv_load(a.v, head_row + base + min(n0 + n, keys - 1), 4 * quad, VALUE_DIM);
        }
        [[unroll]] for (uint n = 0; n < AHEAD; n++) {
          if (n >= step) break;
          // what is not seen has a p of 0
          [[unroll]] for (uint i = 0; i < QUERIES; i++) {
            sum[i][o] = fma(vec4(subgroupShuffle(p[i], n0 + n)), vd[n], sum[i][o]);
          }
        }
      }
    }
  }

  [[unroll]] for (uint i = 0; i < QUERIES; i++) {
    const uint pair = pair0 + i;
    if (pair >= pairs) continue;
    const uint t = pair / group, head = gl_WorkGroupID.x * group + pair % group;
    const uint partial_at = (gl_WorkGroupID.z * a.tokens + t) * a.heads + head;
    const uint at = PARTIAL ? partial_at * (VALUE_DIM + 2) : t * a.y_stride + head * VALUE_DIM;
    const float norm = PARTIAL ? 1.0 : 1.0 / total[i];
    [[unroll]] for (uint o = 0; o < OWN_VALUES; o++) {
      const uint quad = lane + o * SUBGROUP;
      if (quad < VALUE_QUADS) [[unroll]] for (uint e = 0; e < 4; e++) a.y.at[at + 4 * quad + e] = sum[i][o][e] * norm;
    }
    if (PARTIAL && lane == 0) {
      a.y.at[at + VALUE_DIM] = best[i];
      a.y.at[at + VALUE_DIM + 1] = total[i];
    }
  }
}
