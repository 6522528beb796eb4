#version 460
// x[t] += scale * (sum of weight * (y[row] + bias of the expert) over a token's experts, in their order, + gate * shared[t]);
// gate is sigmoid(shared_logits[t]), or 1.
#include "common.glsl"
#include "vector.glsl"

layout(push_constant) uniform Args {
  U64s packs;          // pack table
  F32sOut x;           // [tokens][stride]
  F32s y;              // [rows][stride]
  U32s rows;           // [tokens][used]: rows of y; 0: t * used + i
  F32s weights;        // [tokens][used]
  U32s chosen;         // [tokens][used]: experts
  F32s shared_;        // [tokens][stride]; 0: none
  F32s shared_logits;  // shared_stride apart; 0: none
  uvec2 bias;          // a vector: [experts * width]
  uint width;
  uint stride;
  uint used;
  uint shared_stride;
  float scale;
} a;

void main() {
  const uint i = gl_GlobalInvocationID.x, t = gl_WorkGroupID.y, at = t * a.stride + i;
  if (i >= a.width) return;
  float sum = 0.0;
  for (uint k = t * a.used; k < (t + 1) * a.used; k++) {
    const uint row = uint64_t(a.rows) == 0 ? k : a.rows.at[k];
    float v = a.y.at[row * a.stride + i];
    if (a.bias.x != ABSENT) v += weight(a.packs, a.bias, a.chosen.at[k] * a.width + i);
    sum = fma(a.weights.at[k], v, sum);
  }
  if (uint64_t(a.shared_) != 0) {
    float gate = 1.0;
    if (uint64_t(a.shared_logits) != 0) gate /= 1.0 + exp(-a.shared_logits.at[t * a.shared_stride]);
    sum = fma(gate, a.shared_.at[at], sum);
  }
  a.x.at[at] = fma(a.scale, sum, a.x.at[at]);
}
