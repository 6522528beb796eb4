// Types of one element a block.
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

#elif defined(DTYPE_F8_E4M3) || defined(DTYPE_F8_E5M2)
const uint BLOCK = 32, BLOCK_BYTES = 32, GROUPS = 1, UNITS = 4;
#define PLAIN 1
#include "float8.glsl"
float element(uint64_t row, uint k) {
  const uint64_t at = row + k;
  return float8s(uint(U16s(at & ~uint64_t(1)).at[0]) >> 8 * (uint(at) & 1) & 255).x;
}
void decode(uint64_t block, uint g, uint u, Scale s, out vec4 a, out vec4 b) {
  const uvec2 w = U32x2s(block).at[u];
  a = float8s(w.x);
  b = float8s(w.y);
}
#endif

#ifdef PLAIN
Scale scale_of(uint64_t block, uint g) { return Scale(vec2(1.0), vec2(0.0)); }
uvec2 columns(uint g, uint u) { return uvec2(8 * u, 8 * u + 4); }
#endif
