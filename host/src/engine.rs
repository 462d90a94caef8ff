//! The engine's settings: where instances get their memory, and where compiled blocks are kept.

use std::path::Path;

use wasmtime::{
    Cache, CacheConfig, Config, Enabled, Engine, InstanceAllocationStrategy,
    PoolingAllocationConfig,
};

use crate::host::{HostConfig, LoadError};
use crate::instance_pool::Instances;

/// What the allocator keeps of an instance's memory for the next one, in bytes, so that a fresh instance
/// does not spend its time giving pages back to the kernel and getting them again. An ordinary call
/// touches less than this.
const KEPT_RESIDENT: usize = 1024 * 1024;

/// How many freed memories, tables and stacks keep that much at a time.
const WARM_SLOTS: u32 = 256;

/// Address space for a memory of 32 bits whole: its addresses need no check then.
const WHOLE_MEMORY: u64 = 4 << 30;

/// How much address space may be reserved: half of what a process has on a machine of 48 bits.
const ADDRESS_SPACE: u64 = 64 << 40;

/// The stack of a call, in bytes: its frames in the block, and in the host behind it.
const STACK: usize = 512 * 1024;

/// Slots of the pool beyond what calls need. The pool's slots are in shards, and an allocation looks at one after
/// the other: where a slot comes free behind it while another call takes the last one before it, it finds none,
/// though there is one. With so many to spare, as many calls would have to end within its look.
const SPARE: u32 = 64;

/// What a component has of each at most: the module itself, and the two that connect it with its imports.
const CORE_INSTANCES: u32 = 4;
const TABLES: u32 = 2;

/// The engine for a configuration. Address space for all calls is reserved here; memory is not taken
/// before a call needs it.
pub(crate) fn engine(config: &HostConfig) -> Result<Engine, LoadError> {
    // More than can be counted is more than there is room for, which the allocator then says.
    let calls = config.calls_in_flight.get();
    let instances = calls
        .saturating_add(idle_instances(config))
        .saturating_add(SPARE);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        .total_core_instances(instances.saturating_mul(CORE_INSTANCES))
        .total_memories(instances)
        .total_tables(instances.saturating_mul(TABLES))
        .total_stacks(instances)
        .max_memory_size(config.memory_limit)
        .max_unused_warm_slots(instances.min(WARM_SLOTS))
        .linear_memory_keep_resident(KEPT_RESIDENT)
        .table_keep_resident(64 * 1024)
        .async_stack_keep_resident(STACK)
        .pagemap_scan(Enabled::Auto);
    let mut engine = Config::new();
    engine
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .memory_reservation(reservation(config, instances))
        .async_stack_size(STACK)
        .max_wasm_stack(STACK / 2)
        .epoch_interruption(true);
    if let Some(folder) = &config.cache {
        engine.cache(Some(cache(folder)?));
    }
    Engine::new(&engine).map_err(LoadError::Engine)
}

/// The address space for the memory of one instance.
fn reservation(config: &HostConfig, instances: u32) -> u64 {
    match WHOLE_MEMORY * u64::from(instances) <= ADDRESS_SPACE {
        true => WHOLE_MEMORY,
        false => config.memory_limit as u64,
    }
}

/// How many instances may wait for a further call.
pub(crate) fn idle_instances(config: &HostConfig) -> u32 {
    match config.instances {
        Instances::Fresh => 0,
        Instances::Reused { .. } => config.calls_in_flight.get(),
    }
}

/// wasmtime's cache: keyed by the component's bytes, the engine's version and its settings.
fn cache(folder: &Path) -> Result<Cache, LoadError> {
    let unusable = |source: wasmtime::Error| LoadError::Cache {
        folder: folder.to_owned(),
        source,
    };
    std::fs::create_dir_all(folder).map_err(|error| unusable(error.into()))?;
    // The cache wants an absolute path.
    let folder = folder
        .canonicalize()
        .map_err(|error| unusable(error.into()))?;
    let mut config = CacheConfig::new();
    config.with_directory(folder);
    Cache::new(config).map_err(unusable)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    #[test]
    fn more_calls_than_can_be_counted_are_more_than_this_machine_has_room_for() {
        for calls in [1 << 30, 1 << 31, u32::MAX] {
            let refused = engine(&HostConfig {
                calls_in_flight: NonZeroU32::new(calls).unwrap(),
                instances: Instances::Reused {
                    calls: NonZeroU32::MIN,
                },
                ..HostConfig::default()
            });
            assert!(matches!(refused, Err(LoadError::Engine(_))), "{calls}");
        }
    }
}
