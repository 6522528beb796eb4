//! The logical device: what every other object here is made from and outlived by.

use std::ffi::CString;

use ash::{ext, vk};

use super::error::{During, GpuError};
use super::instance::Instance;
use super::physical_device::PhysicalDevice;

/// Bytes of push constants that a kernel can have: what Vulkan 1.2 promises on every device.
pub const PUSH_BYTES: u32 = 128;

/// A logical device and the one pipeline layout that serves every kernel: push constants and no descriptors.
pub(super) struct LogicalDevice {
    pub(super) raw: ash::Device,
    pub(super) layout: vk::PipelineLayout,
    pub(super) physical: PhysicalDevice,
    debug: Option<ext::debug_utils::Device>,
    // Declared last: an instance outlives its devices.
    pub(super) instance: Instance,
}

impl LogicalDevice {
    /// Opens `physical` with its queues and all the optional features that it has.
    pub(super) fn new(instance: Instance, physical: PhysicalDevice) -> Result<Self, GpuError> {
        let priority = [1.0];
        let queue_info =
            |family| vk::DeviceQueueCreateInfo::default().queue_family_index(family).queue_priorities(&priority);
        let families = [Some(physical.queues.compute), physical.queues.transfer];
        let queue_infos: Vec<_> = families.into_iter().flatten().map(queue_info).collect();
        let extensions: Vec<_> = physical.extensions.iter().map(|name| name.as_ptr()).collect();
        let raw = physical.info.features.switched_on(|features| {
            let create = vk::DeviceCreateInfo::default()
                .queue_create_infos(&queue_infos)
                .enabled_extension_names(&extensions)
                .push_next(features);
            // SAFETY: the physical device comes from this instance and lists all these features and extensions; what
            // `create` points at outlives the call.
            unsafe { instance.raw.create_device(physical.handle, &create, None) }
        });
        let raw = raw.during("opening the device")?;
        let debug = instance.validates().then(|| ext::debug_utils::Device::new(&instance.raw, &raw));
        let mut device = Self { raw, layout: vk::PipelineLayout::null(), physical, debug, instance };

        let range = [vk::PushConstantRange { stage_flags: vk::ShaderStageFlags::COMPUTE, offset: 0, size: PUSH_BYTES }];
        let create = vk::PipelineLayoutCreateInfo::default().push_constant_ranges(&range);
        // SAFETY: the device is alive, and the range lies in what every device has room for.
        device.layout =
            unsafe { device.raw.create_pipeline_layout(&create, None) }.during("creating the pipeline layout")?;
        Ok(device)
    }

    /// Gives `object` a name for the validation layer's messages.
    pub(super) fn name<H: vk::Handle>(&self, object: H, name: &str) {
        let (Some(debug), Ok(name)) = (&self.debug, CString::new(name)) else { return };
        let info = vk::DebugUtilsObjectNameInfoEXT::default().object_handle(object).object_name(&name);
        // SAFETY: the object belongs to this device and no other thread uses it yet. A failed naming changes nothing.
        let _ = unsafe { debug.set_debug_utils_object_name(&info) };
    }
}

impl Drop for LogicalDevice {
    fn drop(&mut self) {
        // SAFETY: every object made from the device holds it, so all are gone, and with them all pending work.
        unsafe {
            self.raw.destroy_pipeline_layout(self.layout, None);
            self.raw.destroy_device(None);
        }
    }
}
