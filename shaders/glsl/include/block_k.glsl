// Blocks of 256, whose sub-blocks have scales of a few bits.
#if defined(DTYPE_Q2_K) || defined(DTYPE_Q3_K)
// A group is (half of the block, pair of its four runs of 32 columns, half of a run); its second vec4 is a run on.
const uint BLOCK = 256, GROUPS = 8, UNITS = 4;
uvec2 columns(uint g, uint u) {
  const uint first = 128 * (g >> 2) + 64 * (g >> 1 & 1) + 16 * (g & 1) + 4 * u;
  return uvec2(first, first + 32);
}
#endif

#if defined(DTYPE_Q2_K)
const uint BLOCK_BYTES = 84;
Scale scale_of(uint64_t block, uint g) {
  U32s p = words(block);
  const vec2 d = unpackHalf2x16(p.at[20]);
  const uint s = p.at[g >> 1] >> 8 * (g & 1);
  return Scale(d.x * vec2(ivec2(s, s >> 16) & 15), -d.y * vec2(ivec2(s >> 4, s >> 20) & 15));
}
void decode(uint64_t block, uint g, uint u, Scale s, out vec4 a, out vec4 b) {
  const uint w = words(block).at[4 + 8 * (g >> 2) + 4 * (g & 1) + u] >> 4 * (g >> 1 & 1);
  a = fma(vec4(shifted_bytes(w) & 3), vec4(s.d.x), vec4(s.m.x));
  b = fma(vec4(shifted_bytes(w >> 2) & 3), vec4(s.d.y), vec4(s.m.y));
}

#elif defined(DTYPE_Q3_K)
const uint BLOCK_BYTES = 110;
Scale scale_of(uint64_t block, uint g) {
  const uint half_ = g >> 2, pair = g >> 1 & 1, shift = 8 * (g & 1);
  const uint low = word_at(block, 96 + 4 * pair) >> (shift + 4 * half_);
  const uint high = word_at(block, 104) >> (shift + 4 * half_ + 2 * pair);
  const ivec2 q = ivec2(low, low >> 16) & 15 | (ivec2(high, high >> 16) & 3) << 4;
  const vec2 s = half_to_float(u16_at(block, 108)) * vec2(q - 32);
  return Scale(s, -4.0 * s);
}
void decode(uint64_t block, uint g, uint u, Scale s, out vec4 a, out vec4 b) {
  const uint half_ = g >> 2, pair = g >> 1 & 1, l = 16 * (g & 1) + 4 * u;
  const uint w = word_at(block, 32 + 32 * half_ + l) >> 4 * pair;
  const ivec4 third = shifted_bytes(word_at(block, l) >> (4 * half_ + 2 * pair));
  a = fma(vec4(shifted_bytes(w) & 3 | third << 2 & 4), vec4(s.d.x), vec4(s.m.x));
  b = fma(vec4(shifted_bytes(w >> 2) & 3 | third << 1 & 4), vec4(s.d.y), vec4(s.m.y));
}

#elif defined(DTYPE_Q4_K) || defined(DTYPE_Q5_K)
// A group is a pair of 32-column sub-blocks that share their bytes: low nibbles are the first, high nibbles the second.
const uint BLOCK = 256, GROUPS = 4, UNITS = 8;
#ifdef DTYPE_Q4_K
const uint BLOCK_BYTES = 144, NIBBLES = 4;
#else
const uint BLOCK_BYTES = 176, NIBBLES = 12;
#endif
// Six-bit scale and minimum of sub-blocks 2g and 2g + 1, out of three words.
Scale scale_of(uint64_t block, uint g) {
  U32s p = words(block);
  const vec2 d = unpackHalf2x16(p.at[0]);
  const uint shift = 16 * (g & 1);
  const uint s = p.at[1] >> shift, m = p.at[2] >> shift, x = p.at[3] >> shift;
  uint scales, mins;  // two bytes each
  if (g < 2) {
    scales = s & 0x3F3F;
    mins = m & 0x3F3F;
  } else {
    scales = (x & 0x0F0F) | (s >> 2 & 0x3030);
    mins = (x >> 4 & 0x0F0F) | (m >> 2 & 0x3030);
  }
  return Scale(d.x * vec2(ivec2(scales, scales >> 8) & 255), -d.y * vec2(ivec2(mins, mins >> 8) & 255));
}
void decode(uint64_t block, uint g, uint u, Scale s, out vec4 a, out vec4 b) {
  U32s p = words(block);
  const uint w = p.at[NIBBLES + 8 * g + u];
#ifdef DTYPE_Q4_K
  const vec4 low = low_nibbles(w), high = high_nibbles(w);
#else
  const uint h = p.at[4 + u] >> (2 * g);
  const ivec4 fifth = shifted_bytes(h);
  const vec4 low = vec4(low_nibbles_i(w) | (fifth << 4) & 16), high = vec4(high_nibbles_i(w) | (fifth << 3) & 16);
#endif
  a = fma(low, vec4(s.d.x), vec4(s.m.x));
  b = fma(high, vec4(s.d.y), vec4(s.m.y));
}
uvec2 columns(uint g, uint u) { return uvec2(64 * g + 4 * u, 64 * g + 32 + 4 * u); }

#elif defined(DTYPE_Q6_K)
// A group is (half of the block, low-nibble quarter 0 or 1, half of a quarter); its second vec4 is two quarters on.
const uint BLOCK = 256, BLOCK_BYTES = 210, GROUPS = 8, UNITS = 4;
Scale scale_of(uint64_t block, uint g) {
  const uint first = 192 + (g >> 2) * 8 + (g >> 1 & 1) * 2 + (g & 1);
  const float d = half_to_float(u16_at(block, 208));
  const uint at = first & ~1u, shift = 24 - 8 * (first & 1);
  const ivec2 q = ivec2(u16_at(block, at), u16_at(block, at + 4)) << shift >> 24;
  const vec2 s = d * vec2(q);
  return Scale(s, -32.0 * s);
}
void decode(uint64_t block, uint g, uint u, Scale s, out vec4 a, out vec4 b) {
  const uint half_ = g >> 2, quarter = g >> 1 & 1, l = 16 * (g & 1) + 4 * u;
  const uint w = word_at(block, 64 * half_ + 32 * quarter + l);
  const uint h = word_at(block, 128 + 32 * half_ + l) >> (2 * quarter);
  const ivec4 high = shifted_bytes(h);
  a = fma(vec4(low_nibbles_i(w) | (high << 4) & 48), vec4(s.d.x), vec4(s.m.x));
  b = fma(vec4(high_nibbles_i(w) | high & 48), vec4(s.d.y), vec4(s.m.y));
}
uvec2 columns(uint g, uint u) {
  const uint first = 128 * (g >> 2) + 32 * (g >> 1 & 1) + 16 * (g & 1) + 4 * u;
  return uvec2(first, first + 64);
}
#endif
