// Sum and maximum over a workgroup of one or more subgroups. MANY = false leaves no barrier in the kernel.
layout(constant_id = 1) const bool MANY = false;
shared float partial[64];

float workgroup_sum(float v) {
  v = subgroupAdd(v);
  if (!MANY) return v;
  if (subgroupElect()) partial[gl_SubgroupID] = v;
  barrier();
  float s = 0.0;
  for (uint i = 0; i < gl_NumSubgroups; i++) s += partial[i];
  return s;
}

float workgroup_max(float v) {
  v = subgroupMax(v);
  if (!MANY) return v;
  if (subgroupElect()) partial[gl_SubgroupID] = v;
  barrier();
  float m = partial[0];
  for (uint i = 1; i < gl_NumSubgroups; i++) m = max(m, partial[i]);
  return m;
}
