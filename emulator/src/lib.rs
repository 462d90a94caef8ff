//! An operations server that plays Google's services, so that `operations.get` can be tried with no account.
//!
//! It answers `GET /{version}/{name}` for any version such as `v1` or `v1beta`, with a `google.longrunning.Operation`
//! (AIP-151) or an AIP-193 error. Queries, credentials and other headers are ignored, and nothing is logged.
//!
//! The operations are either built in ([`Emulator::builtin`]) or read from files ([`Emulator::from_dir`]). In both
//! cases these names, alone or at the end of a longer name, ask for a failure unless a file has the name:
//!
//! - `operations/error-STATUS`, where STATUS is 400, 401, 403, 404, 409, 429, 500, 501, 503 or 504: an AIP-193 error
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
mod content_type;
mod failure;
mod path;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::future::{self, Future};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use builtin::{BUILTIN_OPERATIONS, BuiltinOperation};
use path::PathError;

/// How long a built-in operation runs, counted from its first request, unless the caller says otherwise.
pub const DEFAULT_RUN_TIME: Duration = Duration::from_secs(3);

/// How long to wait before the next accept after one failed, for example because the process has no file descriptor
/// left: an error that would come back at once, many thousand times a second.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

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
    /// operation's name, and the file is what a request gets, byte for byte.
    ///
    /// # Errors
    ///
    /// When the directory or a file cannot be read, when a file is not a JSON object with a `name` that has an
    /// `operations` segment, when two files have the same name, and when there is no such file. Each error names the
    /// path and says what to do.
    pub fn from_dir(dir: &Path) -> Result<Self, EmulatorError> {
        let mut operations = BTreeMap::new();
        let mut origins: BTreeMap<String, PathBuf> = BTreeMap::new();
        for file in json_files(dir)? {
            let body = match std::fs::read(&file) {
                Ok(body) => body,
                Err(source) => return Err(EmulatorError::Read { path: file, source }),
            };
            let name = match recorded_name(&body) {
                Ok(name) => name,
                Err(reason) => return Err(EmulatorError::NotAnOperation { file, reason }),
            };
            if let Some(first) = origins.insert(name.clone(), file.clone()) {
                return Err(EmulatorError::DuplicateName {
                    name,
                    first,
                    second: file,
                });
            }
            operations.insert(name, Operation::Recorded(Bytes::from(body)));
        }
        if operations.is_empty() {
            return Err(EmulatorError::Empty {
                dir: dir.to_owned(),
            });
        }
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
        let listener = TcpListener::bind(addr).await?;
        let local_addr = listener.local_addr()?;
        let task = tokio::spawn(accept(listener, Arc::new(self)));
        Ok(Running { local_addr, task })
    }

    fn answer(&self, method: &Method, path: &str, now: Instant) -> Response<Full<Bytes>> {
        if method != Method::GET {
            return failure::method_not_allowed(method.as_str());
        }
        let name = match path::operation_name(path) {
            Ok(name) => name,
            Err(PathError::NoVersion) => return failure::page_not_found(path),
            Err(PathError::BadEscape) => return failure::bad_escape(path),
        };
        let Some(operation) = self.operations.get(&name) else {
            return failure::asked_for(&name, path).unwrap_or_else(|| failure::not_found(&name));
        };
        let mut response = Response::new(Full::new(operation.body(now)));
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static(content_type::JSON));
        response
    }
}

/// A server that runs until it is dropped, which closes its connections too.
#[derive(Debug)]
#[must_use = "the server stops when this is dropped"]
pub struct Running {
    local_addr: SocketAddr,
    task: JoinHandle<()>,
}

impl Running {
    /// The address that is listened on, with the port that the system picked if it was asked to.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// What to use in place of `https://SERVICE/VERSION`: `http://127.0.0.1:PORT/v1`. The server takes any version.
    pub fn endpoint(&self) -> String {
        format!("http://{}/v1", self.local_addr)
    }

    /// Serves until `shutdown` completes, for example `async { _ = tokio::signal::ctrl_c().await }`, then stops.
    pub async fn serve_until(self, shutdown: impl Future<Output = ()>) {
        shutdown.await;
        drop(self);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Accepts connections for ever. The connections live in the set, so that they end with this task.
async fn accept(listener: TcpListener, emulator: Arc<Emulator>) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let emulator = Arc::clone(&emulator);
        connections.spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let response =
                    emulator.answer(request.method(), request.uri().path(), Instant::now());
                future::ready(Ok::<_, Infallible>(response))
            });
            // An error is a client that went away or does not speak HTTP/1.1: it ends its own connection only.
            let _ = http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

fn json_files(dir: &Path) -> Result<Vec<PathBuf>, EmulatorError> {
    let unreadable = |source| EmulatorError::Read {
        path: dir.to_owned(),
        source,
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
            && !path.is_dir()
        {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The name of a recorded operation, or why it has none.
fn recorded_name(body: &[u8]) -> Result<String, String> {
    #[derive(Deserialize)]
    struct Named {
        name: String,
    }

    let text = std::str::from_utf8(body).map_err(|error| format!("not UTF-8: {error}"))?;
    // serde would also take an array, with the name as its first element.
    if !text
        .trim_start_matches([' ', '\t', '\r', '\n'])
        .starts_with('{')
    {
        return Err("not a JSON object".to_owned());
    }
    let Named { name } = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if name.split('/').any(|segment| segment == "operations") {
        Ok(name)
    } else {
        Err(format!("the name {name:?} has no segment \"operations\""))
    }
}

/// Why a directory cannot be served. The text says what to do about it.
#[derive(Debug)]
#[non_exhaustive]
pub enum EmulatorError {
    /// The directory or a file in it cannot be read.
    Read {
        /// The directory or file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The directory has no `*.json` file.
    Empty {
        /// The directory.
        dir: PathBuf,
    },
    /// A file is not a JSON object with a string `name` that has an `operations` segment.
    NotAnOperation {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Two files have the same `name`.
    DuplicateName {
        /// The name.
        name: String,
        /// The file that sorts first.
        first: PathBuf,
        /// The other file.
        second: PathBuf,
    },
}

impl fmt::Display for EmulatorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { path, source } => write!(
                f,
                "cannot read {}: {source}. Give a directory of *.json files that you may read.",
                path.display()
            ),
            Self::Empty { dir } => write!(
                f,
                "{} has no *.json file. Put one file per operation there, each with a JSON object such as \
                 {{\"name\": \"operations/x\", \"done\": true, \"response\": {{}}}}.",
                dir.display()
            ),
            Self::NotAnOperation { file, reason } => write!(
                f,
                "{} is not an operation: {reason}. Make it one JSON object with a string member \"name\" such as \
                 \"operations/x\", or move it out of the directory.",
                file.display()
            ),
            Self::DuplicateName {
                name,
                first,
                second,
            } => write!(
                f,
                "{} and {} both have the name {name:?}. Change the name in one of them, or move it out of the \
                 directory.",
                first.display(),
                second.display()
            ),
        }
    }
}

impl std::error::Error for EmulatorError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read { source, .. } => Some(source),
            Self::Empty { .. } | Self::NotAnOperation { .. } | Self::DuplicateName { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests;
