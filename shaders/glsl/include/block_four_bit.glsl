// Blocks whose nibbles are numbers of values that are not evenly spaced.
#if defined(DTYPE_IQ4_NL) || defined(DTYPE_IQ4_XS)
const int TABLE[] = int[](-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113);
#elif defined(DTYPE_MXFP4)
const int TABLE[] = int[](0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12);  // values of E2M1, doubled
#endif

#if defined(DTYPE_IQ4_NL)
const uint BLOCK = 32, BLOCK_BYTES = 18, GROUPS = 1, UNITS = 4;
Scale scale_of(uint64_t block, uint g) { return Scale(vec2(half_to_float(u16_at(block, 0))), vec2(0.0)); }
uint nibbles_of(uint64_t block, uint g, uint u) { return word_at(block, 2 + 4 * u); }

#elif defined(DTYPE_IQ4_XS)
const uint BLOCK = 256, BLOCK_BYTES = 136, GROUPS = 8, UNITS = 4;
Scale scale_of(uint64_t block, uint g) {
  U32s p = words(block);
  const uint q = p.at[1] >> 4 * g & 15 | (p.at[0] >> (16 + 2 * g) & 3) << 4;
  return Scale(vec2(half_to_float(p.at[0] & 0xFFFF) * float(int(q) - 32)), vec2(0.0));
}
uint nibbles_of(uint64_t block, uint g, uint u) { return words(block).at[2 + 4 * g + u]; }

#elif defined(DTYPE_MXFP4)
const uint BLOCK = 32, BLOCK_BYTES = 17, GROUPS = 1, UNITS = 4;
// Four bytes at any address: words that hold none of them are not read.
uint bytes_at(uint64_t at) {
  const uint shift = 8 * (uint(at) & 3);
  U32s p = U32s(at & ~uint64_t(3));
  return shift == 0 ? p.at[0] : p.at[0] >> shift | p.at[1] << (32 - shift);
}
Scale scale_of(uint64_t block, uint g) {
  const uint e = U32s(block & ~uint64_t(3)).at[0] >> 8 * (uint(block) & 3) & 255;
  return Scale(vec2(uintBitsToFloat(e < 2 ? 0x00200000u << e : e - 1 << 23)), vec2(0.0));
}
uint nibbles_of(uint64_t block, uint g, uint u) { return bytes_at(block + 1 + 4 * u); }
#endif

#if defined(DTYPE_IQ4_NL) || defined(DTYPE_IQ4_XS) || defined(DTYPE_MXFP4)
#define TABLED
shared int table[TABLE.length()];
vec4 values(ivec4 n) { return vec4(table[n.x], table[n.y], table[n.z], table[n.w]); }
void decode(uint64_t block, uint g, uint u, Scale s, out vec4 a, out vec4 b) {
  const uint w = nibbles_of(block, g, u);
  a = values(low_nibbles_i(w)) * s.d.x;
  b = values(high_nibbles_i(w)) * s.d.x;
}
uvec2 columns(uint g, uint u) { return uvec2(32 * g + 4 * u, 32 * g + 16 + 4 * u); }
#endif
