// The KV cache of one layer: K, then V, each [kv heads][capacity][head size], in f16 or f32.
layout(constant_id = 1) const uint KV_BYTES = 2;

// Four consecutive elements from element `at`, a multiple of 4.
vec4 kv_load(uint64_t cache, uint64_t at) {
  if (KV_BYTES == 4) return F32x4s(cache + at * 4).at[0];
  const uvec2 w = U32x2s(cache + at * 2).at[0];
  return vec4(unpackHalf2x16(w.x), unpackHalf2x16(w.y));
}

// To the nearest f16, ties to even; packHalf2x16 alone may truncate. Values below the normal range of f16 still may.
float nearest_half(float v) {
  const uint b = floatBitsToUint(v);
  return uintBitsToFloat((b + 0xFFFu + (b >> 13 & 1u)) & ~0x1FFFu);
}

void kv_store(uint64_t cache, uint64_t at, float v) {
  if (KV_BYTES == 4) F32sOut(cache + at * 4).at[0] = v;
  else U16sOut(cache + at * 2).at[0] = uint16_t(packHalf2x16(vec2(nearest_half(v), 0.0)));
}
