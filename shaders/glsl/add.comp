#version 460
// y[t][i] = scale * (x[t][i] + bias[i]), or added to y. x and y may be the same.
#include "common.glsl"
#include "vector.glsl"
layout(constant_id = 1) const bool ADD = false;

layout(push_constant) uniform Args {
  U64s packs;     // pack table
  F32s x;         // [tokens][x_stride] f32
  F32sOut y;      // [tokens][y_stride] f32
  uvec2 bias;     // a vector: [width]
  uint width;
  uint x_stride;
  uint y_stride;
  float scale;
} a;

void main() {
  const uint i = gl_GlobalInvocationID.x, t = gl_WorkGroupID.y;
  if (i >= a.width) return;
  const float v = a.x.at[t * a.x_stride + i] + bias_at(a.packs, a.bias, i);
  const uint at = t * a.y_stride + i;
  a.y.at[at] = ADD ? fma(v, a.scale, a.y.at[at]) : v * a.scale;
}
