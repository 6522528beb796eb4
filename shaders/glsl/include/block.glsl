// Stored blocks, eight weights at a time. A row is a run of blocks; a block is GROUPS scale groups of UNITS units;
// a unit decodes to two vec4 at the columns `columns(group, unit)` of its block. Plain types have blocks too, of
// 32 elements; a row need not end with a whole one. Layouts: format-spec/src/dequant.

struct Scale { vec2 d; vec2 m; };  // w = q * d + m, x for the unit's first vec4 and y for its second

U32s words(uint64_t block) { return U32s(block); }
uint u16_at(uint64_t block, uint at) { return uint(U16s(block + at).at[0]); }
// A 32-bit word of a block that is aligned to two bytes only.
uint word_at(uint64_t block, uint at) {
  U16s p = U16s(block + at);
  return uint(p.at[0]) | uint(p.at[1]) << 16;
}
uint byte_at(uint64_t block, uint at) { return u16_at(block, at & ~1u) >> 8 * (at & 1) & 255; }
// The bytes of a word in the lowest bits, with what is above them.
ivec4 shifted_bytes(uint w) { return ivec4(w, w >> 8, w >> 16, w >> 24); }
ivec4 low_nibbles_i(uint w) { return shifted_bytes(w) & 15; }
ivec4 high_nibbles_i(uint w) { return low_nibbles_i(w >> 4); }
vec4 low_nibbles(uint w) { return vec4(low_nibbles_i(w)); }
vec4 high_nibbles(uint w) { return vec4(high_nibbles_i(w)); }
// Four nibbles with a fifth bit each; bit i of `high` belongs to nibble i.
vec4 with_fifth(ivec4 nibbles, uint high) { return vec4(nibbles | ivec4(high << 4, high << 3, high << 2, high << 1) & 16); }

#include "block_plain.glsl"
#include "block_legacy.glsl"
#include "block_k.glsl"
#include "block_four_bit.glsl"
#include "block_ternary.glsl"
#include "block_i.glsl"

// Some types look numbers up in a table, which a workgroup copies before it decodes to where every invocation reads its own number
// at once.
#ifdef TABLED
void load_table() {
  int all[TABLE.length()] = TABLE;  // once: a constant that is indexed is written out again at every use
  for (uint i = gl_LocalInvocationIndex; i < TABLE.length(); i += gl_WorkGroupSize.x) table[i] = all[i];
  barrier();
}
#else
void load_table() {}
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
