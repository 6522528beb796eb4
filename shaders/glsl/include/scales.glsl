// Factors of weights of 8 bits (SPEC.md, 7.1): a table says where those of each tensor of a product are.
#ifdef SCALED
#include "vector.glsl"

layout(constant_id = 5) const uint SCALES = 0;  // args.rs: how they are spread
const uint OF_ROWS = 0, OF_TILE = 1;

// Those of one tensor.
struct Factors { uvec2 at; uint first_row; uint rows; uint columns; uint across; };

// Record 0 and on of `group` that has row `row` (args.rs, ScaleArgs).
Factors factors_of(U32s table, uint group, uint row) {
  const uint count = table.at[0];
  uint p = 1 + 6 * group * count;
  for (uint i = 1; i < count && row >= table.at[p + 8]; i++) p += 6;
  return Factors(uvec2(table.at[p], table.at[p + 1]), table.at[p + 2], table.at[p + 3], table.at[p + 4], table.at[p + 5]);
}

// The first of a row.
uint first_factor(Factors f, uint row) { return (row - f.first_row) / f.rows * f.across; }

// What a number of the first column is multiplied by, times what `decode` leaves out.
float factor(U64s packs, Factors f, uint first, uint column) {
  return weight(packs, f.at, first + (column >> f.columns)) * UNIT;
}
#endif
