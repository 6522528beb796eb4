#version 460
// Joins the partial results that attention left for stretches of keys. x: head, y: token; one invocation a dimension.
#include "common.glsl"

layout(push_constant) uniform Args {
  F32s partial_;   // [splits][tokens][heads][head_dim + 2]: unscaled sum, maximum, total
  F32sOut y;       // [tokens][y_stride]
  uint splits;
  uint tokens;
  uint heads;
  uint head_dim;
  uint y_stride;
} a;

void main() {
  const uint head = gl_WorkGroupID.x, t = gl_WorkGroupID.y, width = a.head_dim + 2;
  float top = -1.0e30;
  for (uint s = 0; s < a.splits; s++) {
    top = max(top, a.partial_.at[((s * a.tokens + t) * a.heads + head) * width + a.head_dim]);
  }
  for (uint d = gl_LocalInvocationID.x; d < a.head_dim; d += gl_WorkGroupSize.x) {
    float sum = 0.0, total = 0.0;
    for (uint s = 0; s < a.splits; s++) {
      const uint at = ((s * a.tokens + t) * a.heads + head) * width;
      const float weight = exp(a.partial_.at[at + a.head_dim] - top);
      sum = fma(a.partial_.at[at + d], weight, sum);
      total = fma(a.partial_.at[at + a.head_dim + 1], weight, total);
    }
    a.y.at[t * a.y_stride + head * a.head_dim + d] = sum / total;
  }
}
