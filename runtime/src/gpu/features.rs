//! Device features: the floor that every kernel relies on, and what kernels may use where it is there.

use ash::{ext, khr, vk};

use super::cooperative_matrix::{
    COOPERATIVE_MATRIX_SINCE, SHADER_BFLOAT16, SHADER_BFLOAT16_SINCE, ShaderBfloat16Features,
};
use super::instance::{Instance, lists};

/// Optional features of a device. Under validation, those that are newer than the layer are off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// Arithmetic on 16-bit floats.
    pub float16: bool,
    /// Arithmetic on 8-bit integers.
    pub int8: bool,
    /// Arithmetic on 16-bit integers.
    pub int16: bool,
    /// Scalar block layout: arrays and structs in buffers packed as in C.
    pub scalar_block_layout: bool,
    /// A pipeline may ask for its subgroup size.
    pub subgroup_size_control: bool,
    /// Dot products of four 8-bit integers at once.
    pub integer_dot_product: bool,
    /// Matrix products spread over a subgroup (VK_KHR_cooperative_matrix).
    pub cooperative_matrix: bool,
    /// Bfloat16 in shaders and cooperative matrices (VK_KHR_shader_bfloat16).
    pub bfloat16: bool,
    /// The driver says how much of a heap is free (VK_EXT_memory_budget).
    pub memory_budget: bool,
    /// The memory model that cooperative matrices need.
    pub(super) vulkan_memory_model: bool,
    /// Workgroup sizes as specialization constants in SPIR-V 1.6.
    pub(super) maintenance4: bool,
}

impl Features {
    /// What the device has, and the names of what it lacks of the floor. The device is at least of Vulkan 1.2.
    pub(super) fn query(
        instance: &Instance,
        device: vk::PhysicalDevice,
        api: u32,
        listed: &[vk::ExtensionProperties],
    ) -> (Self, Vec<&'static str>) {
        let has = |core_since: u32, name| api >= core_since || lists(listed, name);
        let sizes_known = has(vk::API_VERSION_1_3, ext::subgroup_size_control::NAME);
        let dot_known = has(vk::API_VERSION_1_3, khr::shader_integer_dot_product::NAME);
        let maintenance_known = has(vk::API_VERSION_1_3, khr::maintenance4::NAME);
        let matrix_known = lists(listed, khr::cooperative_matrix::NAME) && instance.lets_use(COOPERATIVE_MATRIX_SINCE);
        let bfloat16_known = lists(listed, SHADER_BFLOAT16) && instance.lets_use(SHADER_BFLOAT16_SINCE);

        let mut v11 = vk::PhysicalDeviceVulkan11Features::default();
        let mut v12 = vk::PhysicalDeviceVulkan12Features::default();
        let mut sizes = vk::PhysicalDeviceSubgroupSizeControlFeatures::default();
        let mut dot = vk::PhysicalDeviceShaderIntegerDotProductFeatures::default();
        let mut maintenance = vk::PhysicalDeviceMaintenance4Features::default();
        let mut matrix = vk::PhysicalDeviceCooperativeMatrixFeaturesKHR::default();
        let mut bfloat16 = ShaderBfloat16Features::new(false);
        let mut all = vk::PhysicalDeviceFeatures2::default().push_next(&mut v11).push_next(&mut v12);
        if sizes_known {
            all = all.push_next(&mut sizes);
        }
        if dot_known {
            all = all.push_next(&mut dot);
        }
        if maintenance_known {
            all = all.push_next(&mut maintenance);
        }
        if matrix_known {
            all = all.push_next(&mut matrix);
        }
        if bfloat16_known {
            all = all.push_next(&mut bfloat16);
        }
        // SAFETY: the device comes from this instance, and knows every struct in the chain.
        unsafe { instance.raw.get_physical_device_features2(device, &mut all) };
        let core = all.features;

        let on = |flag: vk::Bool32| flag == vk::TRUE;
        let floor = [
            (on(core.shader_int64), "shaderInt64"),
            (on(v11.storage_buffer16_bit_access), "storageBuffer16BitAccess"),
            (on(v12.storage_buffer8_bit_access), "storageBuffer8BitAccess"),
            (on(v12.buffer_device_address), "bufferDeviceAddress"),
            (on(v12.timeline_semaphore), "timelineSemaphore"),
        ];
        let missing = floor.into_iter().filter(|&(there, _)| !there).map(|(_, name)| name).collect();
        let memory_model = on(v12.vulkan_memory_model) && on(v12.vulkan_memory_model_device_scope);
        let features = Self {
            float16: on(v12.shader_float16),
            int8: on(v12.shader_int8),
            int16: on(core.shader_int16),
            scalar_block_layout: on(v12.scalar_block_layout),
            subgroup_size_control: on(sizes.subgroup_size_control),
            integer_dot_product: on(dot.shader_integer_dot_product),
            cooperative_matrix: on(matrix.cooperative_matrix) && memory_model,
            bfloat16: on(bfloat16.shader_bfloat16_type) && on(bfloat16.shader_bfloat16_cooperative_matrix),
            memory_budget: lists(listed, ext::memory_budget::NAME),
            vulkan_memory_model: memory_model,
            maintenance4: on(maintenance.maintenance4),
        };
        (features, missing)
    }

    /// Calls `create` with the feature structs that switch on the floor and everything that `self` lists.
    pub(super) fn switched_on<T>(self, create: impl FnOnce(&mut vk::PhysicalDeviceFeatures2<'_>) -> T) -> T {
        let core = vk::PhysicalDeviceFeatures::default().shader_int64(true).shader_int16(self.int16);
        let mut v11 = vk::PhysicalDeviceVulkan11Features::default().storage_buffer16_bit_access(true);
        let mut v12 = vk::PhysicalDeviceVulkan12Features::default()
            .storage_buffer8_bit_access(true)
            .buffer_device_address(true)
            .timeline_semaphore(true)
            .shader_float16(self.float16)
            .shader_int8(self.int8)
            .scalar_block_layout(self.scalar_block_layout)
            .vulkan_memory_model(self.vulkan_memory_model)
            .vulkan_memory_model_device_scope(self.vulkan_memory_model);
        let mut sizes = vk::PhysicalDeviceSubgroupSizeControlFeatures::default().subgroup_size_control(true);
        let mut dot = vk::PhysicalDeviceShaderIntegerDotProductFeatures::default().shader_integer_dot_product(true);
        let mut maintenance = vk::PhysicalDeviceMaintenance4Features::default().maintenance4(true);
        let mut matrix = vk::PhysicalDeviceCooperativeMatrixFeaturesKHR::default().cooperative_matrix(true);
        let mut bfloat16 = ShaderBfloat16Features::new(true);
        let mut all = vk::PhysicalDeviceFeatures2::default().features(core).push_next(&mut v11).push_next(&mut v12);
        if self.subgroup_size_control {
            all = all.push_next(&mut sizes);
        }
        if self.integer_dot_product {
            all = all.push_next(&mut dot);
        }
        if self.maintenance4 {
            all = all.push_next(&mut maintenance);
        }
        if self.cooperative_matrix {
            all = all.push_next(&mut matrix);
        }
        if self.bfloat16 {
            all = all.push_next(&mut bfloat16);
        }
        create(&mut all)
    }
}
