// What every matrix product is told, and the part that a workgroup works on. A product of one token may take on what lies between it
// and the next: the ends of an RMSNorm (arXiv 1910.07467), and a gate.
#include "vector.glsl"

layout(constant_id = 20) const bool EXPERTS = false;   // parts are [experts][part_count], each group of rows has an expert of its own
layout(constant_id = 21) const uint ACTIVATION = 0;
#include "activation.glsl"

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
  uint squares_count;
  uint64_t squares; // [squares_count] f32: the sum of squares of a workgroup's rows of y, or of what has become x
  F32sOut begun;    // [rows] f32: y times the weights of its norm
  uvec2 norm;       // vector: those weights
  float norm_offset;
  float eps;
  uint fused;       // what else a product of one token does: bits as below
} a;

const uint BEGINS = 1;  // y is normed next: its rows times the norm's weights are left too, and squares
const uint ENDS = 2;    // x is what a product that begins a norm has left: what is missing is one factor
const uint GATED = 4;   // parts are [2][part_count], y = activation(W x) * (V x)

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

// The parts of W and V.
void parts_of(uint tile, out Part w, out Part v) {
  const uint i = find_part_index(a.parts, a.part_count, tile);
  w = part_at(a.packs, a.parts, i);
  v = part_at(a.packs, a.parts, i + a.part_count);
}

bool is_gated() { return (a.fused & GATED) != 0; }

// What x lacks; for whole subgroups.
float factor_of_x() {
  if ((a.fused & ENDS) == 0) return 1.0;
  float sum = 0.0;
  for (uint i = gl_SubgroupInvocationID; i < a.squares_count; i += gl_SubgroupSize) sum += F32s(a.squares).at[i];
  return 1.0 / sqrt(subgroupAdd(sum) / float(a.columns_) + a.eps);
}

float written(uint i, float v) {
  if (a.add == 1) v += a.y.at[i];
  a.y.at[i] = v;
  return v;
}

void write(uint t, uint r, float v) {
  if (t < a.tokens) written(t * a.y_stride + r, v);
}

// Writes a row of y and begins its norm; the square of what is there then is added up.
void write_row(uint t, uint r, float v, inout float squares) {
  if (t >= a.tokens) return;
  v = written(t * a.y_stride + r, v);
  if ((a.fused & BEGINS) != 0) {
    squares = fma(v, v, squares);
    a.begun.at[r] = v * (weight(a.packs, a.norm, r) + a.norm_offset);
  }
}

// Leaves what the lanes of one subgroup of a workgroup have added up.
void leave(float squares) {
  if ((a.fused & BEGINS) == 0) return;
  squares = subgroupAdd(squares);
  if (subgroupElect()) F32sOut(a.squares).at[gl_WorkGroupID.x] = squares;
}
