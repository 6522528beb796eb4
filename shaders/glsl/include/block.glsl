// Stored blocks, eight weights at a time. A row is a run of blocks; a block is GROUPS scale groups of UNITS units;
// a unit decodes to two vec4 at the columns `columns(group, unit)` of its block. Plain types have blocks too, of
// 32 elements; a row need not end with a whole one. Layouts: format-spec/src/dequant.rs.

struct Scale { vec2 d; vec2 m; };  // w = q * d + m, x for the unit's first vec4 and y for its second

U32s words(uint64_t block) { return U32s(block); }
uint u16_at(uint64_t block, uint at) { return uint(U16s(block + at).at[0]); }
// A 32-bit word of a block that is aligned to two bytes only.
uint word_at(uint64_t block, uint at) {
  U16s p = U16s(block + at);
  return uint(p.at[0]) | uint(p.at[1]) << 16;
}
ivec4 low_nibbles_i(uint w) { return ivec4(w, w >> 8, w >> 16, w >> 24) & 15; }
ivec4 high_nibbles_i(uint w) { return low_nibbles_i(w >> 4); }
vec4 low_nibbles(uint w) { return vec4(low_nibbles_i(w)); }
vec4 high_nibbles(uint w) { return vec4(high_nibbles_i(w)); }
// Four nibbles with a fifth bit each; bit i of `high` belongs to nibble i.
vec4 with_fifth(ivec4 nibbles, uint high) { return vec4(nibbles | ivec4(high << 4, high << 3, high << 2, high << 1) & 16); }

#if defined(DTYPE_F32)
const uint BLOCK = 32, BLOCK_BYTES = 128, GROUPS = 1, UNITS = 4;
#define PLAIN 4
float element(uint64_t row, uint k) { return F32s(row).at[k]; }
void decode(uint64_t block, uint g, uint u, Scale s, out vec4 a, out vec4 b) {
  F32x4s p = F32x4s(block);
  a = p.at[2 * u]; b = p.at[2 * u + 1];
}

#elif defined(DTYPE_F16)
const uint BLOCK = 32, BLOCK_BYTES = 64, GROUPS = 1, UNITS = 4;
#define PLAIN 2
float element(uint64_t row, uint k) { return half_to_float(uint(U16s(row).at[k])); }
void decode(uint64_t block, uint g, uint u, Scale s, out vec4 a, out vec4 b) {
  const uvec4 w = U32x4s(block).at[u];
  a = vec4(unpackHalf2x16(w.x), unpackHalf2x16(w.y));
  b = vec4(unpackHalf2x16(w.z), unpackHalf2x16(w.w));
}

#elif defined(DTYPE_BF16)
const uint BLOCK = 32, BLOCK_BYTES = 64, GROUPS = 1, UNITS = 4;
#define PLAIN 2
float element(uint64_t row, uint k) { return uintBitsToFloat(uint(U16s(row).at[k]) << 16); }
void decode(uint64_t block, uint g, uint u, Scale s, out vec4 a, out vec4 b) {
  const uvec4 w = U32x4s(block).at[u];
  const uvec4 low = w << 16, high = w & 0xFFFF0000u;
  a = uintBitsToFloat(uvec4(low.x, high.x, low.y, high.y));
  b = uintBitsToFloat(uvec4(low.z, high.z, low.w, high.w));
}

#elif defined(DTYPE_Q4_0)
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
  const ivec4 fifth = ivec4(h, h >> 8, h >> 16, h >> 24);
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
  const ivec4 high = ivec4(h, h >> 8, h >> 16, h >> 24);
  a = fma(vec4(low_nibbles_i(w) | (high << 4) & 48), vec4(s.d.x), vec4(s.m.x));
  b = fma(vec4(high_nibbles_i(w) | high & 48), vec4(s.d.y), vec4(s.m.y));
}
uvec2 columns(uint g, uint u) {
  const uint first = 128 * (g >> 2) + 32 * (g >> 1 & 1) + 16 * (g & 1) + 4 * u;
  return uvec2(first, first + 64);
}
#endif

#ifdef PLAIN
Scale scale_of(uint64_t block, uint g) { return Scale(vec2(1.0), vec2(0.0)); }
uvec2 columns(uint g, uint u) { return uvec2(8 * u, 8 * u + 4); }
#endif

// Where the trailer of a part of halves is (SPEC.md, 14.4).
uint64_t trailer_of(Part part, uint row_bytes) { return part.at + (uint64_t(part.rows) * row_bytes + 3 & ~uint64_t(3)); }

// Bytes of a row of `k` columns.
uint row_bytes_of(uint k) {
#ifdef PLAIN
  return k * PLAIN;
#else
  return k / BLOCK * BLOCK_BYTES;
#endif
}
