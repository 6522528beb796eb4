//! The Vulkan instance: loader, layers, and what the validation layer says.

use std::ffi::{CStr, c_void};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use ash::{ext, khr, vk};

use super::error::{During, GpuError};

const VALIDATION_LAYER: &CStr = c"VK_LAYER_KHRONOS_validation";

/// How many validation messages are kept for [`Gpu::validation_messages`](super::Gpu::validation_messages).
const MESSAGES_KEPT: usize = 64;

/// A Vulkan instance and, where validation is on, its messenger.
pub(super) struct Instance {
    /// The functions of the instance.
    pub(super) raw: ash::Instance,
    messenger: Option<Messenger>,
    // Declared last: the loader library must outlive everything that came from it.
    pub(super) entry: ash::Entry,
}

struct Messenger {
    functions: ext::debug_utils::Instance,
    handle: vk::DebugUtilsMessengerEXT,
    layer_version: u32,
    log: Box<ValidationLog>,
}

/// What the validation layer has said so far.
#[derive(Default)]
struct ValidationLog {
    errors: AtomicU32,
    messages: Mutex<Vec<String>>,
}

impl Instance {
    /// Loads Vulkan and creates an instance, with the validation layer if asked for.
    pub(super) fn new(validation: bool) -> Result<Self, GpuError> {
        // SAFETY: loading the system's Vulkan loader runs its initialisers, as in every Vulkan program; the library is
        // kept in `entry`, which is dropped after all that uses it.
        let entry = unsafe { ash::Entry::load() }.map_err(|error| GpuError::NoLoader { reason: error.to_string() })?;
        let mut extensions = Vec::new();
        let mut layers = Vec::new();
        let mut flags = vk::InstanceCreateFlags::empty();
        // SAFETY: enumerating extensions has no precondition.
        let available = unsafe { entry.enumerate_instance_extension_properties(None) }.unwrap_or_default();
        if lists(&available, khr::portability_enumeration::NAME) {
            extensions.push(khr::portability_enumeration::NAME.as_ptr());
            flags |= vk::InstanceCreateFlags::ENUMERATE_PORTABILITY_KHR;
        }
        let mut synchronization = false;
        let mut layer_version = 0;
        if validation {
            layer_version = validation_layer(&entry)?;
            layers.push(VALIDATION_LAYER.as_ptr());
            extensions.push(ext::debug_utils::NAME.as_ptr());
            // SAFETY: the layer name is a C string with static lifetime.
            let of_layer = unsafe { entry.enumerate_instance_extension_properties(Some(VALIDATION_LAYER)) };
            synchronization = lists(&of_layer.unwrap_or_default(), ext::validation_features::NAME);
            if synchronization {
                extensions.push(ext::validation_features::NAME.as_ptr());
            }
        }

        let log = Box::<ValidationLog>::default();
        let application = vk::ApplicationInfo::default()
            .application_name(c"symbiote")
            .engine_name(c"symbiote")
            .api_version(vk::API_VERSION_1_3);
        let mut messenger_info = messenger_info(&log);
        let enabled = [vk::ValidationFeatureEnableEXT::SYNCHRONIZATION_VALIDATION];
        let mut features = vk::ValidationFeaturesEXT::default().enabled_validation_features(&enabled);
        let mut create = vk::InstanceCreateInfo::default()
            .application_info(&application)
            .enabled_extension_names(&extensions)
            .enabled_layer_names(&layers)
            .flags(flags);
        if validation {
            create = create.push_next(&mut messenger_info);
        }
        if synchronization {
            create = create.push_next(&mut features);
        }
        // SAFETY: everything `create` points at lives until the end of this function.
        let raw = unsafe { entry.create_instance(&create, None) }.map_err(|result| match result {
            vk::Result::ERROR_INCOMPATIBLE_DRIVER => GpuError::NoDriver,
            vk::Result::ERROR_LAYER_NOT_PRESENT => GpuError::NoValidationLayer,
            result => GpuError::vulkan("creating the instance", result),
        })?;
        // From here on, dropping `instance` cleans up.
        let mut instance = Self { raw, messenger: None, entry };
        if validation {
            let functions = ext::debug_utils::Instance::new(&instance.entry, &instance.raw);
            let messenger_info = self::messenger_info(&log);
            // SAFETY: the instance was created with VK_EXT_debug_utils, and the log that the messenger points at is
            // boxed and dropped after the messenger.
            let handle = unsafe { functions.create_debug_utils_messenger(&messenger_info, None) }
                .during("creating the validation messenger")?;
            instance.messenger = Some(Messenger { functions, handle, layer_version, log });
        }
        Ok(instance)
    }

    /// Whether the validation layer is on.
    pub(super) fn validates(&self) -> bool {
        self.messenger.is_some()
    }

    /// Whether an extension of Vulkan `version` may be used: a validation layer that is older takes it for an error.
    pub(super) fn lets_use(&self, version: u32) -> bool {
        self.messenger.as_ref().is_none_or(|messenger| messenger.layer_version >= version)
    }

    /// How many errors the validation layer has reported.
    pub(super) fn validation_errors(&self) -> u32 {
        self.messenger.as_ref().map_or(0, |messenger| messenger.log.errors.load(Ordering::Relaxed))
    }

    /// The first errors and warnings that the validation layer has reported.
    pub(super) fn validation_messages(&self) -> Vec<String> {
        let kept = |log: &ValidationLog| log.messages.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.messenger.as_ref().map_or_else(Vec::new, |messenger| kept(&messenger.log))
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // SAFETY: the devices hold this instance, so none is left; the messenger goes before its instance.
        unsafe {
            if let Some(messenger) = &self.messenger {
                messenger.functions.destroy_debug_utils_messenger(messenger.handle, None);
            }
            self.raw.destroy_instance(None);
        }
    }
}

/// Whether `extensions` names `name`.
pub(super) fn lists(extensions: &[vk::ExtensionProperties], name: &CStr) -> bool {
    extensions.iter().any(|extension| extension.extension_name_as_c_str() == Ok(name))
}

/// The Vulkan version that the validation layer was made for.
fn validation_layer(entry: &ash::Entry) -> Result<u32, GpuError> {
    // SAFETY: enumerating layers has no precondition.
    let layers = unsafe { entry.enumerate_instance_layer_properties() }.during("listing the layers")?;
    let found = layers.iter().find(|layer| layer.layer_name_as_c_str() == Ok(VALIDATION_LAYER));
    found.map(|layer| layer.spec_version).ok_or(GpuError::NoValidationLayer)
}

fn messenger_info(log: &ValidationLog) -> vk::DebugUtilsMessengerCreateInfoEXT<'static> {
    let severity = vk::DebugUtilsMessageSeverityFlagsEXT::ERROR | vk::DebugUtilsMessageSeverityFlagsEXT::WARNING;
    let kinds = vk::DebugUtilsMessageTypeFlagsEXT::VALIDATION | vk::DebugUtilsMessageTypeFlagsEXT::PERFORMANCE;
    let mut info = vk::DebugUtilsMessengerCreateInfoEXT::default()
        .message_severity(severity)
        .message_type(kinds)
        .pfn_user_callback(Some(on_message));
    info.p_user_data = std::ptr::from_ref(log).cast_mut().cast();
    info
}

/// Called by the validation layer for each of its messages, on any thread.
unsafe extern "system" fn on_message(
    severity: vk::DebugUtilsMessageSeverityFlagsEXT,
    _kinds: vk::DebugUtilsMessageTypeFlagsEXT,
    data: *const vk::DebugUtilsMessengerCallbackDataEXT<'_>,
    log: *mut c_void,
) -> vk::Bool32 {
    // SAFETY: `log` is the boxed log of the messenger, which outlives it, and is only ever shared.
    let Some(log) = (unsafe { log.cast::<ValidationLog>().as_ref() }) else { return vk::FALSE };
    // SAFETY: the layer passes callback data that is valid during this call.
    let message = unsafe { data.as_ref().and_then(|data| data.message_as_c_str()) };
    let message = message.map_or_else(String::new, |text| text.to_string_lossy().into_owned());
    if severity.contains(vk::DebugUtilsMessageSeverityFlagsEXT::ERROR) {
        log.errors.fetch_add(1, Ordering::Relaxed);
        tracing::error!("Vulkan validation: {message}");
    } else {
        tracing::warn!("Vulkan validation: {message}");
    }
    let mut messages = log.messages.lock().unwrap_or_else(PoisonError::into_inner);
    if messages.len() < MESSAGES_KEPT {
        messages.push(message);
    }
    vk::FALSE
}
