// Numbers of 8 bits, which have factors (scales.glsl).
#define SCALED
#ifdef DTYPE_F8_E4M3
// As f16 numbers, whose bias is 2^8 times as much: exact, those below the normal ones too.
const float UNIT = 256.0;
uint halves(uint two) { return (two & 0x00800080u) << 8 | (two & 0x007F007Fu) << 7; }
#else
const float UNIT = 1.0;
uint halves(uint two) { return two << 8; }
#endif

// Four bytes, in units of UNIT.
vec4 float8s(uint w) {
  const vec2 even = unpackHalf2x16(halves(w & 0x00FF00FFu)), odd = unpackHalf2x16(halves(w >> 8 & 0x00FF00FFu));
  vec4 v = vec4(even.x, odd.x, even.y, odd.y);
#ifdef DTYPE_F8_E4M3
  // NaN is where all but the sign are ones
  const uint nan = (w & 0x7F7F7F7Fu) + 0x01010101u & 0x80808080u;
  if (nan != 0) v = mix(v, vec4(uintBitsToFloat(0x7FC00000u)), notEqual(uvec4(nan, nan >> 8, nan >> 16, nan >> 24) & 0x80u, uvec4(0)));
#endif
  return v;
}
