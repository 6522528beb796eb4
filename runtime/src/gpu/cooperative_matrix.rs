//! Cooperative matrices: which shapes a device multiplies in one instruction of a subgroup, bfloat16 included.

use std::ffi::{CStr, c_void};

use ash::{khr, vk};

use super::instance::Instance;

/// The name of VK_KHR_shader_bfloat16, which is newer than ash.
pub(super) const SHADER_BFLOAT16: &CStr = c"VK_KHR_shader_bfloat16";

/// The Vulkan version that VK_KHR_shader_bfloat16 came with.
pub(super) const SHADER_BFLOAT16_SINCE: u32 = vk::make_api_version(0, 1, 4, 312);

/// The Vulkan version that VK_KHR_cooperative_matrix came with.
pub(super) const COOPERATIVE_MATRIX_SINCE: u32 = vk::make_api_version(0, 1, 3, 255);

const BFLOAT16: vk::ComponentTypeKHR = vk::ComponentTypeKHR::from_raw(1_000_141_000);

/// The type of a matrix's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MatrixElement {
    /// A 16-bit IEEE float.
    F16,
    /// A bfloat16.
    Bf16,
    /// A 32-bit float.
    F32,
    /// A signed byte.
    I8,
    /// An unsigned byte.
    U8,
    /// A signed 32-bit integer.
    I32,
    /// An unsigned 32-bit integer.
    U32,
    /// Anything else.
    Other,
}

/// A product that a subgroup computes at once: A (m x k) times B (k x n) plus C (m x n).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CooperativeMatrix {
    /// Rows of A, C and the result.
    pub m: u32,
    /// Columns of B, C and the result.
    pub n: u32,
    /// Columns of A, rows of B.
    pub k: u32,
    /// Elements of A and B.
    pub factors: (MatrixElement, MatrixElement),
    /// Elements of C and the result.
    pub sum: (MatrixElement, MatrixElement),
}

impl CooperativeMatrix {
    /// The products of `device`, which lists VK_KHR_cooperative_matrix.
    pub(super) fn list(instance: &Instance, device: vk::PhysicalDevice) -> Vec<Self> {
        let functions = khr::cooperative_matrix::Instance::new(&instance.entry, &instance.raw);
        // SAFETY: the device comes from this instance and lists the extension.
        let listed = unsafe { functions.get_physical_device_cooperative_matrix_properties(device) };
        let of_subgroups =
            listed.unwrap_or_default().into_iter().filter(|product| product.scope == vk::ScopeKHR::SUBGROUP);
        of_subgroups
            .map(|product| Self {
                m: product.m_size,
                n: product.n_size,
                k: product.k_size,
                factors: (product.a_type.into(), product.b_type.into()),
                sum: (product.c_type.into(), product.result_type.into()),
            })
            .collect()
    }
}

impl From<vk::ComponentTypeKHR> for MatrixElement {
    fn from(component: vk::ComponentTypeKHR) -> Self {
        match component {
            vk::ComponentTypeKHR::FLOAT16 => Self::F16,
            BFLOAT16 => Self::Bf16,
            vk::ComponentTypeKHR::FLOAT32 => Self::F32,
            vk::ComponentTypeKHR::SINT8 => Self::I8,
            vk::ComponentTypeKHR::UINT8 => Self::U8,
            vk::ComponentTypeKHR::SINT32 => Self::I32,
            vk::ComponentTypeKHR::UINT32 => Self::U32,
            _ => Self::Other,
        }
    }
}

/// `VkPhysicalDeviceShaderBfloat16FeaturesKHR`, laid out as Vulkan has it.
#[repr(C)]
pub(super) struct ShaderBfloat16Features {
    s_type: vk::StructureType,
    p_next: *mut c_void,
    pub(super) shader_bfloat16_type: vk::Bool32,
    shader_bfloat16_dot_product: vk::Bool32,
    pub(super) shader_bfloat16_cooperative_matrix: vk::Bool32,
}

impl ShaderBfloat16Features {
    /// The struct with both features that matrices need on, or all off.
    pub(super) fn new(on: bool) -> Self {
        Self {
            s_type: vk::StructureType::from_raw(1_000_141_000),
            p_next: std::ptr::null_mut(),
            shader_bfloat16_type: on.into(),
            shader_bfloat16_dot_product: vk::FALSE,
            shader_bfloat16_cooperative_matrix: on.into(),
        }
    }
}

// SAFETY: Vulkan lets this struct, which starts as every struct of a chain does, follow VkPhysicalDeviceFeatures2.
unsafe impl vk::ExtendsPhysicalDeviceFeatures2 for ShaderBfloat16Features {}
