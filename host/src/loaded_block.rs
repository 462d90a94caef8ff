//! A block that is ready for calls, and the way of one call through it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tracing::Instrument;
use wasmtime::{Store, UpdateDeadline};

use crate::access::AccessError;
use crate::bindings::{BlockPre, GetError, Outputs, Reason};
use crate::call::{Call, CallError};
use crate::egress::{Exchange, Network};
use crate::host::Shared;
use crate::instance_pool::{BlockNumber, Instance, Instances, KEPT_MEMORY, Key};
use crate::manifest::Manifest;
use crate::metrics::{InstanceKind, Observed};
use crate::sandbox::Sandbox;

/// A block that is compiled and checked, ready for calls. Shared between tasks by reference or in an
/// `Arc`; it keeps what it needs of its host alive.
pub struct LoadedBlock {
    pre: BlockPre<Sandbox>,
    manifest: Manifest,
    network: Arc<Network>,
    number: BlockNumber,
    shared: Arc<Shared>,
}

/// An instance that is kept holds its host, which holds what is kept.
impl Drop for LoadedBlock {
    fn drop(&mut self) {
        self.drop_idle();
    }
}

/// What a call may take beyond the block's own deadline, which the block keeps by itself. Waiting for a
/// call's turn does not count.
const GRACE: Duration = Duration::from_secs(5);

impl LoadedBlock {
    pub(crate) fn new(
        pre: BlockPre<Sandbox>,
        manifest: Manifest,
        network: Network,
        shared: Arc<Shared>,
    ) -> LoadedBlock {
        LoadedBlock {
            pre,
            manifest,
            network: Arc::new(network),
            number: shared.number(),
            shared,
        }
    }

    /// Performs one call.
    ///
    /// It waits until there is room among the calls in flight, gets an instance, and ends with the
    /// block's answer. Dropping the future ends the call and frees what it held: the instance, the
    /// request, its place. It has to run in a tokio runtime with I/O and time enabled, and to be polled
    /// whenever it wakes its task: one that is left alone may hold up the connections of others.
    ///
    /// Each call is a span `call` of `tracing`, with `service` (the host that was asked), `attempts`,
    /// `outcome`, `reason` and `memory` (of the sandbox, in bytes), and counts in
    /// [`Host::metrics`](crate::Host::metrics). Neither holds a credential, a name or a part of an answer;
    /// wasmtime's own crates log names at TRACE, so subscribe to `operations_host` alone. The span of a call that was dropped has no `outcome`.
    ///
    /// # Errors
    ///
    /// [`CallError::Permanent`] and [`CallError::Transient`] are the block's own failures, the others
    /// the host's.
    pub async fn call(&self, call: &Call) -> Result<Outputs, CallError> {
        let span = tracing::info_span!(
            "call",
            service = tracing::field::Empty,
            attempts = tracing::field::Empty,
            outcome = tracing::field::Empty,
            reason = tracing::field::Empty,
            memory = tracing::field::Empty,
        );
        let mut observed = self.shared.metrics.waiting();
        let (result, exchange) = self
            .perform(call, &mut observed)
            .instrument(span.clone())
            .await;
        if let Some(host) = exchange.host {
            // A setting that a host is made of may hold the token: such a request is denied, so that a call
            // which gave outputs has none.
            let host = match result {
                Ok(_) => host,
                Err(_) => self.shared.config.access.redact(host),
            };
            span.record("service", host);
        }
        span.record("attempts", exchange.attempts);
        let outcome = observed.ended(&result);
        span.record("outcome", outcome.outcome);
        if !outcome.reason.is_empty() {
            span.record("reason", outcome.reason);
        }
        span.record("memory", exchange.memory);
        span.in_scope(|| {
            let took = observed.took();
            tracing::debug!(?took, "call ended");
        });
        result
    }

    async fn perform(
        &self,
        call: &Call,
        observed: &mut Observed<'_>,
    ) -> (Result<Outputs, CallError>, Exchange) {
        let started = async {
            self.check(call)?;
            let place = self.shared.admit().await?;
            observed.started();
            // A block can compute without end while its instance is made, too.
            let end = Instant::now() + call.timeout() + GRACE;
            let instance = self.instance(call, end).await?;
            Ok((place, end, instance))
        };
        // The place is held until the call has ended.
        let (_place, end, mut instance) = match started.await {
            Ok(started) => started,
            Err(error) => return (Err(error), Exchange::default()),
        };
        instance.calls_left -= 1;
        instance.store.set_epoch_deadline(1);
        let sandbox = instance.store.data();
        let (exchange, requests) = (sandbox.egress.exchange(), sandbox.requests.clone());
        let operations = instance.bindings.blocks_google_longrunning_operations();
        let called = operations.call_get(&mut instance.store, &call.name);
        let ended = timeout_at(end, requests.beside(called)).await;
        let mut exchange = exchange.take();
        exchange.memory = instance.store.data().memory.used();
        let result = match ended {
            Err(_) => Err(CallError::Overran),
            Ok(Err(trap)) => Err(CallError::Aborted(trap)),
            Ok(Ok(result)) => {
                // Nobody would go on with a request that still runs, and it may hold up those of others.
                let is_small = exchange.memory <= KEPT_MEMORY;
                if instance.calls_left > 0 && is_small && !is_late(&result) && requests.are_over() {
                    self.keep(&call.settings, instance);
                }
                result.map_err(|error| self.failed(error, &mut exchange))
            }
        };
        (result, exchange)
    }

    /// What can be told of a call before it has an instance.
    fn check(&self, call: &Call) -> Result<(), CallError> {
        let known = |variable: &str| {
            let mut settings = self.manifest.settings.iter();
            settings.any(|setting| setting.variable == variable)
        };
        if let Some((unknown, _)) = call.settings.iter().find(|(variable, _)| !known(variable)) {
            let unknown = self.shared.config.access.redact(unknown.clone());
            return Err(CallError::UnknownSetting(unknown));
        }
        self.network.check(call)
    }

    /// Makes an instance ready for a call with the settings of this one, as far as instances are reused:
    /// the call that comes first then has one at once. Else the instance is made and dropped.
    ///
    /// # Errors
    ///
    /// As [`LoadedBlock::call`], without those of the block.
    pub async fn prepare(&self, call: &Call) -> Result<(), CallError> {
        self.check(call)?;
        let _place = self.shared.admit().await?;
        let end = Instant::now() + call.timeout() + GRACE;
        let instance = self.instantiate(call, end).await?;
        let is_reused = matches!(self.shared.config.instances, Instances::Reused { .. });
        if is_reused && instance.store.data().requests.are_over() {
            self.keep(&call.settings, instance);
        }
        Ok(())
    }

    fn keep(&self, settings: &Key, instance: Instance) {
        self.shared.idle.keep(self.number, settings, instance);
    }

    fn take(&self, settings: &Key) -> Option<Instance> {
        self.shared.idle.take(self.number, settings)
    }

    async fn instance(&self, call: &Call, end: Instant) -> Result<Instance, CallError> {
        match self.take(&call.settings) {
            Some(instance) => {
                self.shared.metrics.instance(InstanceKind::Reused);
                Ok(instance)
            }
            // Boxed, so that a call in flight does not hold the room that this takes.
            None => Box::pin(self.instantiate(call, end)).await,
        }
    }

    async fn instantiate(&self, call: &Call, end: Instant) -> Result<Instance, CallError> {
        let memory_limit = self.shared.config.memory_limit;
        let sandbox = Sandbox::new(self.network.clone(), call, memory_limit);
        let mut store = Store::new(self.pre.engine(), sandbox);
        store.limiter(|sandbox| &mut sandbox.memory);
        // A guest that computes gives way to the other calls at every tick, and can be ended there. It is
        // tokio that it yields to: a task that wakes itself, as wasmtime's own yield does, keeps the
        // runtime from looking at its sockets for 61 turns.
        store.epoch_deadline_callback(|_| {
            let turn = Box::pin(tokio::task::yield_now());
            Ok(UpdateDeadline::YieldCustom(1, turn))
        });
        // Without it, a new store gives way at once, and the call goes on in another thread.
        store.set_epoch_deadline(1);
        let requests = store.data().requests.clone();
        let made = self.pre.instantiate_async(&mut store);
        let bindings = match timeout_at(end, requests.beside(made)).await {
            Err(_) => return Err(CallError::Overran),
            Ok(bindings) => bindings.map_err(CallError::Aborted)?,
        };
        self.shared.metrics.instance(InstanceKind::Fresh);
        let calls_left = match self.shared.config.instances {
            Instances::Fresh => 1,
            Instances::Reused { calls } => calls.get(),
        };
        Ok(Instance {
            store,
            bindings,
            calls_left,
        })
    }

    /// Asks the source of the host's credential for a token for `service`
    /// (`apigateway.googleapis.com`), so that one that is down or refuses is known before the first call.
    /// Tokens are kept: the calls that follow have theirs at once. Without [`Access`](crate::Access)
    /// there is nothing to ask.
    ///
    /// # Errors
    ///
    /// What is wrong with the source, and whether asking again later may help.
    pub async fn check_access(&self, service: &str) -> Result<(), AccessError> {
        let access = &self.shared.config.access;
        let scopes = self.network.scopes(service);
        access.authorization(&scopes).await.map(|_| ())
    }

    /// Why a call failed, as the host knows it: the block knows nothing of the credential.
    fn failed(&self, error: GetError, exchange: &mut Exchange) -> CallError {
        if let Some(error) = exchange.no_access.take() {
            return CallError::Access(error);
        }
        let mut error = CallError::from(error);
        if let CallError::Permanent(failure) | CallError::Transient(failure) = &mut error {
            // A token that was pasted as a name or a setting may be in a message before anything is sent.
            let access = &self.shared.config.access;
            let message = access.redact(std::mem::take(&mut failure.message));
            failure.message = match &exchange.authorization {
                Some(authorization) => authorization.redact(message),
                None => message,
            };
            if let Some(not_sent) = exchange.not_sent.take() {
                failure
                    .message
                    .push_str(&format!(" The host says: {not_sent}."));
            }
        }
        error
    }

    #[cfg(test)]
    pub(crate) fn network(&self) -> Arc<Network> {
        self.network.clone()
    }

    /// What the block is and needs.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Drops the instances that wait for a further call, and with them their memory.
    pub fn drop_idle(&self) {
        self.shared.idle.clear(self.number);
    }
}

/// Whether the block ended a call by its deadline.
fn is_late(result: &Result<Outputs, GetError>) -> bool {
    matches!(result, Err(GetError::Transient(failure)) if failure.reason == Reason::Timeout)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::{Block, Host, HostConfig, Instances};

    fn reusing(calls_in_flight: u32) -> LoadedBlock {
        let host = Host::with(HostConfig {
            instances: Instances::Reused {
                calls: NonZeroU32::MAX,
            },
            calls_in_flight: NonZeroU32::new(calls_in_flight).unwrap(),
            ..HostConfig::default()
        });
        host.unwrap().load(&Block::builtin()).unwrap()
    }

    fn of(project: u32) -> Call {
        Call::new("operations/o").setting("GOOGLE_CLOUD_QUOTA_PROJECT", project.to_string())
    }

    #[tokio::test]
    async fn settings_without_an_instance_crowd_no_other_out() {
        let get = reusing(2);
        for project in 0..3 {
            get.prepare(&of(project)).await.unwrap();
            if project == 0 {
                assert!(get.take(&of(0).settings).is_some());
            }
        }
        // There is no room: the oldest instance makes place, and that of 0 is gone already.
        get.prepare(&of(3)).await.unwrap();
        let is_kept = |project| get.take(&of(project).settings).is_some();
        assert_eq!([1, 2, 3].map(is_kept), [false, true, true]);
    }

    #[tokio::test]
    async fn the_blocks_of_a_host_share_the_room_and_not_the_instances() {
        let host = Host::with(HostConfig {
            instances: Instances::Reused {
                calls: NonZeroU32::MAX,
            },
            calls_in_flight: NonZeroU32::new(2).unwrap(),
            ..HostConfig::default()
        });
        let host = host.unwrap();
        let load = || host.load(&Block::builtin()).unwrap();
        let (first, second) = (load(), load());
        for project in 0..2 {
            first.prepare(&of(project)).await.unwrap();
        }
        assert!(second.take(&of(1).settings).is_none());
        second.prepare(&of(1)).await.unwrap();
        // The oldest of the host made place.
        let kept = |block: &LoadedBlock, project| block.take(&of(project).settings).is_some();
        assert_eq!([kept(&first, 0), kept(&first, 1)], [false, true]);
        assert_eq!([kept(&second, 0), kept(&second, 1)], [false, true]);

        second.prepare(&of(1)).await.unwrap();
        drop(second);
        for project in 0..2 {
            first.prepare(&of(project)).await.unwrap();
        }
        assert_eq!([kept(&first, 0), kept(&first, 1)], [true, true]);
    }

    #[tokio::test]
    async fn settings_that_do_not_come_back_are_forgotten() {
        let get = reusing(2);
        for project in 0..20 {
            get.prepare(&of(project)).await.unwrap();
            assert!(get.take(&of(project).settings).is_some());
        }
        assert!(
            get.shared.idle.settings(get.number) <= 4,
            "{}",
            get.shared.idle.settings(get.number)
        );
    }

    #[tokio::test]
    async fn a_call_leaves_nothing_in_an_instance_that_is_kept() {
        let get = reusing(1);
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = nobody.local_addr().unwrap();
        drop(nobody);
        let call = Call::new("operations/o")
            .setting("OPERATIONS_ENDPOINT", format!("http://{address}"))
            .setting("OPERATIONS_MAX_ATTEMPTS", "1");
        let mut held = Vec::new();
        for _ in 0..3 {
            let failed = get.call(&call).await.unwrap_err();
            assert!(matches!(failed, CallError::Transient(_)), "{failed:?}");
            let mut instance = get.take(&call.settings).unwrap();
            held.push(instance.store.data_mut().table.iter_mut().count());
            get.keep(&call.settings, instance);
        }
        assert_eq!(held, [held[0]; 3]);
    }
}
