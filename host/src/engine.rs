//! The engine's settings: where instances get their memory, and where compiled blocks are kept.

use std::fs;
use std::io;
use std::path::Path;

use wasmtime::{
    Cache, CacheConfig, Config, Enabled, Engine, InstanceAllocationStrategy,
    PoolingAllocationConfig,
};

use crate::config::HostConfig;
use crate::error::LoadError;

/// How much of an instance's memory the allocator keeps for the next one, in bytes, so that a fresh instance
/// does not spend its time giving pages back to the kernel and getting them again. An ordinary call
/// touches less than this.
const KEPT_RESIDENT: usize = 1024 * 1024;

/// How many freed memories, tables and stacks keep that much at a time.
const WARM_SLOTS: u32 = 256;

/// Address space for a whole memory of 32 bits: its addresses then need no check.
const WHOLE_MEMORY: u64 = 4 << 30;

/// How much address space may be reserved: half of what a process has on a machine of 48 bits.
const ADDRESS_SPACE: u64 = 64 << 40;

/// The stack of a call, in bytes: its frames in the block and in the host behind it.
const STACK: usize = 512 * 1024;

/// Slots of the allocator's pool beyond what calls need. The slots are in shards, and an allocation looks at one
/// shard after the other: if a slot comes free behind it while another call takes the last one before it, it
/// finds none, although there is one. With so many to spare, as many calls would have to end during its search.
const SPARE: u32 = 64;

/// The most that a component has of each: the module itself, and those that connect it with its imports.
const CORE_INSTANCES: u32 = 4;
const TABLES: u32 = 2;

/// The engine for a configuration. Address space for all calls is reserved here; memory is only taken
/// when a call needs it.
pub(crate) fn engine(config: &HostConfig) -> Result<Engine, LoadError> {
    // If the number overflows, there is no room for it either, and the allocator says so.
    let calls = config.calls_in_flight.get();
    let instances = calls
        .saturating_add(config.pooled_instances())
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
        engine.cache(cache(folder)?);
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

/// wasmtime's cache: keyed by the component's bytes, the engine's version and its settings. None if others could
/// have put code into the folder.
fn cache(folder: &Path) -> Result<Option<Cache>, LoadError> {
    let unusable = |source: wasmtime::Error| LoadError::Cache {
        folder: folder.to_owned(),
        source,
    };
    create(folder).map_err(|error| unusable(error.into()))?;
    // The cache wants an absolute path.
    let absolute = folder
        .canonicalize()
        .map_err(|error| unusable(error.into()))?;
    if let Some(problem) = others_may_write(&absolute).map_err(|error| unusable(error.into()))? {
        tracing::warn!(
            folder = %folder.display(),
            "compiled blocks are not kept, because {problem}: give the cache folder to the user of this process, with mode 0700"
        );
        return Ok(None);
    }
    let mut config = CacheConfig::new();
    config.with_directory(absolute);
    Cache::new(config).map(Some).map_err(unusable)
}

/// Creates a missing folder, for its owner alone.
fn create(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// How users other than this process's own could write to a file or folder, or to anything in it.
#[cfg(unix)]
fn others_may_write(path: &Path) -> io::Result<Option<String>> {
    use std::os::unix::fs::MetadataExt;

    let metadata = match path.symlink_metadata() {
        // Another process with the same cache has removed or renamed it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        metadata => metadata?,
    };
    let shown = path.display();
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Ok(Some(format!("{shown} belongs to another user")));
    }
    if metadata.mode() & 0o022 != 0 {
        return Ok(Some(format!("other users may write to {shown}")));
    }
    // Nobody else gets to what is in a folder that nobody else may enter.
    if metadata.is_dir() && metadata.mode() & 0o011 != 0 {
        for entry in path.read_dir()? {
            let problem = others_may_write(&entry?.path())?;
            if problem.is_some() {
                return Ok(problem);
            }
        }
    }
    Ok(None)
}

#[cfg(not(unix))]
fn others_may_write(_: &Path) -> io::Result<Option<String>> {
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::config::Instances;

    #[cfg(unix)]
    #[test]
    fn a_file_that_vanishes_while_the_cache_folder_is_checked_is_ignored() {
        let gone = others_may_write(Path::new("/no/such/file"));
        assert_eq!(gone.unwrap(), None);
    }

    #[test]
    fn more_calls_than_a_machine_has_room_for_are_refused_without_overflow() {
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
