// ACTIVATION: 0 silu, 1 gelu by tanh, 2 gelu by erf, 3 clamped swiglu.
#include "math.glsl"

float activation(float x) {
  if (ACTIVATION == 0) return silu(x);
  if (ACTIVATION == 3) return x / (1.0 + exp(-1.702 * x));
  return ACTIVATION == 1 ? gelu_tanh(x) : gelu_erf(x);
}

float gate(float gate, float up) {
  if (ACTIVATION == 3) {
    gate = min(gate, 7.0);
    up = clamp(up, -7.0, 7.0) + 1.0;
  }
  return activation(gate) * up;
}
