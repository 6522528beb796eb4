//! Compute pipelines: a SPIR-V kernel, specialised and compiled by the driver.

use std::sync::Arc;

use ash::vk;

use super::error::{During, GpuError};
use super::logical_device::LogicalDevice;
use super::physical_device::DeviceKind;
use super::pipeline_cache::PipelineCache;

/// The first word of every SPIR-V module.
const SPIRV_MAGIC: u32 = 0x0723_0203;
/// The specialization constant that tells kernels whether the lanes of a subgroup are one instruction (`common.glsl`).
const IN_STEP: u32 = 31;

/// What a pipeline is made from. The entry point is `main`, and its arguments are push constants.
#[derive(Clone, Copy, Debug, Default)]
pub struct PipelineInfo<'a> {
    /// The name that errors and the validation layer call it by.
    pub name: &'a str,
    /// The SPIR-V module.
    pub spirv: &'a [u32],
    /// The values of specialization constants 0, 1, 2 and so on; those that the module lacks are ignored.
    pub constants: &'a [u32],
    /// The subgroup size that the kernel relies on, if it does.
    pub subgroup: Option<u32>,
}

/// A compute pipeline. Commands that use it keep it alive.
pub struct Pipeline {
    pub(super) handle: vk::Pipeline,
    name: String,
    device: Arc<LogicalDevice>,
}

impl Pipeline {
    /// The name that errors and the validation layer call it by.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn new(
        device: &Arc<LogicalDevice>,
        cache: &PipelineCache,
        info: &PipelineInfo<'_>,
    ) -> Result<Self, GpuError> {
        if info.spirv.first() != Some(&SPIRV_MAGIC) {
            return Err(GpuError::NotSpirv { pipeline: info.name.to_owned() });
        }
        let chosen_subgroup = required_subgroup(device, info)?;
        let failed = |what: &str| format!("{what} `{}`", info.name);

        let create = vk::ShaderModuleCreateInfo::default().code(info.spirv);
        // SAFETY: the words start like SPIR-V and come from the GLSL compiler, which writes valid modules.
        let module =
            unsafe { device.raw.create_shader_module(&create, None) }.during(&failed("loading the SPIR-V of"))?;
        let size = size_of::<u32>();
        let in_step = u32::from(device.physical.info.kind == DeviceKind::Cpu);
        let values: Vec<u32> = info.constants.iter().copied().chain([in_step]).collect();
        let mut entries: Vec<_> = (0_u32..)
            .zip(&values)
            .map(|(id, _)| vk::SpecializationMapEntry { constant_id: id, offset: id * u32::BITS / 8, size })
            .collect();
        entries.last_mut().into_iter().for_each(|last| last.constant_id = IN_STEP);
        let specialization =
            vk::SpecializationInfo::default().map_entries(&entries).data(bytemuck::cast_slice(&values));
        let mut required = vk::PipelineShaderStageRequiredSubgroupSizeCreateInfo::default();
        let mut stage = vk::PipelineShaderStageCreateInfo::default()
            .stage(vk::ShaderStageFlags::COMPUTE)
            .module(module)
            .name(c"main")
            .specialization_info(&specialization);
        if let Some(size) = chosen_subgroup {
            required = required.required_subgroup_size(size);
            stage = stage.push_next(&mut required);
        }
        // workgroups may be numbered from any base
        let flags = vk::PipelineCreateFlags::DISPATCH_BASE;
        let create = vk::ComputePipelineCreateInfo::default().flags(flags).stage(stage).layout(device.layout);
        // SAFETY: module, layout and cache belong to this device, and all that `create` points at outlives the call;
        // the module is not needed after it.
        let created = unsafe {
            let created = device.raw.create_compute_pipelines(cache.handle, &[create], None);
            device.raw.destroy_shader_module(module, None);
            created
        };
        let handle = match created {
            Ok(pipelines) => pipelines.first().copied().unwrap_or_default(),
            Err((_, result)) => return Err(GpuError::vulkan(failed("compiling"), result)),
        };
        device.name(handle, info.name);
        Ok(Self { handle, name: info.name.to_owned(), device: Arc::clone(device) })
    }
}

/// The subgroup size to ask the driver for: none if the kernel does not care or the device has just that one.
fn required_subgroup(device: &LogicalDevice, info: &PipelineInfo<'_>) -> Result<Option<u32>, GpuError> {
    let Some(wanted) = info.subgroup else { return Ok(None) };
    let about = &device.physical.info;
    let (min, max) = about.subgroup_range;
    if about.features.subgroup_size_control && wanted.is_power_of_two() && (min..=max).contains(&wanted) {
        return Ok(Some(wanted));
    }
    let fixed = !about.features.subgroup_size_control;
    if fixed && wanted == about.subgroup {
        return Ok(None);
    }
    Err(GpuError::SubgroupSize { pipeline: info.name.to_owned(), wanted, min, max, fixed })
}

impl std::fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Pipeline").field(&self.name).finish()
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        // SAFETY: commands that use the pipeline hold it until they are done, so none does any more.
        unsafe { self.device.raw.destroy_pipeline(self.handle, None) };
    }
}
