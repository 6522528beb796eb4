// The KV cache of one layer: K, then V, each [kv heads][capacity] rows of HEAD_DIM elements, those of V of VALUE_DIM: f32, f16, or bytes
// q with an f16 scale d for every 32 of them, q d; a row of bytes is followed by its scales.
layout(constant_id = 1) const uint KV_BYTES = 2;   // of an element: 4, 2 or 1
layout(constant_id = 2) const uint HEAD_DIM = 64;  // a multiple of 4, at most 256
layout(constant_id = 7) const uint VALUES = 0;     // VALUE_DIM likewise, or 0: HEAD_DIM
const uint VALUE_DIM = VALUES == 0 ? HEAD_DIM : VALUES;

const uint KV_BLOCK = 32;
uint kv_blocks(uint dims) { return (dims + KV_BLOCK - 1) / KV_BLOCK; }
// Bytes of a row of `dims` elements.
uint kv_row(uint dims) { return KV_BYTES == 1 ? (dims + 2 * kv_blocks(dims) + 3) / 4 * 4 : dims * KV_BYTES; }

// Elements d to d + 3 of a row of `dims`; d is a multiple of 4.
vec4 kv_load(uint64_t cache, uint row, uint d, uint dims) {
  const uint64_t at = cache + uint64_t(row) * kv_row(dims);
  if (KV_BYTES == 4) return F32x4s(at + d * 4).at[0];
  if (KV_BYTES == 2) {
    const uvec2 w = U32x2s(at + d * 2).at[0];
    return vec4(unpackHalf2x16(w.x), unpackHalf2x16(w.y));
  }
  const uint w = U32s(at + d).at[0];
  const float scale = half_to_float(uint(U16s(at + dims).at[d / KV_BLOCK]));
  return scale * vec4(ivec4(w << 24, w << 16, w << 8, w) >> 24);
}

// To the nearest f16, ties to even; packHalf2x16 alone may truncate. Values below the normal range of f16 still may.
float nearest_half(float v) {
  const uint b = floatBitsToUint(v);
  return uintBitsToFloat((b + 0xFFFu + (b >> 13 & 1u)) & ~0x1FFFu);
}

// One element, of two or four bytes.
void kv_store(uint64_t cache, uint row, uint d, float v, uint dims) {
  const uint64_t at = cache + uint64_t(row) * kv_row(dims);
  if (KV_BYTES == 4) F32sOut(at + d * 4).at[0] = v;
  else U16sOut(at + d * 2).at[0] = uint16_t(packHalf2x16(vec2(nearest_half(v), 0.0)));
}
