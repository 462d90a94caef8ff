//! The limits of one sending, which whoever sends keeps.

use std::time::Duration;

/// How long connecting may take in one attempt.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest body, in bytes. The README states the memory that this takes.
pub const MAX_BODY: usize = 16 * 1024 * 1024;
