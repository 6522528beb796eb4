#version 460
// y[i] = x[source[i]]; rows without a source are left as they are.
#include "common.glsl"

layout(push_constant) uniform Args {
  F32s x;       // [][stride]
  F32sOut y;    // [rows][stride]
  U32s source;  // [rows]; 2^32 - 1: none
  uint width;
  uint stride;
} a;

void main() {
  const uint i = gl_GlobalInvocationID.x, row = gl_WorkGroupID.y, from = a.source.at[row];
  if (i >= a.width || from == 0xFFFFFFFFu) return;
  a.y.at[row * a.stride + i] = a.x.at[from * a.stride + i];
}
