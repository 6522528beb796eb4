#version 460
// y[t][i] = activation(gate) * up, with gate = x[t][i] and up = x[t][width + i] (arXiv 2002.05202), or activation(x[t][i]);
// biases are added first.
#include "common.glsl"
#include "math.glsl"
#include "vector.glsl"
layout(constant_id = 1) const uint ACTIVATION = 0;  // 0 silu, 1 gelu by tanh, 2 gelu by erf
layout(constant_id = 2) const bool GATED = true;

layout(push_constant) uniform Args {
  U64s packs;       // pack table
  F32s x;           // [tokens][x_stride] f32
  F32sOut y;        // [tokens][y_stride] f32
  uvec2 gate_bias;  // vectors: [width]
  uvec2 up_bias;
  uint width;
  uint x_stride;
  uint y_stride;
} a;

float activation(float x) {
  if (ACTIVATION == 0) return silu(x);
  return ACTIVATION == 1 ? gelu_tanh(x) : gelu_erf(x);
}

void main() {
  const uint i = gl_GlobalInvocationID.x, t = gl_WorkGroupID.y;
  if (i >= a.width) return;
  const uint at = t * a.x_stride + i;
  const float up = a.x.at[GATED ? at + a.width : at] + bias_at(a.packs, a.up_bias, i);
  float y;
  if (GATED) y = activation(a.x.at[at] + bias_at(a.packs, a.gate_bias, i)) * up;
  else y = activation(up);
  a.y.at[t * a.y_stride + i] = y;
}
