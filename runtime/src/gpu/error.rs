//! What can go wrong between the runtime and a GPU, one variant a broken rule.

use std::fmt;
use std::path::PathBuf;

use ash::vk;

/// An error of the [`gpu`](super) module.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GpuError {
    /// The Vulkan loader library is not on this machine.
    #[error(
        "no Vulkan loader on this machine ({reason}): install the package libvulkan1 (vulkan-loader) and a driver \
         (the GPU vendor's, or mesa-vulkan-drivers, whose lavapipe needs no GPU)"
    )]
    NoLoader {
        /// What the dynamic linker said.
        reason: String,
    },
    /// There is a loader, but it found no driver that it can use.
    #[error(
        "the Vulkan loader found no driver: install the GPU vendor's Vulkan driver or mesa-vulkan-drivers (its lavapipe \
         needs no GPU)"
    )]
    NoDriver,
    /// Validation was asked for, but the layer is not installed.
    #[error("VK_LAYER_KHRONOS_validation is not installed: install vulkan-validationlayers, or run without validation")]
    NoValidationLayer,
    /// The device asked for does not exist.
    #[error("no Vulkan device matches `{wanted}`; there is: {found}")]
    NoSuchDevice {
        /// What was asked for.
        wanted: String,
        /// The devices there are.
        found: String,
    },
    /// The device lacks something that every kernel relies on.
    #[error("`{name}` cannot run this: it lacks {missing}")]
    Unsupported {
        /// The device.
        name: String,
        /// What it lacks.
        missing: String,
    },
    /// A buffer of no bytes was asked for.
    #[error("`{name}`: a buffer needs at least one byte")]
    EmptyBuffer {
        /// The buffer.
        name: String,
    },
    /// The buffer is larger than this device allows one allocation to be.
    #[error("`{name}` needs {}, but this device allocates at most {} at once", Size(*needed), Size(*largest))]
    TooLarge {
        /// The buffer.
        name: String,
        /// Its length in bytes.
        needed: u64,
        /// The most that one allocation may hold.
        largest: u64,
    },
    /// The buffer does not fit under the cap that the user set.
    #[error(
        "`{name}` needs {} of GPU memory, but {} of the cap of {} are in use ({} are free)",
        Size(*needed), Size(*used), Size(*cap), Size(cap.saturating_sub(*used))
    )]
    OverCap {
        /// The buffer.
        name: String,
        /// Its length in bytes.
        needed: u64,
        /// Bytes in use by this process's buffers.
        used: u64,
        /// The cap.
        cap: u64,
    },
    /// The driver has no memory left.
    #[error(
        "out of {memory} memory: `{name}` needs {}, this process holds {} of a heap of {}{}",
        Size(*needed), Size(*used), Size(*heap),
        free.map_or_else(String::new, |free| format!(", and the driver reports {} free", Size(free)))
    )]
    OutOfMemory {
        /// `GPU` or `host`.
        memory: &'static str,
        /// The buffer.
        name: String,
        /// Its length in bytes.
        needed: u64,
        /// Bytes in use by this process's buffers on that heap.
        used: u64,
        /// The size of the heap.
        heap: u64,
        /// What the driver says is free, where it says so.
        free: Option<u64>,
    },
    /// The host cannot reach the buffer's bytes.
    #[error("`{name}` is not mapped: its bytes are reached with upload and download only")]
    NotMapped {
        /// The buffer.
        name: String,
    },
    /// A range that does not lie in its buffer.
    #[error("`{name}` holds {buffer} bytes, but bytes {offset} to {offset} + {len} were asked for")]
    OutOfRange {
        /// The buffer.
        name: String,
        /// Its length in bytes.
        buffer: u64,
        /// Where the range starts.
        offset: u64,
        /// How long it is.
        len: u64,
    },
    /// A fill whose offset or length is not a multiple of four bytes.
    #[error("fill of `{name}`: offset {offset} and length {len} must be multiples of 4")]
    UnalignedFill {
        /// The buffer.
        name: String,
        /// Where the fill starts.
        offset: u64,
        /// How long it is.
        len: u64,
    },
    /// More push constants than every device has room for, or a broken word.
    #[error(
        "`{pipeline}`: {len} bytes of push constants; at most {} in whole words of 4 are possible",
        super::PUSH_BYTES
    )]
    PushConstants {
        /// The pipeline.
        pipeline: String,
        /// How many bytes were given.
        len: usize,
    },
    /// More workgroups than the device dispatches at once.
    #[error("`{pipeline}`: {groups:?} workgroups, but this device dispatches at most {limit:?}")]
    TooManyGroups {
        /// The pipeline.
        pipeline: String,
        /// What was asked for.
        groups: [u32; 3],
        /// What the device allows.
        limit: [u32; 3],
    },
    /// A dispatch was recorded for a queue that only copies.
    #[error("`{commands}` is for the transfer queue and cannot dispatch `{pipeline}`")]
    DispatchOnTransfer {
        /// The commands.
        commands: String,
        /// The pipeline.
        pipeline: String,
    },
    /// A subgroup size that this device cannot give.
    #[error("`{pipeline}` wants subgroups of {wanted}, but this device has {min} to {max}{}",
        if *fixed { ", and does not let a pipeline choose" } else { "" })]
    SubgroupSize {
        /// The pipeline.
        pipeline: String,
        /// The size asked for.
        wanted: u32,
        /// The smallest size of the device.
        min: u32,
        /// The largest size of the device.
        max: u32,
        /// Whether the device always uses its own size.
        fixed: bool,
    },
    /// The words are not a SPIR-V module.
    #[error("`{pipeline}` is not SPIR-V: it does not start with the magic number")]
    NotSpirv {
        /// The pipeline.
        pipeline: String,
    },
    /// No kernel of that name.
    #[error("no kernel is called `{name}`")]
    NoSuchKernel {
        /// What was asked for.
        name: String,
    },
    /// A kernel does not compile, and there is no other version of it.
    #[error("kernel `{name}` does not compile: {message}")]
    Kernel {
        /// The kernel.
        name: String,
        /// What the compiler said.
        message: String,
    },
    /// The folder with the sources of the kernels cannot be read.
    #[error("shader folder {}: {reason}", folder.display())]
    ShaderFolder {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        reason: std::io::Error,
    },
    /// A timestamp that the query pool has no room for, or a device without timestamps.
    #[error("timestamp {index} of {count}")]
    NoSuchTimestamp {
        /// The timestamp asked for.
        index: u32,
        /// How many the pool holds.
        count: u32,
    },
    /// The GPU was reset, crashed or was unplugged.
    #[error(
        "the GPU was lost while {during}: the driver reset it (a kernel ran too long or read outside its buffers), or it \
         went away; the system log says which"
    )]
    DeviceLost {
        /// What was being done.
        during: String,
    },
    /// A Vulkan call failed in a way that has no better name here.
    #[error("Vulkan: {during}: {result}")]
    Vulkan {
        /// What was being done.
        during: String,
        /// What the driver answered.
        result: vk::Result,
    },
}

impl GpuError {
    /// The error for a call that answered `result`.
    pub(super) fn vulkan(during: impl Into<String>, result: vk::Result) -> Self {
        let during = during.into();
        match result {
            vk::Result::ERROR_DEVICE_LOST => Self::DeviceLost { during },
            result => Self::Vulkan { during, result },
        }
    }
}

/// Says what was being done when a Vulkan call failed.
pub(super) trait During<T> {
    /// Turns a bare result code into a [`GpuError`].
    fn during(self, what: &str) -> Result<T, GpuError>;
}

impl<T> During<T> for Result<T, vk::Result> {
    fn during(self, what: &str) -> Result<T, GpuError> {
        self.map_err(|result| GpuError::vulkan(what, result))
    }
}

/// A number of bytes, as people read it.
pub(super) struct Size(pub(super) u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [("GiB", 1_u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
        match units.iter().find(|(_, unit)| self.0 >= *unit) {
            // Tenths in integers: a size is never too large for them, and floats would need a lossy cast.
            Some((name, unit)) => {
                write!(f, "{}.{} {name}", self.0 / unit, u128::from(self.0 % unit) * 10 / u128::from(*unit))
            }
            None => write!(f, "{} bytes", self.0),
        }
    }
}
