// Blocks of 256 weights that are -1, 0 or 1 times one scale.
#if defined(DTYPE_TQ1_0)
// A byte is a fraction in base three; digit n of it is the first digit of it times 3^n. Four bytes at a time.
const uint BLOCK = 256, BLOCK_BYTES = 54, GROUPS = 1, UNITS = 32;
Scale scale_of(uint64_t block, uint g) {
  const float d = half_to_float(u16_at(block, 52));
  return Scale(vec2(d), vec2(-d));
}
vec4 digits(uint64_t block, uint i) {  // of columns 4 i and on
  const uint at = i < 40 ? 4 * (i & 7) : i < 60 ? 32 + 4 * (i & 3) : 48;
  const uint n = i < 40 ? i >> 3 : i < 60 ? (i - 40) >> 2 : i - 60;
  const int power = ((n & 1) == 1 ? 3 : 1) * ((n & 2) == 2 ? 9 : 1) * (n == 4 ? 81 : 1);
  return vec4(((shifted_bytes(word_at(block, at)) & 255) * power & 255) * 3 >> 8);
}
void decode(uint64_t block, uint g, uint u, Scale s, out vec4 a, out vec4 b) {
  a = fma(digits(block, 2 * u), vec4(s.d.x), vec4(s.m.x));
  b = fma(digits(block, 2 * u + 1), vec4(s.d.x), vec4(s.m.x));
}
uvec2 columns(uint g, uint u) { return uvec2(8 * u, 8 * u + 4); }

#elif defined(DTYPE_TQ2_0)
// A group is (half of the block, pair of its four runs of 32 columns); its second vec4 is a run on.
const uint BLOCK = 256, BLOCK_BYTES = 66, GROUPS = 4, UNITS = 8;
Scale scale_of(uint64_t block, uint g) {
  const float d = half_to_float(u16_at(block, 64));
  return Scale(vec2(d), vec2(-d));
}
void decode(uint64_t block, uint g, uint u, Scale s, out vec4 a, out vec4 b) {
  const uint w = word_at(block, 32 * (g >> 1) + 4 * u) >> 4 * (g & 1);
  a = fma(vec4(shifted_bytes(w) & 3), vec4(s.d.x), vec4(s.m.x));
  b = fma(vec4(shifted_bytes(w >> 2) & 3), vec4(s.d.x), vec4(s.m.x));
}
uvec2 columns(uint g, uint u) { return uvec2(64 * g + 4 * u, 64 * g + 32 + 4 * u); }
#endif
