// y[t][r] = sum_k w[r][k] x[t][k] over the parts of one operation, wherever they lie.
layout(constant_id = 1) const uint TOKENS = 1;      // tokens a workgroup
layout(constant_id = 2) const uint ROWS = 1;        // rows a subgroup
layout(constant_id = 3) const bool ACCUMULATE = false;  // y += instead of y =

layout(push_constant) uniform Args {
  U64s packs;      // pack table
  U32s parts;      // parts of the operation
  uint64_t x;      // [tokens rounded up to TOKENS][x_stride] f32
  F32sOut y;       // [tokens][y_stride] f32
  uint part_count;
  uint columns_;
  uint tokens;
  uint x_stride;   // a multiple of 4
  uint y_stride;
} a;

void write(uint t, uint r, float v) {
  if (t < a.tokens) {
    const uint i = t * a.y_stride + r;
    a.y.at[i] = ACCUMULATE ? a.y.at[i] + v : v;
  }
}
