// Vectors of weights: norms and biases. A reference is (pack, place): the place has the offset in the pack, in bytes, in its lower
// 30 bits, and how the vector is stored above them: 0 f32, 1 f16, 2 bf16.
#ifndef VECTOR
#define VECTOR
const uint ABSENT = 0xFFFFFFFFu;  // for a pack: there is no vector

float weight(U64s packs, uvec2 v, uint k) {
  const uint64_t at = packs.at[v.x] + (v.y & 0x3FFFFFFFu);
  const uint type = v.y >> 30;
  if (type == 0) return F32s(at).at[k];
  const uint bits = uint(U16s(at).at[k]);
  return type == 2 ? uintBitsToFloat(bits << 16) : half_to_float(bits);
}

// 0 where there is none.
float bias_at(U64s packs, uvec2 v, uint k) { return v.x == ABSENT ? 0.0 : weight(packs, v, k); }
#endif
