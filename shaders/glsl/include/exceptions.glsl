// Weights that a coded part keeps apart, because its fields cannot hold them: lists in its trailer, one a tile of 32 rows and a
// window of columns (SPEC.md, 14.2).

layout(constant_id = 4) const uint SOURCE = 3;  // how they are stored: 0 bf16, 1 f16, 2 f32; 3: there are none
const uint NONE = 3;
const uint WINDOW = 2048;                       // columns of a list

float from_source(uint bits) {
  if (SOURCE == 0) return uintBitsToFloat(bits << 16);
  if (SOURCE == 1) return half_to_float(bits);
  return uintBitsToFloat(bits);
}

// Where the pieces of a trailer are.
struct Lists {
  uint64_t first;     // first[list]: exceptions before it
  uint64_t starts;    // starts[list][8]: of its exceptions, those before each p
  uint64_t entries;
  uint windows;       // lists a tile
};

// The trailer starts with 16 bytes that are the codec's.
Lists lists_at(uint64_t trailer, uint rows, uint columns) {
  Lists l;
  l.windows = (columns + WINDOW - 1) / WINDOW;
  const uint lists = (rows + 31) / 32 * l.windows;
  l.first = trailer + 16;
  l.starts = l.first + 4 * (lists + 1);
  l.entries = l.starts + 16 * lists;
  return l;
}

// Where a row is: row p + run t of its tile.
struct Strip { uint tile; uint run; uint p; uint t; };

Strip strip_of(uint row, uint rows) {
  const uint tile = row / 32, run = min(8, (rows - 32 * tile + 3) / 4);
  return Strip(tile, run, row % 32 % run, row % 32 / run);
}

struct Exception { uint t; uint column; float weight; };

Exception exception_at(uint64_t entries, uint i, uint window) {
  uint place, bits;
  if (SOURCE == 2) {
    place = U32s(entries).at[2 * i];
    bits = U32s(entries).at[2 * i + 1];
  } else {
    const uint e = U32s(entries).at[i];
    place = e & 0xFFFFu;
    bits = e >> 16;
  }
  return Exception(place >> 14, window * WINDOW + (place & (WINDOW - 1)), from_source(bits));
}

// The exceptions of rows p + run t of a tile in a window: first and end, as numbers of entries.
uvec2 exceptions_of(Lists at, uint tile, uint window, uint p) {
  const uint list = tile * at.windows + window, from = U32s(at.first).at[list];
  U16s starts = U16s(at.starts + 16 * uint64_t(list));
  return uvec2(from + uint(starts.at[p]), p < 7 ? from + uint(starts.at[p + 1]) : U32s(at.first).at[list + 1]);
}

// Writes the exceptions of a row over what the workgroup has put into their places.
void put_exceptions(Lists at, Strip strip, F32sOut x) {
  memoryBarrierBuffer();
  barrier();
  for (uint window = 0; window < at.windows; window++) {
    const uvec2 run = exceptions_of(at, strip.tile, window, strip.p);
    for (uint i = run.x + gl_LocalInvocationID.x; i < run.y; i += gl_WorkGroupSize.x) {
      const Exception e = exception_at(at.entries, i, window);
      if (e.t == strip.t) x.at[e.column] = e.weight;
    }
  }
}
