#version 460
// y[t][i] = silu(gate) * up, with gate = x[t][i] and up = x[t][width + i] (arXiv 2002.05202).
#include "common.glsl"

layout(push_constant) uniform Args {
  F32s x;        // [tokens][x_stride] f32
  F32sOut y;     // [tokens][y_stride] f32
  uint width;
  uint x_stride;
  uint y_stride;
} a;

void main() {
  const uint i = gl_GlobalInvocationID.x, t = gl_WorkGroupID.y;
  if (i >= a.width) return;
  const float gate = a.x.at[t * a.x_stride + i], up = a.x.at[t * a.x_stride + a.width + i];
  a.y.at[t * a.y_stride + i] = gate / (1.0 + exp(-gate)) * up;
}
