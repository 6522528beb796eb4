#version 460
// Which elements of 16x16 factors a lane holds: Vulkan leaves that to the device. One workgroup, one subgroup.
#pragma use_vulkan_memory_model
#include "common.glsl"
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require

layout(buffer_reference, std430, buffer_reference_align = 16) readonly buffer F16s { float16_t at[]; };

layout(push_constant) uniform Args {
  F16s numbered;  // [16][16] 0, 1, 2, ..
  F32sOut held;   // [2: left factor, right factor][32 lanes][8 elements], of each its number; left as it is where there are not eight
} a;

void main() {
  coopmat<float16_t, gl_ScopeSubgroup, 16, 16, gl_MatrixUseA> left;
  coopmat<float16_t, gl_ScopeSubgroup, 16, 16, gl_MatrixUseB> right;
  coopMatLoad(left, a.numbered.at, 0, 16, gl_CooperativeMatrixLayoutRowMajor);
  coopMatLoad(right, a.numbered.at, 0, 16, gl_CooperativeMatrixLayoutRowMajor);
  if (left.length() != 8 || right.length() != 8 || gl_SubgroupSize != 32) return;
  for (uint e = 0; e < 8; e++) {
    a.held.at[gl_SubgroupInvocationID * 8 + e] = float(left[e]);
    a.held.at[256 + gl_SubgroupInvocationID * 8 + e] = float(right[e]);
  }
}
