//! A block that is ready for calls, and how one call goes through it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tracing::Instrument;

use crate::access::AccessError;
use crate::bindings::{BlockPre, GetError, Outputs, Reason};
use crate::call::Call;
use crate::config::{Instances, MAX_REUSED_MEMORY};
use crate::error::CallError;
use crate::instance_pool::{BlockId, Instance, InstancePool, WasiInstance};
use crate::manifest::Manifest;
use crate::metrics::InstanceKind;
use crate::policy::{Grants, Policy, endpoint_in_the_clear};
use crate::returned;
use crate::runtime::Runtime;
use crate::sandbox::Sandbox;
use crate::sans_io::SansIo;
use crate::send::CallRecord;

/// A block that is compiled and checked, ready for calls. Tasks share it by reference or in an
/// `Arc`; it keeps what it needs of its host alive.
pub struct LoadedBlock {
    pub(crate) id: BlockId,
    program: Program,
    manifest: Manifest,
    pub(crate) grants: Arc<Grants>,
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) pool: Arc<InstancePool>,
}

/// A component that is ready to be instantiated, by its world.
pub(crate) enum Program {
    /// `block`, which sends requests by itself.
    Wasi(BlockPre<Sandbox>),
    /// `sans-io`, which says what to send.
    SansIo(SansIo),
}

impl Drop for LoadedBlock {
    fn drop(&mut self) {
        self.drop_idle();
    }
}

/// How much longer than the block's own deadline, which the block keeps by itself, a call may take. Waiting for
/// its turn does not count.
const GRACE: Duration = Duration::from_secs(5);

impl LoadedBlock {
    pub(crate) fn new(
        program: Program,
        manifest: Manifest,
        grants: Grants,
        runtime: Arc<Runtime>,
        pool: Arc<InstancePool>,
    ) -> LoadedBlock {
        LoadedBlock {
            id: pool.next_block(),
            program,
            manifest,
            grants: Arc::new(grants),
            runtime,
            pool,
        }
    }

    /// Performs one call.
    ///
    /// It waits until there is room among the calls in flight, gets an instance, and ends with the
    /// block's answer. Dropping the future ends the call and frees what it held: the instance, the
    /// request, its place. It must run in a tokio runtime with I/O and time enabled, and be polled
    /// whenever it wakes its task: a call that is left alone may hold up the connections of others.
    ///
    /// Each call is a span `call` of `tracing`, with `service` (the host that was asked), `attempts`,
    /// `outcome`, `reason` and `memory` (of the sandbox, in bytes), and counts in
    /// [`Host::metrics`](crate::Host::metrics). Neither holds a credential, a name or a part of an answer;
    /// wasmtime's own crates log names at TRACE, so subscribe to `operations_host` alone. The span of a call that was
    /// dropped has no `outcome`.
    ///
    /// # Errors
    ///
    /// [`CallError::Permanent`] and [`CallError::Transient`] are the block's own failures, the others
    /// the host's.
    pub async fn call(&self, call: &Call) -> Result<Outputs, CallError> {
        self.call_before(call, None).await
    }

    /// The same with a deadline: when its turn comes, the block is given the time that is left.
    pub(crate) async fn call_before(
        &self,
        call: &Call,
        deadline: Option<Instant>,
    ) -> Result<Outputs, CallError> {
        let span = tracing::info_span!(
            "call",
            service = tracing::field::Empty,
            attempts = tracing::field::Empty,
            outcome = tracing::field::Empty,
            reason = tracing::field::Empty,
            memory = tracing::field::Empty,
        );
        let mut observed = self.runtime.metrics.waiting();
        let refused = |error| (Err(error), CallRecord::default());
        let (result, record) = match self.check(call) {
            Err(error) => refused(error),
            Ok(()) => match self.runtime.admit().instrument(span.clone()).await {
                None => refused(CallError::Stopped),
                Some(_place) => {
                    observed.started();
                    // Boxed now: a call that waits for its turn does not hold the room that this takes.
                    Box::pin(self.run(call, deadline).instrument(span.clone())).await
                }
            },
        };
        if let Some(host) = record.host {
            span.record("service", host);
        }
        span.record("attempts", record.attempts);
        let outcome = observed.ended(&result);
        span.record("outcome", outcome.outcome);
        if !outcome.reason.is_empty() {
            span.record("reason", outcome.reason);
        }
        span.record("memory", record.memory);
        span.in_scope(|| {
            let took = observed.took();
            tracing::debug!(?took, "call ended");
        });
        result
    }

    /// What is known to be wrong with a call before it has an instance.
    fn check(&self, call: &Call) -> Result<(), CallError> {
        let known = |variable: &str| {
            let mut settings = self.manifest.settings.iter();
            settings.any(|setting| setting.variable == variable)
        };
        let access = &self.runtime.config.access;
        if access.is_in(&call.name) {
            return Err(CallError::HoldsCredential("the name"));
        }
        for (variable, value) in &call.settings {
            if access.is_in(variable) || access.is_in(value) {
                return Err(CallError::HoldsCredential("a setting"));
            }
            if !known(variable) {
                return Err(CallError::UnknownSetting(variable.clone()));
            }
        }
        match endpoint_in_the_clear(call) {
            Some(endpoint) if !access.is_none() => Err(CallError::InTheClear(endpoint.host)),
            _ => Ok(()),
        }
    }

    /// Runs a call whose turn has come.
    async fn run(
        &self,
        call: &Call,
        deadline: Option<Instant>,
    ) -> (Result<Outputs, CallError>, CallRecord) {
        let shortened;
        let call = match deadline {
            None => call,
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                shortened = call.clone().within(left);
                &shortened
            }
        };
        // A block can compute without end while its instance is made, too.
        let end = Instant::now() + call.timeout() + GRACE;
        let (result, mut record) = match &self.program {
            Program::Wasi(pre) => self.run_wasi(pre, call, end).await,
            Program::SansIo(sans_io) => self.exchange(sans_io, call, end).await,
        };
        let result =
            result.and_then(|result| result.map_err(|error| self.failed(error, &mut record)));
        (result, record)
    }

    async fn run_wasi(
        &self,
        pre: &BlockPre<Sandbox>,
        call: &Call,
        end: Instant,
    ) -> (Result<Result<Outputs, GetError>, CallError>, CallRecord) {
        let mut instance = match self.instance(pre, call, end).await {
            Ok(instance) => instance,
            Err(error) => return (Err(error), CallRecord::default()),
        };
        instance.calls_left -= 1;
        instance.store.set_epoch_deadline(1);
        let sandbox = instance.store.data();
        let (record, requests) = (sandbox.sender.record(), sandbox.requests.clone());
        let operations = instance.bindings.blocks_google_longrunning_operations();
        let called = operations.call_get(&mut instance.store, &call.name);
        let ended = timeout_at(end, requests.drive(called)).await;
        let mut record = record.take();
        record.memory = instance.store.data().memory.used();
        let result = match ended {
            Err(_) => Err(CallError::Overran),
            Ok(Err(trap)) => Err(CallError::Aborted(trap)),
            Ok(Ok(result)) => match returned::check(&result) {
                Err(problem) => Err(CallError::InvalidResult { problem }),
                Ok(()) => {
                    // Nobody would go on with a request that still runs, and it may hold up those of others.
                    let is_small = record.memory <= MAX_REUSED_MEMORY;
                    if instance.calls_left > 0
                        && is_small
                        && !is_late(&result)
                        && requests.are_over()
                    {
                        let instance = Instance::Wasi(instance);
                        self.pool.put(self.id, &call.settings, instance);
                    }
                    Ok(result)
                }
            },
        };
        (result, record)
    }

    /// Makes an instance ready for a call with the settings of this one, if instances are reused: the
    /// first such call then has one at once. Otherwise the instance is made and dropped.
    ///
    /// # Errors
    ///
    /// As [`LoadedBlock::call`], without those of the block.
    pub async fn prepare(&self, call: &Call) -> Result<(), CallError> {
        self.check(call)?;
        let _place = self.runtime.admit().await.ok_or(CallError::Stopped)?;
        let end = Instant::now() + call.timeout() + GRACE;
        let pre = match &self.program {
            Program::SansIo(sans_io) => return self.prepare_exchange(sans_io, call, end).await,
            Program::Wasi(pre) => pre,
        };
        let instance = self.instantiate(pre, call, end).await?;
        let is_reused = matches!(self.runtime.config.instances, Instances::Reused { .. });
        if is_reused && instance.store.data().requests.are_over() {
            let instance = Instance::Wasi(instance);
            self.pool.put(self.id, &call.settings, instance);
        }
        Ok(())
    }

    async fn instance(
        &self,
        pre: &BlockPre<Sandbox>,
        call: &Call,
        end: Instant,
    ) -> Result<Box<WasiInstance>, CallError> {
        match self.pool.take(self.id, &call.settings) {
            Some(Instance::Wasi(instance)) => {
                self.runtime.metrics.instance(InstanceKind::Reused);
                Ok(instance)
            }
            // Boxed, so that a call in flight does not hold the room that this takes.
            _ => Box::pin(self.instantiate(pre, call, end)).await,
        }
    }

    async fn instantiate(
        &self,
        pre: &BlockPre<Sandbox>,
        call: &Call,
        end: Instant,
    ) -> Result<Box<WasiInstance>, CallError> {
        let policy = Policy::new(self.grants.clone(), call);
        let sandbox = Sandbox::new(self.runtime.clone(), policy, call);
        let requests = sandbox.requests.clone();
        let mut store = sandbox.into_store(pre.engine());
        let made = pre.instantiate_async(&mut store);
        let bindings = match timeout_at(end, requests.drive(made)).await {
            Err(_) => return Err(CallError::Overran),
            Ok(bindings) => bindings.map_err(CallError::Aborted)?,
        };
        self.runtime.metrics.instance(InstanceKind::Fresh);
        let calls_left = match self.runtime.config.instances {
            Instances::Fresh => 1,
            Instances::Reused { calls } => calls.get(),
        };
        Ok(Box::new(WasiInstance {
            store,
            bindings,
            calls_left,
        }))
    }

    /// Asks the source of the host's credential for a token for `service`
    /// (`apigateway.googleapis.com`), so that a source that is down or refuses is known before the first call.
    /// Tokens are kept: the calls that follow have theirs at once. Without [`Access`](crate::Access)
    /// this does nothing.
    ///
    /// # Errors
    ///
    /// What is wrong with the source, and whether asking again later may help.
    pub async fn check_access(&self, service: &str) -> Result<(), AccessError> {
        let access = &self.runtime.config.access;
        let scopes = self.grants.scopes(service);
        access.authorization(&scopes).await.map(|_| ())
    }

    /// Why a call failed, as the host knows it: the block knows nothing of the credential.
    fn failed(&self, error: GetError, record: &mut CallRecord) -> CallError {
        if let Some(error) = record.no_access.take() {
            return CallError::Access(error);
        }
        let mut error = CallError::from(error);
        if let CallError::Permanent(failure) | CallError::Transient(failure) = &mut error {
            // The block knows of its own credential alone, and says so only where the service does.
            let is_refused = match failure.http_status {
                Some(401) => true,
                Some(403) => !failure.concerns_caller,
                _ => false,
            };
            if is_refused
                && !record.had_credential
                && !failure.message.contains("o credential was sent")
            {
                failure.concerns_caller = true;
                failure
                    .message
                    .push_str(" The host says: no credential was sent.");
            }
            if let Some(not_sent) = record.not_sent.take() {
                failure
                    .message
                    .push_str(&format!(" The host says: {not_sent}."));
            }
        }
        error
    }

    /// What the block is and needs.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Drops the instances that wait for a further call, and with them their memory.
    pub fn drop_idle(&self) {
        self.pool.clear(self.id);
    }
}

/// Whether the block ended a call because of its deadline.
fn is_late(result: &Result<Outputs, GetError>) -> bool {
    matches!(result, Err(GetError::Transient(failure)) if failure.reason == Reason::Timeout)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::block::Block;
    use crate::config::HostConfig;
    use crate::host::Host;

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

    fn take(block: &LoadedBlock, project: u32) -> Option<Instance> {
        block.pool.take(block.id, &of(project).settings)
    }

    #[tokio::test]
    async fn settings_without_an_instance_do_not_crowd_out_others() {
        let get = reusing(2);
        for project in 0..3 {
            get.prepare(&of(project)).await.unwrap();
            if project == 0 {
                assert!(take(&get, 0).is_some());
            }
        }
        // The pool is full: the oldest instance is dropped, and that of 0 is gone already.
        get.prepare(&of(3)).await.unwrap();
        let is_kept = |project| take(&get, project).is_some();
        assert_eq!([1, 2, 3].map(is_kept), [false, true, true]);
    }

    #[tokio::test]
    async fn the_blocks_of_a_host_share_the_room_but_not_the_instances() {
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
        assert!(take(&second, 1).is_none());
        second.prepare(&of(1)).await.unwrap();
        // The oldest of the host was dropped.
        let kept = |block: &LoadedBlock, project| take(block, project).is_some();
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
            assert!(take(&get, project).is_some());
        }
        let known = get.pool.known_settings(get.id);
        assert!(known <= 4, "{known}");
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
            let Some(Instance::Wasi(mut instance)) = get.pool.take(get.id, &call.settings) else {
                panic!("the instance is kept");
            };
            held.push(instance.store.data_mut().table.iter_mut().count());
            let instance = Instance::Wasi(instance);
            get.pool.put(get.id, &call.settings, instance);
        }
        assert_eq!(held, [held[0]; 3]);
    }
}
