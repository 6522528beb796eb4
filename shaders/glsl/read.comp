#version 460
// Reads the rows of a product of bf16 and does nothing with them: how fast a device can be read, to measure products by.
#include "common.glsl"

layout(constant_id = 1) const uint ROWS = 8;  // rows a workgroup

layout(push_constant) uniform Args {
  U64s packs;      // pack table
  U32s parts;      // parts of the operation
  uint64_t x;      // not read
  F32sOut y;       // not written
  uint part_count;
  uint columns_;
} a;

void main() {
  const Part part = find_part(a.packs, a.parts, a.part_count, gl_WorkGroupID.x);
  const uint row0 = (gl_WorkGroupID.x - part.first_tile) * ROWS;
  const uint units = min(ROWS, part.rows - row0) * a.columns_ / 8;
  U32x4s at = U32x4s(part.at + uint64_t(row0) * a.columns_ * 2);
  const uint step = gl_WorkGroupSize.x;
  uvec4 seen = uvec4(0);
  uint i = gl_LocalInvocationID.x;
  for (; i + 7 * step < units; i += 8 * step) {
    uvec4 v[8];
    [[unroll]] for (uint j = 0; j < 8; j++) v[j] = at.at[i + j * step];
    [[unroll]] for (uint j = 0; j < 8; j++) seen ^= v[j];
  }
  for (; i < units; i += step) seen ^= at.at[i];
  // never, but the compiler does not know
  if (a.part_count == 0) a.y.at[i] = uintBitsToFloat(seen.x ^ seen.y ^ seen.z ^ seen.w);
}
