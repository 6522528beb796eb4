#version 460
// y[t] = x[t] / sqrt(mean(x[t]^2) + eps) * w (arXiv 1910.07467): one workgroup a token.
#include "common.glsl"
#include "reduce.glsl"

layout(constant_id = 2) const uint WEIGHT_BYTES = 4;  // 4: f32
layout(constant_id = 3) const bool BRAIN = false;     // of two bytes: bf16, else f16

layout(push_constant) uniform Args {
  U64s packs;       // pack table
  F32s x;           // [tokens][x_stride] f32
  F32sOut y;        // [tokens][y_stride] f32
  uint pack;        // where the weight [columns] lies
  uint offset;
  uint columns_;
  uint x_stride;
  uint y_stride;
  float eps;
} a;

float weight(uint64_t w, uint k) {
  if (WEIGHT_BYTES == 4) return F32s(w).at[k];
  const uint bits = uint(U16s(w).at[k]);
  return BRAIN ? uintBitsToFloat(bits << 16) : half_to_float(bits);
}

void main() {
  const uint x0 = gl_WorkGroupID.x * a.x_stride, y0 = gl_WorkGroupID.x * a.y_stride;
  float s = 0.0;
  for (uint k = gl_LocalInvocationID.x; k < a.columns_; k += gl_WorkGroupSize.x) {
    const float v = a.x.at[x0 + k];
    s = fma(v, v, s);
  }
  const float r = 1.0 / sqrt(workgroup_sum(s) / float(a.columns_) + a.eps);
  const uint64_t w = a.packs.at[a.pack] + a.offset;
  for (uint k = gl_LocalInvocationID.x; k < a.columns_; k += gl_WorkGroupSize.x) {
    a.y.at[y0 + k] = a.x.at[x0 + k] * r * weight(w, k);
  }
}
