#version 460
// The experts that a token goes through, and their weights, by the router's logits: a workgroup is one subgroup and has one token.
// Scores are a softmax (arXiv 1701.06538) or sigmoids (arXiv 2412.19437); of experts in groups, only those of the best groups are
// chosen from (arXiv 2405.04434). Of equals the smaller number comes first, here and among groups.
#include "common.glsl"
#include "vector.glsl"
layout(constant_id = 1) const bool SIGMOID = false;
layout(constant_id = 2) const bool BEST_TWO = false;   // a group is chosen by the sum of its two best, not by its best
layout(constant_id = 3) const bool NORMALIZED = true;  // weights are divided by their sum
layout(constant_id = 4) const uint MOST = 4096;        // experts, and groups where there are any

layout(push_constant) uniform Args {
  U64s packs;        // pack table
  F32s logits;       // [tokens][logits_stride]
  U32sOut chosen;    // [tokens][used]
  F32sOut weights;   // [tokens][used]
  uvec2 bias;        // a vector: [experts], added to logits
  uvec2 score_bias;  // likewise, added to the scores that experts are chosen by
  uint experts;
  uint used;
  uint logits_stride;
  uint groups;
  uint groups_used;
  float scale;
} a;

// What experts are chosen by, then what groups are, as unsigned numbers in the same order: 0 is out of the question.
shared uint keys[MOST];

// NaN is the least: no logits lead to an expert that is not there.
uint key_of(float v) {
  const uint b = floatBitsToUint(v), magnitude = b & 0x7FFFFFFFu;
  if (magnitude > 0x7F800000u) return 1;
  return b == magnitude ? b | 0x80000000u : magnitude == 0 ? 0x80000000u : ~b;
}

float of_key(uint k) { return uintBitsToFloat(k >= 0x80000000u ? k & 0x7FFFFFFFu : ~max(k, 0x007FFFFFu)); }

// The place of the largest of `count` keys from `first` on, which is then out.
uint take_best(uint first, uint count) {
  uint best = 0, at = 0;
  for (uint i = gl_SubgroupInvocationID; i < count; i += gl_SubgroupSize) {
    const uint k = keys[first + i];
    if (k > best) { best = k; at = i; }
  }
  const uint winner = subgroupMin(best == subgroupMax(best) ? at : 0xFFFFFFFFu);
  if (winner % gl_SubgroupSize == gl_SubgroupInvocationID) keys[first + winner] = 0;
  return winner;
}

float logit(uint e) { return a.logits.at[gl_WorkGroupID.x * a.logits_stride + e] + bias_at(a.packs, a.bias, e); }

void main() {
  const uint lane = gl_SubgroupInvocationID, size = a.experts / a.groups;
  // exp(logit - largest) / total
  float largest = 0.0, total = 1.0;
  if (!SIGMOID) {
    float m = -3.0e38, sum = 0.0;
    for (uint e = lane; e < a.experts; e += gl_SubgroupSize) m = max(m, logit(e));
    largest = subgroupMax(m);
    for (uint e = lane; e < a.experts; e += gl_SubgroupSize) sum += exp(logit(e) - largest);
    total = subgroupAdd(sum);
  }
  // Scores are in the order of logits, which are exact, so that they are needed only where something is added to them.
  const bool by_score = a.score_bias.x != ABSENT || BEST_TWO;
  for (uint e = lane; e < a.experts; e += gl_SubgroupSize) {
    float v = logit(e);
    if (by_score) v = (SIGMOID ? 1.0 / (1.0 + exp(-v)) : exp(v - largest) / total) + bias_at(a.packs, a.score_bias, e);
    keys[e] = key_of(v);
  }
  if (a.groups_used < a.groups) {
    subgroupBarrier();
    for (uint g = lane; g < a.groups; g += gl_SubgroupSize) {
      uint best = 0, second = 0;
      for (uint e = g * size; e < (g + 1) * size; e++) {
        second = max(second, min(best, keys[e]));
        best = max(best, keys[e]);
      }
      keys[a.experts + g] = BEST_TWO && size > 1 ? key_of(of_key(best) + of_key(second)) : best;
    }
    for (uint i = 0; i < a.groups_used; i++) take_best(a.experts, a.groups);
    subgroupBarrier();
    // what is left of the groups is not theirs
    for (uint e = lane; e < a.experts; e += gl_SubgroupSize) if (keys[a.experts + e / size] != 0) keys[e] = 0;
  }

  const uint to = gl_WorkGroupID.x * a.used;
  float sum = 1.0e-20;  // no quotient of zeros
  for (uint i = 0; i < a.used; i++) {
    const uint e = take_best(0, a.experts);
    const float v = logit(e), score = SIGMOID ? 1.0 / (1.0 + exp(-v)) : exp(v - largest) / total;
    sum += score;
    if (lane == i % gl_SubgroupSize) {
      a.chosen.at[to + i] = e;
      a.weights.at[to + i] = score;
    }
  }
  const float factor = NORMALIZED ? a.scale / sum : a.scale;
  for (uint i = lane; i < a.used; i += gl_SubgroupSize) a.weights.at[to + i] *= factor;
}
