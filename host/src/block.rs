//! A component with its manifest.

use crate::manifest::Manifest;

/// A block: a component, and the manifest that says what it is and needs.
#[derive(Debug, Clone)]
pub struct Block {
    pub(crate) component: Vec<u8>,
    pub(crate) manifest: Manifest,
}

impl Block {
    /// The block that this crate was built with.
    pub fn builtin() -> Block {
        Block {
            component: include_bytes!(env!("OPERATIONS_GET_WASM")).to_vec(),
            manifest: Manifest::builtin(),
        }
    }

    /// The same block without imports, for engines with many calls: the host sends by itself, and an instance is held
    /// only while it computes. Outputs, failures, policy, credential and limits are those of [`Block::builtin`].
    pub fn sans_io() -> Block {
        Block {
            component: include_bytes!(env!("OPERATIONS_GET_SANS_IO_WASM")).to_vec(),
            manifest: Manifest::builtin(),
        }
    }

    /// A component of your own build, with a manifest. [`Host::load`](crate::Host::load) checks that they match.
    pub fn new(component: Vec<u8>, manifest: Manifest) -> Block {
        Block {
            component,
            manifest,
        }
    }

    /// The bytes of the component.
    pub fn component(&self) -> &[u8] {
        &self.component
    }

    /// What the block is and needs.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }
}
