#version 460
// RMSNorm, y[t] = x[t] / sqrt(mean(x[t]^2) + eps) * w (arXiv 1910.07467), or LayerNorm, which takes the mean off x first and adds a
// bias (arXiv 1607.06450): one workgroup a token. y is written, or added to. x and y may be the same.
#include "common.glsl"
#include "reduce.glsl"
#include "vector.glsl"
layout(constant_id = 2) const bool LAYER = false;
layout(constant_id = 3) const bool ADD = false;  // y += scale * ..

layout(push_constant) uniform Args {
  U64s packs;       // pack table
  F32s x;           // [tokens][x_stride] f32
  F32sOut y;        // [tokens][y_stride] f32
  uvec2 weight;     // vectors: [columns]
  uvec2 bias;
  uint columns_;
  uint x_stride;
  uint y_stride;
  float eps;
  float offset;     // added to weights
  float scale;
} a;

void main() {
  const uint x0 = gl_WorkGroupID.x * a.x_stride, y0 = gl_WorkGroupID.x * a.y_stride;
  float mean = 0.0;
  if (LAYER) {
    float s = 0.0;
    for (uint k = gl_LocalInvocationID.x; k < a.columns_; k += gl_WorkGroupSize.x) s += a.x.at[x0 + k];
    mean = workgroup_sum(s) / float(a.columns_);
    if (MANY) barrier();
  }
  float s = 0.0;
  for (uint k = gl_LocalInvocationID.x; k < a.columns_; k += gl_WorkGroupSize.x) {
    const float v = a.x.at[x0 + k] - mean;
    s = fma(v, v, s);
  }
  const float r = 1.0 / sqrt(workgroup_sum(s) / float(a.columns_) + a.eps);
  for (uint k = gl_LocalInvocationID.x; k < a.columns_; k += gl_WorkGroupSize.x) {
    float v = (a.x.at[x0 + k] - mean) * r * (weight(a.packs, a.weight, k) + a.offset);
    if (LAYER) v += bias_at(a.packs, a.bias, k);
    a.y.at[y0 + k] = ADD ? fma(v, a.scale, a.y.at[y0 + k]) : v;
  }
}
