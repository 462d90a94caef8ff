//! Instances between two calls, if the host reuses them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use wasmtime::Store;

use crate::bindings::Block as Bindings;
use crate::call::Settings;
use crate::sandbox::Sandbox;
use crate::sans_io::SansIoInstance;

/// An instance with the store that holds it.
pub(crate) enum Instance {
    /// Of the world `block`.
    Wasi(Box<WasiInstance>),
    /// Of the world `sans-io`.
    SansIo(SansIoInstance),
}

/// An instance that sends requests by itself.
pub(crate) struct WasiInstance {
    pub store: Store<Sandbox>,
    pub bindings: Bindings,
    pub calls_left: u32,
}

/// Tells the blocks of a host apart.
pub(crate) type BlockId = u64;

/// Instances between two calls, by their block and the settings that they were made with. All blocks of a host
/// share the room.
pub(crate) struct InstancePool {
    limit: usize,
    blocks: AtomicU64,
    pooled: Mutex<Pooled>,
}

#[derive(Default)]
struct Pooled {
    by_block: HashMap<BlockId, HashMap<Settings, Alike>>,
    total: usize,
    uses: u64,
}

/// Instances with the same block and settings.
#[derive(Default)]
struct Alike {
    instances: Vec<Instance>,
    /// When they were last used, counted in uses of all.
    last_used: u64,
}

impl InstancePool {
    /// A pool for at most `limit` instances.
    pub fn new(limit: u32) -> InstancePool {
        InstancePool {
            limit: limit as usize,
            blocks: AtomicU64::new(0),
            pooled: Mutex::default(),
        }
    }

    /// An id for a block that is loaded.
    pub fn next_block(&self) -> BlockId {
        self.blocks.fetch_add(1, Ordering::Relaxed)
    }

    /// Takes the instance that was used last: its memory is the likeliest to be in a cache.
    pub fn take(&self, block: BlockId, settings: &Settings) -> Option<Instance> {
        let mut pooled = self.lock();
        let alike = pooled.by_block.get_mut(&block)?.get_mut(settings)?;
        let instance = alike.instances.pop()?;
        pooled.total -= 1;
        Some(instance)
    }

    /// Keeps an instance for a further call. If the pool is full, it drops one with the block and settings that
    /// were used the longest ago.
    pub fn put(&self, block: BlockId, settings: &Settings, instance: Instance) {
        let mut pooled = self.lock();
        let mut crowded_out = None;
        if pooled.total >= self.limit {
            crowded_out = pooled.remove_oldest();
        }
        if pooled.total < self.limit {
            pooled.uses += 1;
            pooled.total += 1;
            let uses = pooled.uses;
            let by_settings = pooled.by_block.entry(block).or_default();
            // Settings that are known already are the usual case, and cost no copy.
            match by_settings.get_mut(settings) {
                Some(alike) => alike.put(instance, uses),
                None => {
                    // Settings whose instances are gone may not come back.
                    if by_settings.len() >= self.limit.saturating_mul(2) {
                        by_settings.retain(|_, alike| !alike.instances.is_empty());
                    }
                    let mut alike = Alike::default();
                    alike.put(instance, uses);
                    by_settings.insert(settings.clone(), alike);
                }
            }
        }
        drop(pooled);
        // Freeing memory takes time, and is done without the lock.
        drop(crowded_out);
    }

    /// Drops all instances of a block.
    pub fn clear(&self, block: BlockId) {
        let mut pooled = self.lock();
        let by_settings = pooled.by_block.remove(&block).unwrap_or_default();
        let instances: usize = by_settings
            .values()
            .map(|alike| alike.instances.len())
            .sum();
        pooled.total -= instances;
        drop(pooled);
        drop(by_settings);
    }

    /// How many settings of a block are known.
    #[cfg(test)]
    pub fn known_settings(&self, block: BlockId) -> usize {
        self.lock().by_block.get(&block).map_or(0, HashMap::len)
    }

    fn lock(&self) -> MutexGuard<'_, Pooled> {
        // A panic elsewhere leaves whole instances behind: none is in the map while it runs.
        self.pooled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pooled {
    fn remove_oldest(&mut self) -> Option<Instance> {
        let all = self.by_block.iter().flat_map(|(block, by_settings)| {
            let by_settings = by_settings.iter();
            by_settings.map(move |(settings, alike)| (block, settings, alike))
        });
        // An instance that runs a call is not there to be dropped.
        let all = all.filter(|(.., alike)| !alike.instances.is_empty());
        let (block, settings, _) = all.min_by_key(|(.., alike)| alike.last_used)?;
        let (block, settings) = (*block, settings.clone());
        let by_settings = self.by_block.get_mut(&block)?;
        let alike = by_settings.get_mut(&settings)?;
        let oldest = alike.instances.pop();
        if alike.instances.is_empty() {
            by_settings.remove(&settings);
        }
        self.total -= usize::from(oldest.is_some());
        oldest
    }
}

impl Alike {
    fn put(&mut self, instance: Instance, uses: u64) {
        self.instances.push(instance);
        self.last_used = uses;
    }
}
