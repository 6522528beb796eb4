// Functions that Vulkan leaves too imprecise, or does not have.

// A series where 1 - 2 / (1 + e^2x) would cancel.
float tanh_of(float x) {
  const float s = x * x;
  if (s < 0.01) return x * (1.0 - s * (1.0 / 3.0 - s * (2.0 / 15.0 - s * (17.0 / 315.0))));
  return 1.0 - 2.0 / (1.0 + exp(2.0 * x));
}

// To 1.5e-7 (Abramowitz and Stegun, 7.1.26).
float erf_of(float x) {
  const float t = 1.0 / (1.0 + 0.3275911 * abs(x));
  const float p = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  return sign(x) * (1.0 - p * exp(-x * x));
}

float silu(float x) { return x / (1.0 + exp(-x)); }
// By tanh: (1 + tanh(u)) / 2 = 1 / (1 + e^-2u).
float gelu_tanh(float x) { return x / (1.0 + exp(-1.5957691216057308 * (x + 0.044715 * x * x * x))); }
float gelu_erf(float x) { return 0.5 * x * (1.0 + erf_of(0.7071067811865476 * x)); }
