#version 460
// x[t][i] = cap tanh(scale x / cap), in place.
#include "common.glsl"
#include "math.glsl"

layout(push_constant) uniform Args {
  F32sOut x;      // [tokens][stride] f32
  uint width;
  uint stride;
  float scale;
  float cap;      // 0: none
} a;

void main() {
  const uint i = gl_GlobalInvocationID.x, at = gl_WorkGroupID.y * a.stride + i;
  if (i >= a.width) return;
  const float v = a.scale * a.x.at[at];
  a.x.at[at] = a.cap == 0.0 ? v : a.cap * tanh_of(v / a.cap);
}
