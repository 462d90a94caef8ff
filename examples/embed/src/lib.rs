//! An engine in small, written from the documentation of [`operations_host`] alone: it loads the block
//! when it starts, runs it as a step of its flows, and stops with them.

use std::time::Duration;

use operations_host::{
    Access, Block, Call, CallError, Host, HostConfig, Instances, LoadError, LoadedBlock, Outputs,
    Reason,
};

/// An engine.
pub struct Engine {
    host: Host,
    get: LoadedBlock,
}

/// A connection that an operator has set up: where a flow's names are asked for.
#[derive(Clone, Debug, Default)]
pub struct Connection {
    /// Service, optionally with its version.
    pub service: String,
    /// Base URL, where it is not the service's own.
    pub endpoint: Option<String>,
}

/// Which way a flow goes on.
#[derive(Debug, PartialEq)]
pub enum Branch {
    /// Not done: the step runs again, after a while.
    Running {
        /// How far it is, where the service says so.
        progress: Option<String>,
    },
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
    /// The call failed, and may work later.
    Again {
        /// How long to wait at least.
        after: Duration,
    },
    /// The call failed, and somebody has to see to it.
    ForAPerson {
        /// The kind of failure, where it is the block's.
        reason: Option<Reason>,
        /// What happened, and what to do.
        message: String,
    },
}

/// How long an engine waits where nobody says how long.
const PAUSE: Duration = Duration::from_secs(1);

impl Engine {
    /// Starts the engine: the block is compiled, or taken from the cache, and checked.
    ///
    /// # Errors
    ///
    /// What this machine cannot do, or what does not fit.
    pub fn start(access: Access, cache: Option<&std::path::Path>) -> Result<Engine, LoadError> {
        let calls = std::num::NonZeroU32::MIN.saturating_add(99);
        let host = Host::with(HostConfig {
            instances: Instances::Reused { calls },
            access,
            cache: cache.map(Into::into),
            ..HostConfig::default()
        })?;
        let get = host.load(&Block::builtin())?;
        Ok(Engine { host, get })
    }

    /// One run of the step.
    pub async fn step(&self, connection: &Connection, name: &str) -> Branch {
        // This engine runs steps again by itself.
        let mut call = Call::new(name)
            .setting("OPERATIONS_SERVICE", &connection.service)
            .setting("OPERATIONS_MAX_ATTEMPTS", "1")
            .within(Duration::from_secs(10));
        if let Some(endpoint) = &connection.endpoint {
            call = call.setting("OPERATIONS_ENDPOINT", endpoint);
        }
        match self.get.call(&call).await {
            Ok(outputs) => branch(outputs),
            Err(error) if error.is_transient() => Branch::Again {
                after: error.retry_after().unwrap_or(PAUSE),
            },
            Err(CallError::Permanent(failure)) => Branch::ForAPerson {
                reason: Some(failure.reason),
                message: failure.message,
            },
            Err(error) => Branch::ForAPerson {
                reason: None,
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

    /// Stops, once the steps that run have ended.
    pub async fn stop(&self) {
        self.host.stop().await;
        self.get.drop_idle();
    }
}

fn branch(outputs: Outputs) -> Branch {
    if !outputs.done {
        let metadata = outputs.metadata_custom_key_value;
        let progress = metadata.into_iter().find(|member| member.key == "progress");
        return Branch::Running {
            progress: progress.map(|member| member.value),
        };
    }
    match (outputs.error_code, outputs.error_message) {
        (Some(code), Some(message)) => Branch::Failed { code, message },
        _ => Branch::Succeeded {
            response: outputs.response,
        },
    }
}
