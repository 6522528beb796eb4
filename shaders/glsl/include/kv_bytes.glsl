// A row of the KV cache in bytes, out of shared memory: behind kv.glsl.
#ifndef STAGED_FLOATS
#define STAGED_FLOATS 256
#endif
shared float staged[STAGED_FLOATS];

// `dims` elements, staged from `from` on, with their scales to `at`. What can be read back stays staged.
void store_bytes(uint64_t at, uint dims, uint from) {
  for (uint b = gl_SubgroupInvocationID; b < kv_blocks(dims); b += gl_SubgroupSize) {
    const uint begin = b * KV_BLOCK, end = min(begin + KV_BLOCK, dims);
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
    U16sOut(at + dims).at[b] = uint16_t(packHalf2x16(vec2(scale, 0.0)));
  }
}
