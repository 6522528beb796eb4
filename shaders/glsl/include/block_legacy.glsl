// Blocks of 32 with one scale.
#if defined(DTYPE_Q4_0)
const uint BLOCK = 32, BLOCK_BYTES = 18, GROUPS = 1, UNITS = 4;
Scale scale_of(uint64_t block, uint g) {
  const float d = half_to_float(u16_at(block, 0));
  return Scale(vec2(d), vec2(-8.0 * d));
}
void decode(uint64_t block, uint g, uint u, Scale s, out vec4 a, out vec4 b) {
  const uint w = word_at(block, 2 + 4 * u);
  a = fma(low_nibbles(w), vec4(s.d.x), vec4(s.m.x));
  b = fma(high_nibbles(w), vec4(s.d.x), vec4(s.m.x));
}
uvec2 columns(uint g, uint u) { return uvec2(4 * u, 16 + 4 * u); }

#elif defined(DTYPE_Q4_1)
const uint BLOCK = 32, BLOCK_BYTES = 20, GROUPS = 1, UNITS = 4;
Scale scale_of(uint64_t block, uint g) {
  const vec2 dm = unpackHalf2x16(words(block).at[0]);
  return Scale(vec2(dm.x), vec2(dm.y));
}
void decode(uint64_t block, uint g, uint u, Scale s, out vec4 a, out vec4 b) {
  const uint w = words(block).at[1 + u];
  a = fma(low_nibbles(w), vec4(s.d.x), vec4(s.m.x));
  b = fma(high_nibbles(w), vec4(s.d.x), vec4(s.m.x));
}
uvec2 columns(uint g, uint u) { return uvec2(4 * u, 16 + 4 * u); }

#elif defined(DTYPE_Q5_0)
const uint BLOCK = 32, BLOCK_BYTES = 22, GROUPS = 1, UNITS = 4;
Scale scale_of(uint64_t block, uint g) {
  const float d = half_to_float(u16_at(block, 0));
  return Scale(vec2(d), vec2(-16.0 * d));
}
void decode(uint64_t block, uint g, uint u, Scale s, out vec4 a, out vec4 b) {
  const uint w = word_at(block, 6 + 4 * u), h = word_at(block, 2) >> (4 * u);
  a = fma(with_fifth(low_nibbles_i(w), h), vec4(s.d.x), vec4(s.m.x));
  b = fma(with_fifth(high_nibbles_i(w), h >> 16), vec4(s.d.x), vec4(s.m.x));
}
uvec2 columns(uint g, uint u) { return uvec2(4 * u, 16 + 4 * u); }

#elif defined(DTYPE_Q5_1)
const uint BLOCK = 32, BLOCK_BYTES = 24, GROUPS = 1, UNITS = 4;
Scale scale_of(uint64_t block, uint g) {
  const vec2 dm = unpackHalf2x16(words(block).at[0]);
  return Scale(vec2(dm.x), vec2(dm.y));
}
void decode(uint64_t block, uint g, uint u, Scale s, out vec4 a, out vec4 b) {
  const uint w = words(block).at[2 + u], h = words(block).at[1] >> (4 * u);
  a = fma(with_fifth(low_nibbles_i(w), h), vec4(s.d.x), vec4(s.m.x));
  b = fma(with_fifth(high_nibbles_i(w), h >> 16), vec4(s.d.x), vec4(s.m.x));
}
uvec2 columns(uint g, uint u) { return uvec2(4 * u, 16 + 4 * u); }

#elif defined(DTYPE_Q8_0)
const uint BLOCK = 32, BLOCK_BYTES = 34, GROUPS = 1, UNITS = 4;
Scale scale_of(uint64_t block, uint g) {
  return Scale(vec2(half_to_float(u16_at(block, 0))), vec2(0.0));
}
vec4 signed_bytes(uint w) { return vec4(ivec4(w << 24, w << 16, w << 8, w) >> 24); }
void decode(uint64_t block, uint g, uint u, Scale s, out vec4 a, out vec4 b) {
  a = signed_bytes(word_at(block, 2 + 8 * u)) * s.d.x;
  b = signed_bytes(word_at(block, 6 + 8 * u)) * s.d.x;
}
uvec2 columns(uint g, uint u) { return uvec2(8 * u, 8 * u + 4); }
#endif
