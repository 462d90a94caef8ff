//! An operations server that plays Google's services, so that `operations.get` can be tried with no account.
//!
//! It answers `GET /{version}/{name}` for any version such as `v1` or `v1beta`, with a `google.longrunning.Operation`
//! (AIP-151) or an AIP-193 error. Operations that a service hands out in a way of its own are had in that way: those of
//! storage by `b/{bucket}/operations/{operation}`, those of a publisher's model on Vertex AI by
//! `POST …:fetchPredictOperation`. Queries, credentials and other headers are ignored. Each request is an event of
//! `tracing` with its method, path and status.
//!
//! A request whose host is neither `localhost`, a loopback address nor the address that it arrived at is answered with
//! 421: it comes from the page of a site that has its name resolve to this machine (DNS rebinding).
//!
//! The operations are either built in ([`Emulator::builtin`]) or read from files ([`Emulator::from_dir`]). In both
//! cases these names, alone or at the end of a longer name, ask for a failure unless a file has the name:
//!
//! - `operations/error-STATUS`, where STATUS is 400, 401, 403, 404, 409, 429, 500, 501, 502, 503 or 504: an AIP-193 error
//!   with that HTTP status. 401 has a `WWW-Authenticate` header; 403 is a `SERVICE_DISABLED` with its activation URL;
//!   429 and 503 have a `Retry-After: 1` header and a `google.rpc.RetryInfo`.
//! - `operations/html-404`: the HTML page that Google's front end gives for a URL outside every API.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! # use operations_emulator::Emulator;
//! let running = Emulator::builtin().bind(([127, 0, 0, 1], 0).into()).await?;
//! println!("{}", running.endpoint());
//! # Ok(())
//! # }
//! ```

mod builtin;
mod collection;
mod directory;
mod failure;
mod host;
mod path;
mod response;
mod server;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use serde::Deserialize;

use builtin::{BUILTIN_OPERATIONS, BuiltinOperation};
use host::HostError;
use path::PathError;

pub use collection::service_of;
pub use directory::EmulatorError;
pub use server::Running;

/// How long a built-in operation runs, counted from its first request, unless the caller says otherwise.
pub const DEFAULT_RUN_TIME: Duration = Duration::from_secs(3);

/// The built-in operations as `(service, name)`, where a service is a host and a version, for example
/// `("apigateway.googleapis.com/v1", "projects/demo/locations/global/operations/operation-create-api")`.
///
/// In this order: one that ends in a response, one that ends in an error, and one that reports its progress and ends
/// in a response that tells of a failure.
pub fn builtin_names() -> [(&'static str, &'static str); 3] {
    BUILTIN_OPERATIONS
        .each_ref()
        .map(|operation| (operation.service, operation.name))
}

/// A set of operations, by name. [`Emulator::bind`] serves it.
#[derive(Debug)]
pub struct Emulator {
    operations: BTreeMap<String, Operation>,
}

enum Operation {
    /// Served byte for byte.
    Recorded(Bytes),
    BuiltIn {
        operation: &'static BuiltinOperation,
        run_time: Duration,
        first_request: OnceLock<Instant>,
    },
}

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Recorded(body) => write!(f, "Recorded({} bytes)", body.len()),
            Self::BuiltIn { run_time, .. } => write!(f, "BuiltIn({run_time:?})"),
        }
    }
}

impl Operation {
    fn body(&self, now: Instant) -> Bytes {
        match self {
            Self::Recorded(body) => body.clone(),
            Self::BuiltIn {
                operation,
                run_time,
                first_request,
            } => {
                let first = *first_request.get_or_init(|| now);
                operation.body(now.saturating_duration_since(first), *run_time)
            }
        }
    }
}

impl Emulator {
    /// The operations of [`builtin_names`], each of which runs for [`DEFAULT_RUN_TIME`] from its first request.
    pub fn builtin() -> Self {
        Self::builtin_with_run_time(DEFAULT_RUN_TIME)
    }

    /// The operations of [`builtin_names`], each of which runs for `run_time` from its first request. With
    /// [`Duration::ZERO`] the first request already sees it ended.
    pub fn builtin_with_run_time(run_time: Duration) -> Self {
        let operations = BUILTIN_OPERATIONS
            .iter()
            .map(|operation| {
                let first_request = OnceLock::new();
                let state = Operation::BuiltIn {
                    operation,
                    run_time,
                    first_request,
                };
                (operation.name.to_owned(), state)
            })
            .collect();
        Self { operations }
    }

    /// One operation for every `*.json` file in `dir`, without its subdirectories. The file's member `name` is the
    /// operation's name, and the file is what a request gets, byte for byte. An id alone, as speech v1 says it, is
    /// asked for by `operations/ID`.
    ///
    /// # Errors
    ///
    /// When the directory or a file cannot be read, when a file is not a JSON object with a `name` that has an
    /// `operations` segment or is one of `batches/*` or `transferOperations/*`, when two files have the same name, and
    /// when there is no such file. Each error names the path and says what to do.
    pub fn from_dir(dir: &Path) -> Result<Self, EmulatorError> {
        let recorded = directory::read(dir)?.into_iter();
        let operations = recorded
            .map(|(name, body)| (name, Operation::Recorded(body)))
            .collect();
        Ok(Self { operations })
    }

    /// The names of the operations, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.operations.keys().map(String::as_str)
    }

    /// Serves the operations at `addr` (port 0 lets the system pick one) until the returned [`Running`] is dropped.
    /// Needs a tokio runtime with I/O and time enabled.
    ///
    /// There is no authentication: bind to a loopback address unless the operations may be read by everyone.
    ///
    /// # Errors
    ///
    /// When the address cannot be bound, for example because the port is taken.
    pub async fn bind(self, addr: SocketAddr) -> io::Result<Running> {
        let answer = move |request: &Request<Bytes>, arrived_at| {
            let response = self.answer(request, arrived_at, Instant::now());
            // Without the query, which may hold a key.
            let (path, status) = (request.uri().path(), response.status().as_u16());
            tracing::debug!(method = request.method().as_str(), path, status, "answer");
            response
        };
        Running::start(addr, answer).await
    }

    fn answer(
        &self,
        request: &Request<Bytes>,
        arrived_at: IpAddr,
        now: Instant,
    ) -> Response<Full<Bytes>> {
        match host::check(request, arrived_at) {
            Ok(()) => {}
            Err(HostError::Invalid) => return failure::no_host(),
            Err(HostError::Other(host)) => return failure::misdirected(&host),
        }
        let path = request.uri().path();
        let name = path::operation_name(path);
        let model = name.as_deref().ok().and_then(path::model);
        match (request.method(), model) {
            (&Method::GET, _) => {}
            (&Method::POST, Some(model)) => {
                return self.fetched(model, request.body(), path, now);
            }
            (method, _) => return failure::method_not_allowed(method.as_str()),
        }
        match name {
            Ok(name) if path::is_operation_of_a_model(&name) => failure::page_not_found(path),
            Ok(name) => self.operation(&name, path, now),
            Err(PathError::NoVersion) => failure::page_not_found(path),
            Err(PathError::BadEscape) => failure::bad_escape(path),
        }
    }

    /// What `fetchPredictOperation` answers.
    fn fetched(&self, model: &str, body: &[u8], path: &str, now: Instant) -> Response<Full<Bytes>> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Fetch {
            operation_name: String,
        }
        let is_of_the_model = |name: &str| {
            let rest = name.strip_prefix(model);
            rest.is_some_and(|rest| rest.starts_with("/operations/"))
        };
        match serde_json::from_slice(body) {
            Ok(Fetch { operation_name }) if is_of_the_model(&operation_name) => {
                self.operation(&operation_name, path, now)
            }
            _ => failure::no_operation_name(model),
        }
    }

    /// The operation of this name, or the failure that the name asks for.
    fn operation(&self, name: &str, path: &str, now: Instant) -> Response<Full<Bytes>> {
        match self.find(name) {
            Some(operation) => response::new(StatusCode::OK, response::JSON, operation.body(now)),
            None => failure::asked_for(name, path).unwrap_or_else(|| failure::not_found(name)),
        }
    }

    /// The operation of the name in a path.
    fn find(&self, name: &str) -> Option<&Operation> {
        let of_bucket = || {
            let asked = path::asked_of_bucket(name)?;
            let mut operations = self.operations.iter();
            let is_asked = |recorded: &str| {
                path::of_bucket(recorded) == Some((asked.0.as_str(), asked.1.as_str()))
            };
            operations.find_map(|(recorded, operation)| is_asked(recorded).then_some(operation))
        };
        let one_segment = || self.operations.get(&path::with_slashes(name));
        self.operations
            .get(name)
            .or_else(of_bucket)
            .or_else(one_segment)
    }
}

#[cfg(test)]
mod tests;
