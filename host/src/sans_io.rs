//! The world `sans-io` (`wit/sans-io.wit`): a component that says what to send and what an answer means, and an
//! instance of it, which is held only while it computes.
//!
//! Its types are structural: outputs and failures are those of `operations`.

use std::sync::Arc;

use wasmtime::Store;
use wasmtime::component::{
    Component, ComponentExportIndex, ComponentType, InstancePre, Lift, Linker, Lower, TypedFunc,
};

use crate::bindings::{GetError, Outputs};
use crate::error::LoadError;
use crate::http::SendError;
use crate::sandbox::{Memory, store};
use crate::validate::{self, World};

/// A setting of the call.
#[derive(ComponentType, Lower)]
#[component(record)]
pub(crate) struct Setting {
    pub variable: String,
    pub value: String,
}

/// The same for `start` and for every `finish`.
#[derive(ComponentType, Lower)]
#[component(record)]
pub(crate) struct ExchangeCall {
    pub name: String,
    pub settings: Vec<Setting>,
    #[component(name = "adds-credential")]
    pub adds_credential: bool,
}

/// What to send.
#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct ExchangeRequest {
    pub method: Method,
    pub url: String,
    pub headers: Vec<Header>,
    pub body: Option<String>,
    #[component(name = "connect-timeout-ms")]
    pub connect_timeout_ms: u32,
    #[component(name = "timeout-ms")]
    pub timeout_ms: u32,
    #[component(name = "max-body-bytes")]
    pub max_body_bytes: u32,
}

// A component makes it.
#[allow(dead_code)]
#[derive(ComponentType, Lift, Clone, Copy)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum Method {
    #[component(name = "get")]
    Get,
    #[component(name = "post")]
    Post,
}

#[derive(ComponentType, Lift, Lower)]
#[component(record)]
pub(crate) struct Header {
    pub name: String,
    pub value: String,
}

/// One sending of the request.
#[derive(ComponentType, Lower, Clone, Copy)]
#[component(record)]
pub(crate) struct Attempt {
    pub number: u32,
    #[component(name = "elapsed-ms")]
    pub elapsed_ms: u32,
    pub random: u32,
}

/// What came back.
#[derive(ComponentType, Lower)]
#[component(record)]
pub(crate) struct Response {
    pub status: u16,
    pub headers: Vec<Header>,
    pub body: Result<Vec<u8>, Fault>,
}

/// Why there is no answer, or no whole body.
#[derive(ComponentType, Lower, Clone)]
#[component(record)]
pub(crate) struct Fault {
    pub kind: FaultKind,
    /// This host names its proxy itself, in the same words for both worlds.
    pub proxy: Option<String>,
}

macro_rules! fault_kinds {
    ($($kind:ident $name:literal)*) => {
        /// As in WIT, in its order.
        #[allow(dead_code)]
        #[derive(ComponentType, Lower, Clone, Copy, Debug, PartialEq)]
        #[component(enum)]
        #[repr(u8)]
        pub(crate) enum FaultKind {
            $(#[component(name = $name)] $kind,)*
        }
    };
}

fault_kinds! {
    NameNotResolved "name-not-resolved"
    NameNotResolvedInTime "name-not-resolved-in-time"
    NoRoute "no-route"
    Refused "refused"
    NoConnectionToSpare "no-connection-to-spare"
    ConnectTimeout "connect-timeout"
    Closed "closed"
    Incomplete "incomplete"
    TransferCoding "transfer-coding"
    Protocol "protocol"
    SenderFailed "sender-failed"
    Timeout "timeout"
    Certificate "certificate"
    TlsAlert "tls-alert"
    TlsHandshake "tls-handshake"
    Denied "denied"
    AddressDenied "address-denied"
    ProxyLoop "proxy-loop"
    NotSetUp "not-set-up"
    NotSendable "not-sendable"
    HeaderTooLarge "header-too-large"
    BodyTooLarge "body-too-large"
    ContentCoding "content-coding"
}

impl From<FaultKind> for Fault {
    fn from(kind: FaultKind) -> Fault {
        Fault { kind, proxy: None }
    }
}

impl From<SendError> for FaultKind {
    fn from(error: SendError) -> FaultKind {
        match error {
            SendError::UriInvalid => FaultKind::NotSendable,
            SendError::ProxyInvalid(_) => FaultKind::NotSetUp,
            SendError::Proxy { fault, .. } => (*fault).into(),
            SendError::DnsTimeout => FaultKind::NameNotResolvedInTime,
            SendError::Dns(_) => FaultKind::NameNotResolved,
            SendError::DestinationUnavailable(_) => FaultKind::NoRoute,
            SendError::ConnectionRefused => FaultKind::Refused,
            SendError::ConnectionTimeout => FaultKind::ConnectTimeout,
            SendError::ReadTimeout => FaultKind::Timeout,
            SendError::ConnectionTerminated => FaultKind::Closed,
            SendError::ResponseIncomplete => FaultKind::Incomplete,
            SendError::ProtocolError(_) => FaultKind::Protocol,
            SendError::Certificate(_) => FaultKind::Certificate,
            SendError::TlsAlert { .. } => FaultKind::TlsAlert,
            SendError::TlsProtocol(_) => FaultKind::TlsHandshake,
            SendError::HeaderTooLarge => FaultKind::HeaderTooLarge,
            SendError::ConnectionLimit(_) => FaultKind::NoConnectionToSpare,
            SendError::Denied(_) => FaultKind::Denied,
            SendError::Internal(_) => FaultKind::SenderFailed,
        }
    }
}

/// What follows an attempt.
#[derive(ComponentType, Lift)]
#[component(variant)]
pub(crate) enum Next {
    #[component(name = "done")]
    Done(Outputs),
    #[component(name = "again")]
    Again(u32),
    #[component(name = "failed")]
    Failed(GetError),
}

type StartParameters = (Arc<ExchangeCall>,);
type StartResults = (Result<ExchangeRequest, GetError>,);
type FinishParameters = (Arc<ExchangeCall>, Attempt, Result<Response, Fault>);
type FinishResults = (Next,);

/// A component that is ready to be instantiated.
#[derive(Clone)]
pub(crate) struct SansIo(Arc<Ready>);

struct Ready {
    pre: InstancePre<Memory>,
    start: ComponentExportIndex,
    finish: ComponentExportIndex,
}

/// An instance, ready for either function.
pub(crate) struct SansIoInstance {
    pub store: Store<Memory>,
    pub calls_left: u32,
    pub start: TypedFunc<StartParameters, StartResults>,
    pub finish: TypedFunc<FinishParameters, FinishResults>,
}

impl SansIo {
    /// Finds the two functions of a component, and checks their types.
    pub fn new(component: &Component) -> Result<SansIo, LoadError> {
        let interface = validate::versioned("exchange");
        let missing = |export: &str| LoadError::MissingExport {
            export: export.to_owned(),
        };
        let index = component.get_export_index(None, &interface);
        let index = index.ok_or_else(|| missing(&interface))?;
        let function = |name: &str| {
            let found = component.get_export_index(Some(&index), name);
            found.ok_or_else(|| missing(name))
        };
        let (start, finish) = (function("start")?, function("finish")?);
        let linker = Linker::new(component.engine());
        let pre = linker
            .instantiate_pre(component)
            .map_err(LoadError::OtherContract)?;
        validate::types::<_, StartParameters, StartResults>(&pre, World::SansIo, "start")?;
        validate::types::<_, FinishParameters, FinishResults>(&pre, World::SansIo, "finish")?;
        Ok(SansIo(Arc::new(Ready { pre, start, finish })))
    }

    /// Makes an instance with this much memory at most.
    ///
    /// # Errors
    ///
    /// If it cannot be made, or its functions have other types.
    pub async fn instantiate(
        &self,
        memory_limit: usize,
        calls_left: u32,
    ) -> wasmtime::Result<SansIoInstance> {
        let mut store = store(self.0.pre.engine(), Memory::new(memory_limit), |memory| {
            memory
        });
        let instance = self.0.pre.instantiate_async(&mut store).await?;
        Ok(SansIoInstance {
            start: instance.get_typed_func(&mut store, self.0.start)?,
            finish: instance.get_typed_func(&mut store, self.0.finish)?,
            store,
            calls_left,
        })
    }
}
