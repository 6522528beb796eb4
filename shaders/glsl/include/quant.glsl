// Pieces of stored blocks, each a lane's: a run of a row is read as it lies, in units of 16 bytes, and multiplied by what a lane
// keeps of x. A piece is PIECE columns, one or more groups that have a scale. Layouts: format-spec/src/dequant.rs.

#if defined(DTYPE_Q8_0)
#define STAGED
const uint BLOCK = 32, BLOCK_BYTES = 34, PIECE = 32;
#elif defined(DTYPE_Q4_0)
#define STAGED
const uint BLOCK = 32, BLOCK_BYTES = 18, PIECE = 32;
#elif defined(DTYPE_Q4_K)
const uint BLOCK = 256, BLOCK_BYTES = 144, PIECE = 64, LOADS = 3;
#elif defined(DTYPE_Q5_K)
const uint BLOCK = 256, BLOCK_BYTES = 176, PIECE = 64, LOADS = 5;
#elif defined(DTYPE_Q6_K)
#define STAGED
const uint BLOCK = 256, BLOCK_BYTES = 210, PIECE = 64;
#elif defined(DTYPE_F8_E4M3) || defined(DTYPE_F8_E5M2)
#include "float8.glsl"
const uint BLOCK = 16, BLOCK_BYTES = 16, PIECE = 16, LOADS = 1;
#endif
const uint PIECES = BLOCK / PIECE;  // of a block; they divide every size of a subgroup

// The first column of the `pass`th 16 of a piece.
uint column(uint piece, uint pass) {
#ifdef DTYPE_Q6_K
  return 128 * (piece / 2) + 32 * pass + 16 * (piece % 2);
#else
  return PIECE * piece + 16 * pass;
#endif
}

// Two numbers below 1024, in halves of `bits`, less `zero`. No conversion of integers, which is slow on GPUs: in the mantissa of
// the f16 number 1024 they make 1024 + n, and what is subtracted then is subtracted exactly.
vec2 less(uint bits, float zero) { return vec2(unpackFloat2x16(bits | 0x64006400u) - f16vec2(1024.0 + zero)); }

// Of the four bytes of a word, those bits that are below `mask`, less `zero`.
vec4 bytes_less(uint w, uint mask, float zero) {
  mask |= mask << 16;
  return vec4(less(w & mask, zero), less(w >> 8 & mask, zero)).xzyw;
}

float sum_of(vec4 v) { return v.x + v.y + (v.z + v.w); }

#ifdef STAGED
// Blocks that are aligned to two bytes only go through shared memory. Parts are aligned, so that the units that a row touches begin
// no sooner than its part; they end up to 15 bytes after it.
const uint LOADS = ((LANES / PIECES * BLOCK_BYTES + 14 + 15) / 16 + LANES - 1) / LANES;
const uint STRIP = LOADS * LANES * 4;  // words
shared uint words[SUBGROUPS * DEPTH * STRIP];

// The units of `here` pieces that start at `strip`; the last one again where there are no more.
void fetch(out uvec4 raw[LOADS], uint64_t strip, uint here, uint lane) {
  const uint last = ((uint(strip) & 15) + here / PIECES * BLOCK_BYTES - 1) / 16;
  U32x4s units = U32x4s(strip & ~uint64_t(15));
  [[unroll]] for (uint i = 0; i < LOADS; i++) raw[i] = units.at[min(lane + i * LANES, last)];
}

uint strip_at(uint j) { return (gl_SubgroupID * DEPTH + j) * STRIP; }

void stage(uvec4 raw[LOADS], uint j, uint lane) {
  [[unroll]] for (uint i = 0; i < LOADS; i++) {
    const uint at = strip_at(j) + 4 * (lane + i * LANES);
    words[at] = raw[i].x; words[at + 1] = raw[i].y; words[at + 2] = raw[i].z; words[at + 3] = raw[i].w;
  }
}

// 32 bits of two words, from bit 0, 16 or 32 on. Faster than a shift of 64 bits.
uint both(uint low, uint high, uint shift) {
  const uint middle = low >> 16 | high << 16;
  return shift == 16 ? middle : shift == 0 ? low : high;
}
#else
// A lane's units of the block that its piece is in.
uvec4 unit_of(uint64_t strip, uint here, uint lane, uint i) {
  return U32x4s(strip + min(lane, here - 1) / PIECES * BLOCK_BYTES).at[i];
}
#endif

#if defined(DTYPE_Q8_0) || defined(DTYPE_Q4_0)
// A scale of two bytes, then words.
struct X { vec4 v[8]; };
X prepare(vec4 x[8]) {
  X p;
  // the upper nibbles stand for 16 times as much
  [[unroll]] for (uint i = 0; i < 8; i++) p.v[i] = BLOCK_BYTES == 18 && i >= 4 ? x[i] * 0.0625 : x[i];
  return p;
}
float product(uint j, uint offset, uint lane, X x) {
  const uint byte = offset + BLOCK_BYTES * lane, at = strip_at(j) + byte / 4, shift = 16 + 8 * (byte & 2);
  uint w = words[at];
  const float d = half_to_float(w >> (shift - 16));
  vec4 sum = vec4(0.0);
  [[unroll]] for (uint i = 0; i < BLOCK_BYTES / 4; i++) {
    const uint next = words[at + 1 + i], q = both(w, next, shift);
#ifdef DTYPE_Q8_0
    sum = fma(bytes_less(q ^ 0x80808080u, 0xFFu, 128.0), x.v[i], sum);
#else
    sum = fma(bytes_less(q, 0xFu, 8.0), x.v[i], sum);
    sum = fma(bytes_less(q, 0xF0u, 128.0), x.v[4 + i], sum);
#endif
    w = next;
  }
  return sum_of(sum) * d;
}

#elif defined(DTYPE_Q4_K) || defined(DTYPE_Q5_K)
// Numbers without a zero to subtract are taken as f16 denormals: exact, a unit of 2^-24, and nothing has to be subtracted.
vec2 small(uint bits) { return unpackHalf2x16(bits); }
// A piece is two sub-blocks of 32 columns that share their bytes: low nibbles are the first, high nibbles the second.
struct X { vec4 v[16]; vec2 sums; };
X prepare(vec4 x[16]) {
  X p;
  vec4 low = vec4(0.0), high = vec4(0.0);
  [[unroll]] for (uint i = 0; i < 16; i++) {
    if (i < 8) low += x[i]; else high += x[i];
    p.v[i] = x[i];
  }
  p.sums = vec2(sum_of(low), sum_of(high));
  return p;
}
void fetch(out uvec4 raw[LOADS], uint64_t strip, uint here, uint lane) {
  const uint g = lane % PIECES;
  raw[0] = unit_of(strip, here, lane, 0);
  [[unroll]] for (uint i = 0; i < 2; i++) {
    raw[1 + i] = unit_of(strip, here, lane, LOADS - 2 + 2 * g + i);
#ifdef DTYPE_Q5_K
    raw[3 + i] = unit_of(strip, here, lane, 1 + i);
#endif
  }
}
// Six-bit scales of a piece's two sub-blocks, and minima, in units of 2^-24.
void scales_of(uvec4 head, uint g, out vec2 scales, out vec2 mins) {
  const uint shift = 16 * (g & 1);
  const uint s = head.y >> shift, m = head.z >> shift, x = head.w >> shift;
  const uint a = g < 2 ? s & 0x3F3Fu : x & 0x0F0Fu | s >> 2 & 0x3030u;
  const uint b = g < 2 ? m & 0x3F3Fu : x >> 4 & 0x0F0Fu | m >> 2 & 0x3030u;
  scales = small(a & 0xFFu | (a & 0xFF00u) << 8);
  mins = small(b & 0xFFu | (b & 0xFF00u) << 8);
}
float product(uvec4 raw[LOADS], uint lane, X x) {
  const uint g = lane % PIECES;
  vec2 low = vec2(0.0), high = vec2(0.0);  // of even and odd columns; high: 16 times as much
  [[unroll]] for (uint i = 0; i < 8; i++) {
    const uint w = raw[1 + i / 4][i % 4];
#ifdef DTYPE_Q4_K
    const vec2 a = small(w & 0x000F000Fu), c = small(w & 0x00F000F0u);
    const vec2 b = small(w >> 8 & 0x000F000Fu), e = small(w >> 8 & 0x00F000F0u);
#else
    // the fifth bits: bits 2 g and 2 g + 1 of a byte
    const uint f = raw[3 + i / 4][i % 4] >> 2 * g;
    const vec2 a = small(w & 0x000F000Fu | f << 4 & 0x00100010u), c = small(w & 0x00F000F0u | f << 7 & 0x01000100u);
    const vec2 b = small(w >> 8 & 0x000F000Fu | f >> 4 & 0x00100010u), e = small(w >> 8 & 0x00F000F0u | f >> 1 & 0x01000100u);
#endif
    const vec4 u = x.v[i], v = x.v[8 + i];
    low = fma(vec2(a.x, b.x), u.xy, low);
    low = fma(vec2(a.y, b.y), u.zw, low);
    high = fma(vec2(c.x, e.x), v.xy, high);
    high = fma(vec2(c.y, e.y), v.zw, high);
  }
  vec2 scales, mins;
  scales_of(raw[0], g, scales, mins);
  const vec2 d = unpackHalf2x16(raw[0].x) * 16777216.0;
  const vec2 sums = vec2(low.x + low.y, (high.x + high.y) * 0.0625) * 16777216.0;
  return d.x * dot(scales, sums) - d.y * dot(mins, x.sums);
}

#elif defined(DTYPE_Q6_K)
// A piece is 16 columns of each quarter of half a block: 4 groups.
struct X { vec4 v[16]; };
X prepare(vec4 x[16]) {
  X p;
  [[unroll]] for (uint i = 0; i < 16; i++) p.v[i] = x[i];
  return p;
}
// Bits of `a` where `mask` has ones, of `b` where it has none.
uint mixed(uint mask, uint a, uint b) { return a & mask | b & ~mask; }
float product(uint j, uint offset, uint lane, X x) {
  const uint block = offset + BLOCK_BYTES * (lane / 4), shift = 8 * (block & 2), at = strip_at(j) + block / 4;
  const uint half_ = lane / 2 % 2, l = lane % 2;
  const uint low = at + 16 * half_ + 4 * l, high = at + 32 + 8 * half_ + 4 * l, s = at + 48 + 2 * half_;
  uint a = words[low], b = words[low + 8], c = words[high];
  vec4 sum = vec4(0.0);  // a group each
  [[unroll]] for (uint i = 0; i < 4; i++) {
    const uint a1 = words[low + i + 1], b1 = words[low + 8 + i + 1], c1 = words[high + i + 1];
    const uint p = both(a, a1, shift), q = both(b, b1, shift), h = both(c, c1, shift), m = 0x0F0F0F0Fu;
    const uint w[4] = {mixed(m, p, h << 4), mixed(m, q, h << 2), mixed(m, p >> 4, h), mixed(m, q >> 4, h >> 2)};
    [[unroll]] for (uint n = 0; n < 4; n++) {
      const vec4 f = bytes_less(w[n], 0x3Fu, 32.0), v = x.v[4 * n + i];
      sum[n] = fma(f.w, v.w, fma(f.z, v.z, fma(f.y, v.y, fma(f.x, v.x, sum[n]))));
    }
    a = a1; b = b1; c = c1;
  }
  const float d = half_to_float(words[at + 52] >> shift);
  const uint s0 = both(words[s], words[s + 1], shift), s1 = both(words[s + 1], words[s + 2], shift), left = 24 - 8 * l;
  const ivec4 scales = ivec4(s0 << left, s0 << (left - 16), s1 << left, s1 << (left - 16)) >> 24;
  return d * dot(vec4(scales), sum);
}

#elif defined(DTYPE_F8_E4M3) || defined(DTYPE_F8_E5M2)
struct X { vec4 v[4]; };
X prepare(vec4 x[4]) { return X(x); }
void fetch(out uvec4 raw[LOADS], uint64_t strip, uint here, uint lane) { raw[0] = unit_of(strip, here, lane, 0); }
float product(uvec4 raw[LOADS], uint lane, X x) {
  vec4 sum = vec4(0.0);
  [[unroll]] for (uint i = 0; i < 4; i++) sum = fma(float8s(raw[0][i]), x.v[i], sum);
  return sum_of(sum);
}
#endif
