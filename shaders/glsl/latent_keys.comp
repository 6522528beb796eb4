#version 460
// y[t][h][i] = sum_j w[h][j][i] x[t][j]: keys out of latent vectors by weights that are stored transposed. x: head, y: TOKENS tokens;
// an invocation has columns of its own, so that rows are read as they lie.
#include "common.glsl"

layout(push_constant) uniform Args {
  F32s w;         // [heads][rank][w_stride]
  F32s x;         // [tokens rounded up to TOKENS][x_stride]
  F32sOut y;      // [tokens][y_stride]: [heads][width]
  uint rank;
  uint width;
  uint tokens;
  uint w_stride;
  uint x_stride;
  uint y_stride;
} a;

const uint TOKENS = 4;

void main() {
  const uint head = gl_WorkGroupID.x, first = gl_WorkGroupID.y * TOKENS;
  for (uint i = gl_LocalInvocationID.x; i < a.width; i += gl_WorkGroupSize.x) {
    float sum[TOKENS];
    [[unroll]] for (uint t = 0; t < TOKENS; t++) sum[t] = 0.0;
    for (uint j = 0; j < a.rank; j++) {
      const float w = a.w.at[(head * a.rank + j) * a.w_stride + i];
      [[unroll]] for (uint t = 0; t < TOKENS; t++) sum[t] = fma(w, a.x.at[(first + t) * a.x_stride + j], sum[t]);
    }
    [[unroll]] for (uint t = 0; t < TOKENS; t++) {
      if (first + t < a.tokens) a.y.at[(first + t) * a.y_stride + head * a.width + i] = sum[t];
    }
  }
}
