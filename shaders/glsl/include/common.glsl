// What every kernel shares: extensions, typed views of an address, the pack table.
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_EXT_shader_16bit_storage : require
#extension GL_EXT_shader_8bit_storage : require
#extension GL_EXT_shader_explicit_arithmetic_types_int64 : require
#extension GL_EXT_shader_explicit_arithmetic_types_int16 : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_arithmetic : require
#extension GL_KHR_shader_subgroup_ballot : require
#extension GL_KHR_shader_subgroup_shuffle : require

layout(local_size_x_id = 0) in;

// The lanes of a subgroup are one instruction wide, as on a CPU. Set for every kernel by the device (IN_STEP in pipeline.rs).
layout(constant_id = 31) const bool IN_STEP = false;

// What the lanes of a subgroup have written to shared memory is there for all of them. Lavapipe of Mesa 25.0
// seems to take a control barrier of a subgroup for the workgroup's, and goes wrong where not every subgroup comes to it.
#define LANES_MEET { if (IN_STEP) subgroupMemoryBarrierShared(); else subgroupBarrier(); }

layout(buffer_reference, std430, buffer_reference_align = 2) readonly buffer U16s { uint16_t at[]; };
layout(buffer_reference, std430, buffer_reference_align = 4) readonly buffer U32s { uint at[]; };
layout(buffer_reference, std430, buffer_reference_align = 8) readonly buffer U64s { uint64_t at[]; };
layout(buffer_reference, std430, buffer_reference_align = 8) readonly buffer U32x2s { uvec2 at[]; };
layout(buffer_reference, std430, buffer_reference_align = 16) readonly buffer U32x4s { uvec4 at[]; };
layout(buffer_reference, std430, buffer_reference_align = 4) readonly buffer F32s { float at[]; };
layout(buffer_reference, std430, buffer_reference_align = 16) readonly buffer F32x4s { vec4 at[]; };
layout(buffer_reference, std430, buffer_reference_align = 4) buffer F32sOut { float at[]; };
layout(buffer_reference, std430, buffer_reference_align = 16) buffer F32x4sOut { vec4 at[]; };
layout(buffer_reference, std430, buffer_reference_align = 4) writeonly buffer U32sOut { uint at[]; };
layout(buffer_reference, std430, buffer_reference_align = 2) writeonly buffer U16sOut { uint16_t at[]; };
layout(buffer_reference, std430, buffer_reference_align = 16) writeonly buffer U32x4sOut { uvec4 at[]; };

// Rows of one tensor inside a pack.
struct Part {
  uint64_t at;      // where they are
  uint rows;        // rows here
  uint first_row;   // the first of them, as a row of the operation's output
  uint first_tile;  // tiles (workgroups) of the operation before this part
};

// Record `i` of a part table (args.rs): pack, offset in it, and the last three of Part.
Part part_at(U64s packs, U32s parts, uint i) {
  const uint p = 5 * i;
  return Part(packs.at[parts.at[p]] + parts.at[p + 1], parts.at[p + 2], parts.at[p + 3], parts.at[p + 4]);
}

// The number of the part that tile number `tile` works on.
uint find_part_index(U32s parts, uint count, uint tile) {
  uint i = 0;
  for (uint from = 0; from < count; from += gl_SubgroupSize) {
    const uint mine = from + gl_SubgroupInvocationID;
    i += subgroupBallotBitCount(subgroupBallot(mine < count && tile >= parts.at[5 * min(mine, count - 1) + 4]));
  }
  return max(1, i) - 1;
}

// That part. Where a subgroup is small, a few are looked through one by one; of many, each lane looks at some.
Part find_part(U64s packs, U32s parts, uint count, uint tile) {
  uint i = 0;
  if (gl_SubgroupSize >= 16) {
    if (count == 1) return part_at(packs, parts, 0);
  } else if (count <= 4) {
    while (i + 1 < count && tile >= parts.at[5 * i + 9]) i++;
    return part_at(packs, parts, i);
  }
  if (count <= gl_SubgroupSize) {
    const Part mine = part_at(packs, parts, min(gl_SubgroupInvocationID, count - 1));
    const bool before = gl_SubgroupInvocationID < count && tile >= mine.first_tile;
    i = max(1, subgroupBallotBitCount(subgroupBallot(before))) - 1;
    const uvec2 at = uvec2(mine.at, mine.at >> 32);
    return Part(uint64_t(subgroupShuffle(at.y, i)) << 32 | subgroupShuffle(at.x, i), subgroupShuffle(mine.rows, i),
                subgroupShuffle(mine.first_row, i), subgroupShuffle(mine.first_tile, i));
  }
  return part_at(packs, parts, find_part_index(parts, count, tile));
}

float half_to_float(uint bits) { return unpackHalf2x16(bits).x; }

// Bytes that split.comp makes of eight tokens of `columns` columns.
uint64_t split_bytes(uint columns) { return uint64_t((columns + 127) / 128) * 4096 + 32; }
