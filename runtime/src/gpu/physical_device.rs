//! Physical devices: what each one is and can do, and which one is chosen.

use std::ffi::CStr;
use std::fmt;

use ash::{ext, khr, vk};

use super::cooperative_matrix::{CooperativeMatrix, SHADER_BFLOAT16};
use super::error::{During, GpuError};
use super::features::Features;
use super::instance::{Instance, lists};
use super::memory_type::{MemoryTypes, room};

/// The kind of a device, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeviceKind {
    /// A card with its own memory.
    Discrete,
    /// A GPU that shares the memory of the CPU.
    Integrated,
    /// A GPU passed into a virtual machine.
    Virtual,
    /// A driver that computes on the CPU, such as lavapipe.
    Cpu,
    /// Anything else.
    Other,
}

impl fmt::Display for DeviceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Discrete => "discrete",
            Self::Integrated => "integrated",
            Self::Virtual => "virtual",
            Self::Cpu => "cpu",
            Self::Other => "other",
        })
    }
}

/// What a device is and can do.
#[derive(Clone, Debug)]
pub struct DeviceInfo {
    /// Its place in the loader's list.
    pub index: usize,
    /// Its name, as the driver gives it.
    pub name: String,
    /// What kind of device it is.
    pub kind: DeviceKind,
    /// The driver and its version, as the driver gives them.
    pub driver: String,
    /// The Vulkan version of the device: major, minor, patch.
    pub api: (u32, u32, u32),
    /// The subgroup size of a pipeline that does not ask for one.
    pub subgroup: u32,
    /// The smallest and the largest subgroup size that a pipeline may ask for.
    pub subgroup_range: (u32, u32),
    /// The size of the largest device-local heap.
    pub heap_bytes: u64,
    /// What the driver said was free of that heap when the device was listed, where it says so at all.
    pub budget_free: Option<u64>,
    /// Whether the CPU and the device share one memory, so that nothing has to be copied between them.
    pub unified: bool,
    /// The optional features that this device has, and which [`Gpu::open`](super::Gpu::open) switches on.
    pub features: Features,
    /// The matrix products that a subgroup computes at once; none without cooperative matrices.
    pub cooperative_matrices: Vec<CooperativeMatrix>,
    /// The most invocations in one workgroup.
    pub max_workgroup_invocations: u32,
    /// The most workgroups in one dispatch, by dimension.
    pub max_workgroups: [u32; 3],
    /// Bytes of shared memory a workgroup may use.
    pub shared_memory_bytes: u32,
    /// The most bytes of one buffer.
    pub max_buffer_bytes: u64,
    /// Whether copies have a queue of their own, beside the compute queue.
    pub transfer_queue: bool,
    /// What the device lacks of what every kernel needs; such a device is listed, never opened.
    pub missing: Option<String>,
}

impl fmt::Display for DeviceInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({}, {})", self.index, self.name, self.kind, self.driver)
    }
}

/// A physical device with all that opening it needs.
pub(super) struct PhysicalDevice {
    pub(super) handle: vk::PhysicalDevice,
    pub(super) info: DeviceInfo,
    pub(super) memory: MemoryTypes,
    pub(super) queues: QueueFamilies,
    /// What a pipeline cache file has to match.
    pub(super) identity: Identity,
    /// Nanoseconds a tick of the timestamp counter.
    pub(super) timestamp_period: f32,
    pub(super) extensions: Vec<&'static CStr>,
}

/// The queue families in use.
#[derive(Clone, Copy, Debug)]
pub(super) struct QueueFamilies {
    pub(super) compute: u32,
    /// A family that only copies, where there is one.
    pub(super) transfer: Option<u32>,
    /// How many bits of a timestamp count, on the compute queue; 0: no timestamps.
    pub(super) timestamp_bits: u32,
}

/// What makes a driver's pipeline cache its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Identity {
    pub(super) vendor: u32,
    pub(super) device: u32,
    pub(super) driver_version: u32,
    pub(super) device_uuid: [u8; 16],
    pub(super) cache_uuid: [u8; 16],
}

/// Every device that the loader finds, in its order.
pub(super) fn survey(instance: &Instance) -> Result<Vec<PhysicalDevice>, GpuError> {
    // SAFETY: the instance is alive.
    let handles = unsafe { instance.raw.enumerate_physical_devices() }.during("listing the devices")?;
    if handles.is_empty() {
        return Err(GpuError::NoDriver);
    }
    handles.into_iter().enumerate().map(|(index, handle)| describe(instance, index, handle)).collect()
}

/// The device that `wanted` names by index or by a part of its name, or the best one.
pub(super) fn choose(devices: Vec<PhysicalDevice>, wanted: Option<&str>) -> Result<PhysicalDevice, GpuError> {
    let found = devices.iter().map(|device| device.info.to_string()).collect::<Vec<_>>().join("; ");
    let chosen = match wanted {
        None => devices.into_iter().min_by_key(|device| (device.info.missing.is_some(), device.info.kind)),
        Some(wanted) => {
            let part = wanted.to_lowercase();
            let index = wanted.parse::<usize>().ok();
            devices.into_iter().find(|device| match index {
                Some(index) => device.info.index == index,
                None => device.info.name.to_lowercase().contains(&part),
            })
        }
    };
    let Some(chosen) = chosen else {
        return Err(GpuError::NoSuchDevice { wanted: wanted.unwrap_or("any").to_owned(), found });
    };
    match &chosen.info.missing {
        Some(missing) => Err(GpuError::Unsupported { name: chosen.info.name, missing: missing.clone() }),
        None => Ok(chosen),
    }
}

fn describe(instance: &Instance, index: usize, handle: vk::PhysicalDevice) -> Result<PhysicalDevice, GpuError> {
    // SAFETY: the handle comes from this instance, as for every call in this function.
    let core = unsafe { instance.raw.get_physical_device_properties(handle) };
    let api = core.api_version;
    // SAFETY: see above.
    let listed = unsafe { instance.raw.enumerate_device_extension_properties(handle) }.unwrap_or_default();
    // A device below 1.1 does not know the structs that ask for more, and is refused anyway.
    let modern = api >= vk::API_VERSION_1_2;
    let (features, missing) = match modern {
        true => Features::query(instance, handle, api, &listed),
        false => (Features::default(), vec!["Vulkan 1.2"]),
    };
    let mut missing = missing;

    let mut ids = vk::PhysicalDeviceIDProperties::default();
    let mut driver = vk::PhysicalDeviceDriverProperties::default();
    let mut subgroup = vk::PhysicalDeviceSubgroupProperties::default();
    let mut sizes = vk::PhysicalDeviceSubgroupSizeControlProperties::default();
    let mut maintenance = vk::PhysicalDeviceMaintenance3Properties::default();
    if modern {
        let mut all = vk::PhysicalDeviceProperties2::default()
            .push_next(&mut ids)
            .push_next(&mut driver)
            .push_next(&mut subgroup)
            .push_next(&mut maintenance);
        if features.subgroup_size_control {
            all = all.push_next(&mut sizes);
        }
        // SAFETY: every struct in the chain is known to a device of this version with these extensions.
        unsafe { instance.raw.get_physical_device_properties2(handle, &mut all) };
        let operations = vk::SubgroupFeatureFlags::BASIC
            | vk::SubgroupFeatureFlags::ARITHMETIC
            | vk::SubgroupFeatureFlags::BALLOT
            | vk::SubgroupFeatureFlags::SHUFFLE;
        let in_compute = subgroup.supported_stages.contains(vk::ShaderStageFlags::COMPUTE);
        if !in_compute || !subgroup.supported_operations.contains(operations) {
            missing.push("subgroup arithmetic, ballot and shuffle in compute");
        }
    }
    let queues = queue_families(instance, handle);
    if queues.is_none() {
        missing.push("a compute queue");
    }

    let kind = match core.device_type {
        vk::PhysicalDeviceType::DISCRETE_GPU => DeviceKind::Discrete,
        vk::PhysicalDeviceType::INTEGRATED_GPU => DeviceKind::Integrated,
        vk::PhysicalDeviceType::VIRTUAL_GPU => DeviceKind::Virtual,
        vk::PhysicalDeviceType::CPU => DeviceKind::Cpu,
        _ => DeviceKind::Other,
    };
    // SAFETY: see above.
    let memory = MemoryTypes::new(&unsafe { instance.raw.get_physical_device_memory_properties(handle) });
    let shared = matches!(kind, DeviceKind::Cpu | DeviceKind::Integrated);
    let fixed = (subgroup.subgroup_size, subgroup.subgroup_size);
    let info = DeviceInfo {
        index,
        name: text(core.device_name_as_c_str()),
        kind,
        driver: format!("{} {}", text(driver.driver_name_as_c_str()), text(driver.driver_info_as_c_str())),
        api: (vk::api_version_major(api), vk::api_version_minor(api), vk::api_version_patch(api)),
        subgroup: subgroup.subgroup_size,
        subgroup_range: match features.subgroup_size_control {
            true => (sizes.min_subgroup_size, sizes.max_subgroup_size),
            false => fixed,
        },
        heap_bytes: memory.device_heap().map_or(0, |heap| heap.bytes),
        budget_free: room(instance, handle, &memory, features.memory_budget).map(|room| room.free()),
        unified: shared && memory.unified(),
        cooperative_matrices: match features.cooperative_matrix {
            true => CooperativeMatrix::list(instance, handle),
            false => Vec::new(),
        },
        max_workgroup_invocations: core.limits.max_compute_work_group_invocations,
        max_workgroups: core.limits.max_compute_work_group_count,
        shared_memory_bytes: core.limits.max_compute_shared_memory_size,
        max_buffer_bytes: maintenance.max_memory_allocation_size,
        transfer_queue: queues.is_some_and(|queues| queues.transfer.is_some()),
        missing: (!missing.is_empty()).then(|| missing.join(", ")),
        features,
    };
    Ok(PhysicalDevice {
        handle,
        memory,
        queues: queues.unwrap_or(QueueFamilies { compute: 0, transfer: None, timestamp_bits: 0 }),
        identity: Identity {
            vendor: core.vendor_id,
            device: core.device_id,
            driver_version: core.driver_version,
            device_uuid: ids.device_uuid,
            cache_uuid: core.pipeline_cache_uuid,
        },
        timestamp_period: core.limits.timestamp_period,
        extensions: extensions(&info, &listed),
        info,
    })
}

/// The device extensions to switch on.
fn extensions(info: &DeviceInfo, listed: &[vk::ExtensionProperties]) -> Vec<&'static CStr> {
    let wanted = [
        (ext::memory_budget::NAME, info.features.memory_budget),
        (ext::subgroup_size_control::NAME, info.features.subgroup_size_control),
        (khr::shader_integer_dot_product::NAME, info.features.integer_dot_product),
        (khr::maintenance4::NAME, info.features.maintenance4),
        (khr::cooperative_matrix::NAME, info.features.cooperative_matrix),
        (SHADER_BFLOAT16, info.features.bfloat16),
        (khr::portability_subset::NAME, true),
    ];
    wanted.into_iter().filter(|&(name, wanted)| wanted && lists(listed, name)).map(|(name, _)| name).collect()
}

/// A compute family, better without graphics, and a family that does nothing but copy.
fn queue_families(instance: &Instance, handle: vk::PhysicalDevice) -> Option<QueueFamilies> {
    // SAFETY: the handle comes from this instance.
    let families = unsafe { instance.raw.get_physical_device_queue_family_properties(handle) };
    let usable = |family: &&(u32, vk::QueueFamilyProperties)| family.1.queue_count > 0;
    let families: Vec<_> = (0_u32..).zip(families).collect();
    let compute = families
        .iter()
        .filter(usable)
        .filter(|(_, family)| family.queue_flags.contains(vk::QueueFlags::COMPUTE))
        .min_by_key(|(_, family)| family.queue_flags.contains(vk::QueueFlags::GRAPHICS))?;
    let computes = vk::QueueFlags::COMPUTE | vk::QueueFlags::GRAPHICS;
    let transfer = families
        .iter()
        .filter(usable)
        .filter(|(_, family)| !family.queue_flags.intersects(computes))
        // Video queues may copy as well; a family of its own is what has the copy engines.
        .find(|(_, family)| {
            family.queue_flags.contains(vk::QueueFlags::TRANSFER)
                && !family.queue_flags.intersects(vk::QueueFlags::VIDEO_DECODE_KHR | vk::QueueFlags::VIDEO_ENCODE_KHR)
        });
    Some(QueueFamilies {
        compute: compute.0,
        transfer: transfer.map(|family| family.0),
        timestamp_bits: compute.1.timestamp_valid_bits,
    })
}

fn text(name: Result<&CStr, std::ffi::FromBytesUntilNulError>) -> String {
    name.map_or_else(|_| String::new(), |name| name.to_string_lossy().into_owned())
}
