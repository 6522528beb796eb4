#version 460
// y[t][i] = activation(gate) * up, with gate = x[t][i] and up = x[t][width + i] (arXiv 2002.05202), or activation(x[t][i]);
// biases are added first. The clamped SwiGLU is activation(min(gate, 7)) * (clamp(up, -7, 7) + 1).
#include "common.glsl"
#include "vector.glsl"
layout(constant_id = 1) const uint ACTIVATION = 0;
#include "activation.glsl"
layout(constant_id = 2) const bool GATED = true;

layout(push_constant) uniform Args {
  U64s packs;       // pack table
  F32s x;           // [tokens][x_stride] f32
  F32sOut y;        // [tokens][y_stride] f32
  uvec2 gate_bias;  // vectors: [width], or [experts * width]
  uvec2 up_bias;
  uint width;
  uint x_stride;
  uint y_stride;
  uint group_rows;
  U32s experts;     // of each group_rows rows; 0: biases are everyone's
} a;

void main() {
  const uint i = gl_GlobalInvocationID.x, t = gl_WorkGroupID.y;
  if (i >= a.width) return;
  uint first = 0;  // of the biases
  if (uint64_t(a.experts) != 0) {
    const uint expert = a.experts.at[t / a.group_rows];
    if (expert == 0xFFFFFFFFu) return;
    first = expert * a.width;
  }
  const uint at = t * a.x_stride + i;
  const float up = a.x.at[GATED ? at + a.width : at] + bias_at(a.packs, a.up_bias, first + i);
  float y;
  if (GATED) {
    y = gate(a.x.at[at] + bias_at(a.packs, a.gate_bias, first + i), up);
  } else y = activation(up);
  a.y.at[t * a.y_stride + i] = y;
}
