// Packed weights: the codecs p12 and p11 of SPEC.md, computed on as they are; what they keep apart: exceptions.glsl.
//
// A tile is 32 rows (the last of a part 4P). Its columns come in chunks of 128 (the last 32C). A unit is 32 weights of one row in
// WORDS words; those of the rows p + P t, t = 0..3, lie side by side in a uvec4, so that a load of x serves four rows. Slot
// p C + s of a chunk has the columns 4 s + 4 C q + j of it.

#if defined(CODEC_P12)
const uint WORDS = 12;
const uint PREFIX = 0;
const int BIAS = 112;        // weight = field * 2^(base - BIAS)
#elif defined(CODEC_P11)
const uint WORDS = 11;
const uint PREFIX = 0x20002000;
const int BIAS = 120;
#endif

// Pair `i` of a unit: two fields, which are f16 numbers, of each of four rows.
uvec4 pair(const uvec4 w[WORDS], uint i) {
#if defined(CODEC_P12)
  if (i < 12) return w[i] & 0xBFF8BFF8u;
  const uint k = i - 12;
  uvec4 v = (w[k] << 3) & 0x00380038u;
  v |= (w[4 + k] << 6) & 0x01C001C0u;
  v |= (w[8 + k] << 9) & 0x0E000E00u;
  v |= (w[k] << 1) & 0x80008000u;
  v |= (w[4 + k] >> 1) & 0x20002000u;
  v |= (w[8 + k] >> 2) & 0x10001000u;
  return v;
#elif defined(CODEC_P11)
  if (i < 11) return (w[i] & 0x9FF89FF8u) | PREFIX;
  const uint k = i - 11;
  const uint sign = k < 3 ? 15 - k : 5 - k;  // the bit of w[10] is 15 - sign: 0, 1, 2, 13, 14
  uvec4 v = ((w[k] << 3) & 0x00380038u) | PREFIX;
  v |= (w[5 + k] << 6) & 0x01C001C0u;
  v |= (w[k] >> 2) & 0x18001800u;
  v |= (w[5 + k] >> 4) & 0x06000600u;
  v |= (w[10] << sign) & 0x80008000u;
  return v;
#endif
}

// Where the pieces of a part are.
struct Packed {
  uint64_t blocks;
  uint64_t trailer;   // base, three zeros
  Lists lists;
  uint coded;         // columns that are coded, a multiple of 32
};

Packed packed_at(uint64_t at, uint rows, uint columns) {
  Packed p;
  p.coded = columns & ~31u;
  p.blocks = at;
  p.trailer = at + uint64_t((rows + 3) / 4) * (p.coded / 32) * (WORDS * 16);
  p.lists = lists_at(p.trailer, rows, p.coded);
  return p;
}

// A lane's words of a chunk.
void load(out uvec4 w[WORDS], uint64_t chunk, uint slots, uint slot) {
  U32x4s words = U32x4s(chunk);
  [[unroll]] for (uint i = 0; i < WORDS; i++) w[i] = words.at[i * slots + slot];
}

// Column slots of chunk `c`: 4, fewer in the last, none beyond it.
uint columns_of(Packed p, uint c) { return 128 * c < p.coded ? min(4, p.coded / 32 - 4 * c) : 0; }

float scale_of_base(uint base) { return uintBitsToFloat(uint(int(base) - BIAS + 127) << 23); }
// What an exception's field adds, and has to be taken back.
float nothing_of_base(uint base) { return PREFIX == 0 ? 0.0 : scale_of_base(base) * 0.0078125; }

vec4 only(uint i, float v) { return vec4(i == 0 ? v : 0.0, i == 1 ? v : 0.0, i == 2 ? v : 0.0, i == 3 ? v : 0.0); }

// Weight `k` of those of a row that are beyond the coded columns, of which there are `tail` a row: stored as in the source.
float tail_weight(Packed at, uint rows, uint row, uint k, uint tail) {
  const uint entry = SOURCE == 2 ? 8 : 4, lists = (rows + 31) / 32 * at.lists.windows, i = row * tail + k;
  const uint64_t rest = at.lists.entries + uint64_t(U32s(at.lists.first).at[lists]) * entry;
  return from_source(SOURCE == 2 ? U32s(rest).at[i] : uint(U16s(rest).at[i]));
}
