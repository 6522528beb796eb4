// A row of the KV cache, from what the kernel has of it in `staged`, which takes on what can be read back.

// Bytes and their scales.
void store_bytes(uint64_t at, uint from) {
  for (uint b = gl_SubgroupInvocationID; b < KV_BLOCKS; b += gl_SubgroupSize) {
    const uint begin = b * KV_BLOCK, end = min(begin + KV_BLOCK, HEAD_DIM);
    float most = 0.0;
    for (uint d = begin; d < end; d++) most = max(most, abs(staged[from + d]));
    const float scale = nearest_half(most / 127.0);
    const float inverse = scale == 0.0 ? 0.0 : 1.0 / scale;
    for (uint d = begin; d < end; d += 4) {
      uint w = 0;
      for (uint e = 0; e < 4; e++) {
        const int q = int(clamp(round(staged[from + d + e] * inverse), -127.0, 127.0));
        staged[from + d + e] = scale * float(q);
        w |= (uint(q) & 255u) << (8 * e);
      }
      U32sOut(at + d).at[0] = w;
    }
    U16sOut(at + HEAD_DIM).at[b] = uint16_t(packHalf2x16(vec2(scale, 0.0)));
  }
}
