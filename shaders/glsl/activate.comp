#version 460
// y[t][i] = activation(gate) * up, with gate = x[t][i] and up = x[t][width + i] (arXiv 2002.05202), or activation(x[t][i]);
// biases are added first. Gate and up may also take turns in x, and in the first vector of biases, which then has both. The clamped SwiGLU is
// activation(min(gate, 7)) * (clamp(up, -7, 7) + 1).
#include "common.glsl"
#include "vector.glsl"
layout(constant_id = 1) const uint ACTIVATION = 0;
#include "activation.glsl"
layout(constant_id = 2) const bool GATED = true;
layout(constant_id = 3) const bool INTERLEAVED = false;  // gate and up take turns

layout(push_constant) uniform Args {
  U64s packs;       // pack table
  F32s x;           // [tokens][x_stride] f32
  F32sOut y;        // [tokens][y_stride] f32
  uvec2 gate_bias;  // vectors: [width], or [experts * width]; with both in turn, [experts * 2 * width]
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
  const uint at = t * a.x_stride, gate_at = INTERLEAVED ? 2 * i : i;
  const uint up_at = INTERLEAVED ? gate_at + 1 : GATED ? i + a.width : i;
  const uvec2 up_bias = INTERLEAVED ? a.gate_bias : a.up_bias;
  const float up = a.x.at[at + up_at] + bias_at(a.packs, up_bias, INTERLEAVED ? 2 * first + up_at : first + i);
  float y;
  if (GATED) {
    y = gate(a.x.at[at + gate_at] + bias_at(a.packs, a.gate_bias, INTERLEAVED ? 2 * first + gate_at : first + i), up);
  } else y = activation(up);
  a.y.at[t * a.y_stride + i] = y;
}
