//! A minimal engine, written from the documentation of [`operations_host`] alone: it loads the block
//! when it starts, waits for operations in the steps of its flows, and stops with them.

use std::num::NonZeroU32;
use std::path::Path;
use std::time::{Duration, Instant};

use operations_host::{
    Access, Backoff, Block, Call, CallError, Host, HostConfig, Instances, LoadError, LoadedBlock,
    NotDone, Outputs, Reason,
};

/// An engine.
pub struct Engine {
    host: Host,
    get: LoadedBlock,
}

/// A connection that an operator has set up: where the names of a flow are asked for.
#[derive(Clone, Debug, Default)]
pub struct Connection {
    /// Service, optionally with its version.
    pub service: String,
    /// Base URL, if it is not the service's own.
    pub endpoint: Option<String>,
}

/// How a flow goes on.
#[derive(Debug, PartialEq)]
pub enum Branch {
    /// Done.
    Succeeded {
        /// The result, as JSON, which may be absent.
        response: Option<String>,
    },
    /// Done, with an error of the operation's.
    Failed {
        /// `google.rpc.Code`.
        code: i32,
        /// What the service says.
        message: String,
    },
    /// Not done in time.
    Late {
        /// Why the last call failed, if it did.
        last_failure: Option<String>,
    },
    /// A call failed, and somebody has to look into it.
    ForAPerson {
        /// The kind of failure, if it is the block's.
        reason: Option<Reason>,
        /// What happened, and what to do.
        message: String,
    },
}

impl Engine {
    /// Starts the engine: the block is compiled, or taken from the cache, and checked.
    ///
    /// # Errors
    ///
    /// What this machine cannot do, or what does not fit together.
    pub fn start(access: Access, cache: Option<&Path>) -> Result<Engine, LoadError> {
        let calls = NonZeroU32::MIN.saturating_add(99);
        let host = Host::with(HostConfig {
            instances: Instances::Reused { calls },
            access,
            cache: cache.map(Into::into),
            ..HostConfig::default()
        })?;
        let get = host.load(&Block::builtin())?;
        Ok(Engine { host, get })
    }

    /// Runs a step: waits until the operation is done, for at most `patience`. `on_progress` is given
    /// `metadata.progress`, as JSON, whenever the service says it.
    pub async fn step(
        &self,
        connection: &Connection,
        name: &str,
        patience: Duration,
        mut on_progress: impl FnMut(&str),
    ) -> Branch {
        let mut call = Call::new(name)
            .setting("OPERATIONS_SERVICE", &connection.service)
            // `until_done` repeats calls by itself.
            .setting("OPERATIONS_MAX_ATTEMPTS", "1")
            .within(Duration::from_secs(10));
        if let Some(endpoint) = &connection.endpoint {
            call = call.setting("OPERATIONS_ENDPOINT", endpoint);
        }
        let deadline = Instant::now() + patience;
        let on_call = |result: &Result<Outputs, CallError>| {
            let metadata = result
                .iter()
                .flat_map(|outputs| &outputs.metadata_custom_key_value);
            for member in metadata.filter(|member| member.key == "progress") {
                on_progress(&member.value);
            }
        };
        let waited = self
            .get
            .until_done(&call, Backoff::default(), Some(deadline.into()), on_call);
        match waited.await {
            Ok(outputs) => match (outputs.error_code, outputs.error_message) {
                (Some(code), Some(message)) => Branch::Failed { code, message },
                _ => Branch::Succeeded {
                    response: outputs.response,
                },
            },
            Err(NotDone::Deadline { last }) => Branch::Late {
                last_failure: last.map(|error| error.to_string()),
            },
            Err(NotDone::Failed(error)) => Branch::ForAPerson {
                reason: error.failure().map(|failure| failure.reason),
                message: error.to_string(),
            },
        }
    }

    /// The outputs that an editor shows for the step.
    pub fn variables(&self) -> Vec<&str> {
        let outputs = &self.get.manifest().outputs;
        outputs
            .iter()
            .map(|output| output.variable.as_str())
            .collect()
    }

    /// For the endpoint of the engine that a Prometheus server reads.
    pub fn metrics(&self) -> String {
        self.host.metrics()
    }

    /// Stops when the calls that run have ended.
    pub async fn stop(&self) {
        self.host.stop().await;
        self.get.drop_idle();
    }
}
