// Blocks of 256 weights that are points of a grid (format-spec/grids), eight or four weights a point.
#if defined(DTYPE_IQ1_S) || defined(DTYPE_IQ1_M) || defined(DTYPE_IQ2_XXS) || defined(DTYPE_IQ2_XS) || defined(DTYPE_IQ2_S) || \
    defined(DTYPE_IQ3_XXS) || defined(DTYPE_IQ3_S)
#define GRID
uint64_t grid;  // where the points are, two bytes each
int point_at(uint number) { return int(uint(U16s(grid).at[number])); }
const uint BLOCK = 256, GROUPS = 8, UNITS = 4;
uvec2 columns(uint g, uint u) { return uvec2(32 * g + 8 * u, 32 * g + 8 * u + 4); }
vec4 with_signs(ivec4 magnitudes, uint signs) {
  return vec4(magnitudes * (1 - 2 * (ivec4(signs, signs >> 1, signs >> 2, signs >> 3) & 1)));
}
// Seven signs; the eighth makes the number of minuses even.
uint even_signs(uint seven) { return seven & 127 | (bitCount(seven & 127) & 1) << 7; }
#endif

#if defined(DTYPE_IQ1_S) || defined(DTYPE_IQ1_M)
// -1, 0 or 1, all moved by an eighth.
void decode_point(uint number, bool down, float d, out vec4 a, out vec4 b) {
  const int point = point_at(number);
  const vec4 delta = vec4(down ? -1.125 : -0.875);
  a = (vec4(ivec4(point, point >> 2, point >> 4, point >> 6) & 3) + delta) * d;
  b = (vec4(ivec4(point >> 8, point >> 10, point >> 12, point >> 14) & 3) + delta) * d;
}
#elif defined(DTYPE_IQ2_XXS) || defined(DTYPE_IQ2_XS) || defined(DTYPE_IQ2_S)
// 8, 25 or 43.
ivec4 magnitudes(int point) {
  const ivec4 q = ivec4(point, point >> 2, point >> 4, point >> 6) & 3;
  return 8 + 17 * q + (q >> 1);
}
void decode_point(uint number, uint signs, float d, out vec4 a, out vec4 b) {
  const int point = point_at(number);
  a = with_signs(magnitudes(point), signs) * d;
  b = with_signs(magnitudes(point >> 8), signs >> 4) * d;
}
#elif defined(DTYPE_IQ3_XXS) || defined(DTYPE_IQ3_S)
vec4 decode_point(uint number, uint signs, float d) {
  const int point = point_at(number);
  const ivec4 q = ivec4(point, point >> 4, point >> 8, point >> 12) & 7;
#ifdef DTYPE_IQ3_S
  return with_signs(1 + 2 * q, signs) * d;
#else
  return with_signs(4 + 8 * q + 2 * (q + 1 >> 3), signs) * d;  // the last is 62, not 60
#endif
}
#endif

#if defined(DTYPE_IQ1_S)
const uint BLOCK_BYTES = 50;
Scale scale_of(uint64_t block, uint g) {
  const uint q = u16_at(block, 34 + 2 * g) >> 12 & 7;
  return Scale(vec2(half_to_float(u16_at(block, 0)) * float(2 * q + 1)), vec2(0.0));
}
void decode(uint64_t block, uint g, uint u, Scale s, out vec4 a, out vec4 b) {
  const uint h = u16_at(block, 34 + 2 * g);
  decode_point(byte_at(block, 2 + 4 * g + u) | (h >> 3 * u & 7) << 8, h >> 15 == 1, s.d.x, a, b);
}

#elif defined(DTYPE_IQ1_M)
const uint BLOCK_BYTES = 56;
Scale scale_of(uint64_t block, uint g) {  // of units 0 and 1, and of units 2 and 3
  const uvec2 w = uvec2(words(block).at[12], words(block).at[13]), d = w >> 12 & 0xF | w >> 24 & 0xF0;
  const uint q = u16_at(block, 48 + (g >> 1 << 1)) >> 6 * (g & 1);
  return Scale(half_to_float(d.x | d.y << 8) * vec2(2 * (uvec2(q, q >> 3) & 7) + 1), vec2(0.0));
}
void decode(uint64_t block, uint g, uint u, Scale s, out vec4 a, out vec4 b) {
  const uint h = u16_at(block, 32 + 2 * g) >> 4 * u;
  decode_point(byte_at(block, 4 * g + u) | (h & 7) << 8, (h & 8) != 0, u < 2 ? s.d.x : s.d.y, a, b);
}

#elif defined(DTYPE_IQ2_XXS)
const uint BLOCK_BYTES = 66;
Scale scale_of(uint64_t block, uint g) {
  const uint q = word_at(block, 6 + 8 * g) >> 28;
  return Scale(vec2(half_to_float(u16_at(block, 0)) * (0.125 + 0.25 * float(q))), vec2(0.0));
}
void decode(uint64_t block, uint g, uint u, Scale s, out vec4 a, out vec4 b) {
  const uint signs = even_signs(word_at(block, 6 + 8 * g) >> 7 * u);
  decode_point(byte_at(block, 2 + 8 * g + u), signs, s.d.x, a, b);
}

#elif defined(DTYPE_IQ2_XS) || defined(DTYPE_IQ2_S)
#ifdef DTYPE_IQ2_XS
const uint BLOCK_BYTES = 74, SCALES = 66;
#else
const uint BLOCK_BYTES = 82, SCALES = 74;
#endif
Scale scale_of(uint64_t block, uint g) {  // of units 0 and 1, and of units 2 and 3
  const uint q = byte_at(block, SCALES + g);
  return Scale(half_to_float(u16_at(block, 0)) * (0.125 + 0.25 * vec2(q & 15, q >> 4)), vec2(0.0));
}
void decode(uint64_t block, uint g, uint u, Scale s, out vec4 a, out vec4 b) {
  const float d = u < 2 ? s.d.x : s.d.y;
#ifdef DTYPE_IQ2_XS
  const uint q = u16_at(block, 2 + 8 * g + 2 * u);
  decode_point(q & 511, even_signs(q >> 9), d, a, b);
#else
  const uint high = byte_at(block, 66 + g) >> 2 * u & 3;
  decode_point(byte_at(block, 2 + 4 * g + u) | high << 8, byte_at(block, 34 + 4 * g + u), d, a, b);
#endif
}

#elif defined(DTYPE_IQ3_XXS)
const uint BLOCK_BYTES = 98;
Scale scale_of(uint64_t block, uint g) {
  const uint q = word_at(block, 66 + 4 * g) >> 28;
  return Scale(vec2(half_to_float(u16_at(block, 0)) * (0.25 + 0.5 * float(q))), vec2(0.0));
}
void decode(uint64_t block, uint g, uint u, Scale s, out vec4 a, out vec4 b) {
  const uint q = u16_at(block, 2 + 8 * g + 2 * u), signs = even_signs(word_at(block, 66 + 4 * g) >> 7 * u);
  a = decode_point(q & 255, signs, s.d.x);
  b = decode_point(q >> 8, signs >> 4, s.d.x);
}

#elif defined(DTYPE_IQ3_S)
const uint BLOCK_BYTES = 110;
Scale scale_of(uint64_t block, uint g) {
  const uint q = byte_at(block, 106 + (g >> 1)) >> 4 * (g & 1) & 15;
  return Scale(vec2(half_to_float(u16_at(block, 0)) * float(2 * q + 1)), vec2(0.0));
}
void decode(uint64_t block, uint g, uint u, Scale s, out vec4 a, out vec4 b) {
  const uint q = u16_at(block, 2 + 8 * g + 2 * u), high = byte_at(block, 66 + g) >> 2 * u;
  const uint signs = byte_at(block, 74 + 4 * g + u);
  a = decode_point(q & 255 | (high & 1) << 8, signs, s.d.x);
  b = decode_point(q >> 8 | (high & 2) << 7, signs >> 4, s.d.x);
}
#endif
