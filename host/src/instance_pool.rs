//! Instances of a block: made for a call, and kept for further ones where the host is set up so.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};

use wasmtime::Store;

use crate::bindings::Block as Bindings;
use crate::sandbox::Sandbox;

/// Whether an instance serves one call or several, and what isolates calls from each other.
///
/// | | isolation |
/// |---|---|
/// | [`Instances::Fresh`] | every call has a memory of its own, made from the component and gone with the call |
/// | [`Instances::Reused`] | calls with the same settings, the credential among them, follow each other in one memory; calls with other settings never share it |
///
/// A reused instance is dropped after its last call; after a trap; after a call that was cancelled or ran
/// past its deadline; and after an answer that made its memory grow past [`KEPT_MEMORY`]. A bug in the
/// block could show one flow what an earlier answer to the same connection was, and no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instances {
    /// A new instance for every call: nothing that one call left behind is there in the next.
    Fresh,
    /// An instance serves several calls, one after another, all with the same settings.
    Reused {
        /// After how many calls it is dropped.
        calls: NonZeroU32,
    },
}

/// The most memory, in bytes, with which an instance is kept: a large answer is not held for the calls
/// that come after it.
pub const KEPT_MEMORY: usize = 4 * 1024 * 1024;

/// An instance with the store that holds it.
pub(crate) struct Instance {
    pub store: Store<Sandbox>,
    pub bindings: Bindings,
    pub calls_left: u32,
}

/// What calls must have in common to follow each other in one instance: all of their settings.
pub(crate) type Key = Vec<(String, String)>;

/// Tells the blocks of a host apart.
pub(crate) type BlockNumber = u64;

/// Instances between two calls, by their block and the settings that they were made with. All blocks of a host
/// share the room.
pub(crate) struct Idle {
    limit: usize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    by_block: HashMap<BlockNumber, HashMap<Key, Shelf>>,
    total: usize,
    uses: u64,
}

#[derive(Default)]
struct Shelf {
    instances: Vec<Instance>,
    /// When it was used last, counted in uses of all.
    used: u64,
}

impl Idle {
    /// Room for so many instances.
    pub fn new(limit: usize) -> Idle {
        Idle {
            limit,
            kept: Mutex::default(),
        }
    }

    /// Takes the instance that was used last: its memory is the likeliest to be in a cache.
    pub fn take(&self, block: BlockNumber, key: &Key) -> Option<Instance> {
        let mut kept = self.lock();
        let shelf = kept.by_block.get_mut(&block)?.get_mut(key)?;
        let instance = shelf.instances.pop()?;
        kept.total -= 1;
        Some(instance)
    }

    /// Keeps an instance for a further call. Where there is no room, one of the block and settings that were
    /// used the longest ago makes place.
    pub fn keep(&self, block: BlockNumber, key: &Key, instance: Instance) {
        let mut kept = self.lock();
        let mut crowded_out = None;
        if kept.total >= self.limit {
            crowded_out = kept.remove_oldest();
        }
        if kept.total < self.limit {
            kept.uses += 1;
            kept.total += 1;
            let used = kept.uses;
            let by_settings = kept.by_block.entry(block).or_default();
            // Settings that are known already are the usual case, and cost no copy.
            match by_settings.get_mut(key) {
                Some(shelf) => shelf.put(instance, used),
                None => {
                    // Settings whose instances are gone may not come back.
                    if by_settings.len() >= self.limit.saturating_mul(2) {
                        by_settings.retain(|_, shelf| !shelf.instances.is_empty());
                    }
                    let mut shelf = Shelf::default();
                    shelf.put(instance, used);
                    by_settings.insert(key.clone(), shelf);
                }
            }
        }
        drop(kept);
        // Freeing memory takes its time, and is done without the lock.
        drop(crowded_out);
    }

    /// Drops all of a block.
    pub fn clear(&self, block: BlockNumber) {
        let mut kept = self.lock();
        let shelves = kept.by_block.remove(&block).unwrap_or_default();
        let instances: usize = shelves.values().map(|shelf| shelf.instances.len()).sum();
        kept.total -= instances;
        drop(kept);
        drop(shelves);
    }

    /// How many settings of a block are known.
    #[cfg(test)]
    pub fn settings(&self, block: BlockNumber) -> usize {
        self.lock().by_block.get(&block).map_or(0, HashMap::len)
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // A panic elsewhere leaves whole instances behind: none is in the map while it runs.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn remove_oldest(&mut self) -> Option<Instance> {
        let shelves = self.by_block.iter().flat_map(|(block, by_settings)| {
            let shelves = by_settings.iter();
            shelves.map(move |(key, shelf)| (block, key, shelf))
        });
        // One that runs is not there to make place.
        let shelves = shelves.filter(|(.., shelf)| !shelf.instances.is_empty());
        let (block, key, _) = shelves.min_by_key(|(.., shelf)| shelf.used)?;
        let (block, key) = (*block, key.clone());
        let by_settings = self.by_block.get_mut(&block)?;
        let shelf = by_settings.get_mut(&key)?;
        let oldest = shelf.instances.pop();
        if shelf.instances.is_empty() {
            by_settings.remove(&key);
        }
        self.total -= usize::from(oldest.is_some());
        oldest
    }
}

impl Shelf {
    fn put(&mut self, instance: Instance, used: u64) {
        self.instances.push(instance);
        self.used = used;
    }
}
