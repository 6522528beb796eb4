// A row of the KV cache in bytes, out of shared memory: behind kv.glsl.
shared float staged[256];

// `dims` elements with their scales to `at`.
void store_bytes(uint64_t at, uint dims) {
  for (uint b = gl_SubgroupInvocationID; b < kv_blocks(dims); b += gl_SubgroupSize) {
    const uint begin = b * KV_BLOCK, end = min(begin + KV_BLOCK, dims);
    float most = 0.0;
    for (uint d = begin; d < end; d++) most = max(most, abs(staged[d]));
    const float scale = nearest_half(most / 127.0);
    const float inverse = scale == 0.0 ? 0.0 : 1.0 / scale;
    for (uint d = begin; d < end; d += 4) {
      uint w = 0;
      for (uint e = 0; e < 4; e++) w |= (uint(int(clamp(round(staged[d + e] * inverse), -127.0, 127.0))) & 255u) << (8 * e);
      U32sOut(at + d).at[0] = w;
    }
    U16sOut(at + dims).at[b] = uint16_t(packHalf2x16(vec2(scale, 0.0)));
  }
}
