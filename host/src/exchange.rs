//! One call of a block without imports: the host sends, and the block says what and what came of it.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, HOST, HeaderName, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderValue, Request, Uri};
use http_body_util::BodyExt;
use tokio::time::{Instant, sleep, timeout_at};

use crate::bindings::{GetError, Outputs};
use crate::call::Call;
use crate::config::{Instances, MAX_REUSED_MEMORY};
use crate::echo::AnswerBody;
use crate::error::CallError;
use crate::http::{SendError, Timeouts};
use crate::instance_pool::Instance;
use crate::loaded_block::LoadedBlock;
use crate::metrics::InstanceKind;
use crate::policy::Policy;
use crate::returned;
use crate::sans_io::{
    Attempt, ExchangeCall, ExchangeRequest, Fault, FaultKind, Header, Method, Next, Response,
    SansIo, SansIoInstance, Setting,
};
use crate::send::{CallRecord, NotAnswered, Sender};

/// The largest body that any block is given, whatever it asks for.
const MAX_BODY: usize = 16 * 1024 * 1024;

/// The header fields of an answer that count; the block reads no others.
const COUNT: [HeaderName; 4] = [
    http::header::CONTENT_ENCODING,
    http::header::CONTENT_LENGTH,
    http::header::RETRY_AFTER,
    http::header::DATE,
];

/// A call under way.
struct Exchange<'a> {
    block: &'a LoadedBlock,
    sans_io: &'a SansIo,
    call: &'a Call,
    /// The call as the component takes it.
    input: Arc<ExchangeCall>,
    /// The most memory that an instance of it had.
    memory: usize,
    /// Whether it has had an instance. The first one counts.
    has_begun: bool,
}

impl LoadedBlock {
    /// Runs a call whose turn has come, until `end` at the latest.
    pub(crate) async fn exchange(
        &self,
        sans_io: &SansIo,
        call: &Call,
        end: Instant,
    ) -> (Result<Result<Outputs, GetError>, CallError>, CallRecord) {
        let policy = Policy::new(self.grants.clone(), call);
        let sender = Sender::new(self.runtime.clone(), policy);
        let settings = call.settings.iter().map(|(variable, value)| Setting {
            variable: variable.clone(),
            value: value.clone(),
        });
        let mut exchange = Exchange {
            has_begun: false,
            block: self,
            sans_io,
            call,
            input: Arc::new(ExchangeCall {
                name: call.name.clone(),
                settings: settings.collect(),
                adds_credential: !self.runtime.config.access.is_none(),
            }),
            memory: 0,
        };
        let ended = timeout_at(end, exchange.run(&sender)).await;
        let mut record = sender.record().take();
        record.memory = exchange.memory;
        (ended.unwrap_or(Err(CallError::Overran)), record)
    }

    /// Makes an instance, and keeps it if instances are reused.
    pub(crate) async fn prepare_exchange(
        &self,
        sans_io: &SansIo,
        call: &Call,
        end: Instant,
    ) -> Result<(), CallError> {
        let made = timeout_at(end, self.instance_of(sans_io)).await;
        let instance = made.unwrap_or(Err(CallError::Overran))?;
        self.runtime.metrics.instance(InstanceKind::Fresh);
        if matches!(self.runtime.config.instances, Instances::Reused { .. }) {
            let instance = Instance::SansIo(instance);
            self.pool.put(self.id, &call.settings, instance);
        }
        Ok(())
    }

    async fn instance_of(&self, sans_io: &SansIo) -> Result<SansIoInstance, CallError> {
        let config = &self.runtime.config;
        let calls = match config.instances {
            Instances::Fresh => 1,
            // A call has two parts.
            Instances::Reused { calls } => calls.get().saturating_mul(2),
        };
        let instance = sans_io.instantiate(config.memory_limit, calls).await;
        instance.map_err(CallError::Aborted)
    }
}

impl Exchange<'_> {
    async fn run(&mut self, sender: &Sender) -> Result<Result<Outputs, GetError>, CallError> {
        let began = Instant::now();
        let input = self.input.clone();
        let start = async |instance: &mut SansIoInstance| {
            instance
                .start
                .call_async(&mut instance.store, (input,))
                .await
        };
        let started = self.compute(start, |(started,)| match started {
            Ok(_) => Ok(()),
            Err(error) => returned::check_error(error),
        });
        let request = match started.await? {
            (Ok(request),) => request,
            (Err(error),) => return Ok(Err(error)),
        };
        let deadline = began + Duration::from_millis(request.timeout_ms.into());
        let mut number = 0;
        loop {
            number += 1;
            let answer = send(sender, &request, deadline).await;
            let attempt = Attempt {
                number,
                elapsed_ms: u32::try_from(began.elapsed().as_millis()).unwrap_or(u32::MAX),
                // Seeded by the system, and each time another one.
                random: RandomState::new().build_hasher().finish() as u32,
            };
            let input = self.input.clone();
            let finish = async |instance: &mut SansIoInstance| {
                let arguments = (input, attempt, answer);
                instance
                    .finish
                    .call_async(&mut instance.store, arguments)
                    .await
            };
            let finished = self.compute(finish, |(next,)| match next {
                Next::Done(outputs) => returned::check_outputs(outputs),
                Next::Failed(error) => returned::check_error(error),
                Next::Again(_) => Ok(()),
            });
            match finished.await?.0 {
                Next::Done(outputs) => return Ok(Ok(outputs)),
                Next::Failed(error) => return Ok(Err(error)),
                Next::Again(ms) => sleep(Duration::from_millis(ms.into())).await,
            }
        }
    }

    fn begin(&mut self, kind: InstanceKind) {
        if !std::mem::replace(&mut self.has_begun, true) {
            self.block.runtime.metrics.instance(kind);
        }
    }

    /// Computes in an instance, which is held for no longer than that, and not used again if what it computed breaks
    /// the contract.
    async fn compute<T>(
        &mut self,
        compute: impl AsyncFnOnce(&mut SansIoInstance) -> wasmtime::Result<T>,
        check: impl FnOnce(&T) -> Result<(), String>,
    ) -> Result<T, CallError> {
        let block = self.block;
        let mut instance = match block.pool.take(block.id, &self.call.settings) {
            Some(Instance::SansIo(instance)) => {
                self.begin(InstanceKind::Reused);
                instance
            }
            _ => {
                let instance = block.instance_of(self.sans_io).await?;
                self.begin(InstanceKind::Fresh);
                instance
            }
        };
        instance.calls_left -= 1;
        instance.store.set_epoch_deadline(1);
        let computed = compute(&mut instance).await.map_err(CallError::Aborted)?;
        check(&computed).map_err(|problem| CallError::InvalidResult { problem })?;
        let memory = instance.store.data().used();
        self.memory = self.memory.max(memory);
        if instance.calls_left > 0 && memory <= MAX_REUSED_MEMORY {
            let instance = Instance::SansIo(instance);
            block.pool.put(block.id, &self.call.settings, instance);
        }
        Ok(computed)
    }
}

/// Sends the request, and reads its answer.
async fn send(
    sender: &Sender,
    request: &ExchangeRequest,
    deadline: Instant,
) -> Result<Response, Fault> {
    let left = deadline.saturating_duration_since(Instant::now());
    let connect = Duration::from_millis(request.connect_timeout_ms.into());
    let timeouts = Timeouts {
        connect: connect.min(left),
        first_byte: left,
        between_bytes: left,
    };
    let fault = |error: NotAnswered| -> Fault {
        let kind = match error {
            NotAnswered::Denied => FaultKind::Denied,
            NotAnswered::NoAccess => FaultKind::NotSetUp,
            NotAnswered::Failed(error) => kind(error, deadline),
        };
        kind.into()
    };
    let permitted = sender
        .permit(http_request(request)?, timeouts)
        .map_err(fault)?;
    let answered = timeout_at(deadline, permitted.send()).await;
    let response = match answered {
        Err(_) => return Err(FaultKind::Timeout.into()),
        Ok(answered) => answered.map_err(fault)?,
    };
    let (head, body) = response.into_parts();
    let limit = MAX_BODY.min(request.max_body_bytes as usize);
    let announced = head.headers.get(http::header::CONTENT_LENGTH);
    let announced = announced.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let body = match announced.is_some_and(|length| length > limit as u64) {
        true => Err(FaultKind::BodyTooLarge),
        false => match timeout_at(deadline, read(body, limit, announced, deadline)).await {
            Err(_) => Err(FaultKind::Timeout),
            Ok(body) => body,
        },
    };
    Ok(Response {
        status: head.status.as_u16(),
        headers: counting(&head.headers),
        body: body.map_err(Fault::from),
    })
}

fn counting(headers: &HeaderMap) -> Vec<Header> {
    let fields = COUNT.iter().flat_map(|name| {
        let values = headers.get_all(name).iter();
        values.map(move |value| Header {
            name: name.as_str().to_owned(),
            value: String::from_utf8_lossy(value.as_bytes()).into_owned(),
        })
    });
    fields.collect()
}

async fn read(
    mut body: AnswerBody,
    limit: usize,
    announced: Option<u64>,
    deadline: Instant,
) -> Result<Vec<u8>, FaultKind> {
    let mut whole = Vec::with_capacity(announced.unwrap_or(0) as usize);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| match kind(error, deadline) {
            FaultKind::Timeout => FaultKind::Timeout,
            // What breaks a body is the connection, whatever it is called.
            _ => FaultKind::Incomplete,
        })?;
        // A server that always has a byte ready never makes this wait, and is ended here.
        if Instant::now() >= deadline {
            return Err(FaultKind::Timeout);
        }
        if let Ok(data) = frame.into_data() {
            if whole.len() + data.len() > limit {
                return Err(FaultKind::BodyTooLarge);
            }
            whole.extend_from_slice(&data);
        }
    }
    Ok(whole)
}

/// What an error of the client is to the block: at the end of the call every timeout is the deadline's.
fn kind(error: SendError, deadline: Instant) -> FaultKind {
    match error.into() {
        FaultKind::NameNotResolvedInTime | FaultKind::ConnectTimeout
            if Instant::now() >= deadline =>
        {
            FaultKind::Timeout
        }
        kind => kind,
    }
}

/// The request as the client takes it. Fields that are the connection's are not the block's to set.
fn http_request(request: &ExchangeRequest) -> Result<Request<Bytes>, FaultKind> {
    let uri: Uri = request.url.parse().map_err(|_| FaultKind::NotSendable)?;
    let body = request.body.clone().unwrap_or_default();
    let mut sent = Request::new(Bytes::from(body));
    *sent.method_mut() = match request.method {
        Method::Get => http::Method::GET,
        Method::Post => http::Method::POST,
    };
    *sent.uri_mut() = uri;
    for header in &request.headers {
        let name: HeaderName = header.name.parse().map_err(|_| FaultKind::NotSendable)?;
        let value = HeaderValue::from_str(&header.value).map_err(|_| FaultKind::NotSendable)?;
        if [CONNECTION, HOST, TRANSFER_ENCODING, UPGRADE].contains(&name) {
            return Err(FaultKind::NotSendable);
        }
        sent.headers_mut().append(name, value);
    }
    Ok(sent)
}
