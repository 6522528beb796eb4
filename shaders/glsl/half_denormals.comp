#version 460
// What becomes of f16 numbers below the normal ones on their way to f32: Vulkan lets a device take them for 0.
#include "common.glsl"

layout(push_constant) uniform Args {
  F32sOut read;  // [1024][2], written: number i as the lower and as the upper half of a word
} a;

void main() {
  const uint i = gl_GlobalInvocationID.x;
  const vec2 both = unpackHalf2x16(i | i << 16);
  a.read.at[2 * i] = both.x;
  a.read.at[2 * i + 1] = both.y;
}
