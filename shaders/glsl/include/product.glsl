// What every matrix product is told, and the part that a workgroup works on.

layout(constant_id = 20) const bool EXPERTS = false;  // parts are [experts][part_count], each group of rows has an expert of its own

layout(push_constant) uniform Args {
  U64s packs;       // pack table
  U32s parts;       // parts of the operation
  uint64_t x;       // [tokens rounded up to TOKENS][x_stride] f32
  F32sOut y;        // [tokens][y_stride] f32
  uint part_count;
  uint columns_;
  uint tokens;
  uint x_stride;    // a multiple of 4
  uint y_stride;
  uint add;         // 1: y += instead of y =
  uint64_t halves;  // matmul_matrix.comp: x, as split.comp has made it; matmul.comp: the grid of types that refer to one
  U32s experts;     // of each group_rows rows of x and y
  uint group_rows;
} a;

const uint NOBODY = 0xFFFFFFFFu;  // for an expert: these rows are not computed

// The part that has tile `tile` of the rows that start with `first`, tiles being of `rows` rows. It has no rows where there is none:
// experts may differ in their tiles, and in the kernels that their parts are for. Nothing is read of experts that are not asked for.
Part part_of(uint tile, uint first, uint rows) {
  if (!EXPERTS) return find_part(a.packs, a.parts, a.part_count, tile);
  const uint expert = a.experts.at[first / a.group_rows];
  if (expert != NOBODY) for (uint i = expert * a.part_count; i < (expert + 1) * a.part_count; i++) {
    const uint before = a.parts.at[5 * i + 4];
    if (tile >= before && (tile - before) * rows < a.parts.at[5 * i + 2]) return part_at(a.packs, a.parts, i);
  }
  return Part(0, 0, 0, 0);
}

void write(uint t, uint r, float v) {
  if (t < a.tokens) {
    const uint i = t * a.y_stride + r;
    a.y.at[i] = a.add == 1 ? a.y.at[i] + v : v;
  }
}
