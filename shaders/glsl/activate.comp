#version 460
// y[t][i] = activation(gate) * up, with gate = x[t][i] and up = x[t][width + i] (arXiv 2002.05202), or activation(x[t][i]);
// biases are added first. The clamped SwiGLU is activation(min(gate, 7)) * (clamp(up, -7, 7) + 1).
#include "common.glsl"
#include "math.glsl"
#include "vector.glsl"
layout(constant_id = 1) const uint ACTIVATION = 0;  // 0 silu, 1 gelu by tanh, 2 gelu by erf, 3 clamped swiglu
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

float activation(float x) {
  if (ACTIVATION == 0) return silu(x);
  if (ACTIVATION == 3) return x / (1.0 + exp(-1.702 * x));
  return ACTIVATION == 1 ? gelu_tanh(x) : gelu_erf(x);
}

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
  float up = a.x.at[GATED ? at + a.width : at] + bias_at(a.packs, a.up_bias, first + i);
  float y;
  if (GATED) {
    float gate = a.x.at[at] + bias_at(a.packs, a.gate_bias, first + i);
    if (ACTIVATION == 3) {
      gate = min(gate, 7.0);
      up = clamp(up, -7.0, 7.0) + 1.0;
    }
    y = activation(gate) * up;
  } else y = activation(up);
  a.y.at[t * a.y_stride + i] = y;
}
