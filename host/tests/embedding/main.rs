//! The host as an engine that embeds it sees it: the built block, against servers on loopback.
//!
//! | what | where |
//! |---|---|
//! | how services are connected to | [`connections`] |
//! | how long an instance lives, and what is kept of a compiled block | [`instances`] |
//! | what a block cannot do | [`walls`] |
//! | whose credential a request carries | [`access`] |
//! | invalid blocks, manifests and certificates | [`bad_input`] |
//! | how many calls run at a time, and how they end | [`concurrency`] |
//! | waiting until an operation is done | [`until_done`] |
//! | metrics and spans | [`observed`] |
//! | what a network and a service can do wrong | [`faults`] |
//! | bodies made to break a reader | [`hostile`] |
//! | where a credential may be | [`secrets`] |
//! | what holds for generated cases | [`properties`] |
//!
//! [`crafted`] makes components by hand; [`traced`] keeps what is traced.

mod access;
mod bad_input;
mod concurrency;
mod connections;
mod crafted;
mod faults;
mod hostile;
mod instances;
mod observed;
mod properties;
mod secrets;
mod traced;
mod until_done;
mod walls;

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use operations_host::{
    Block, Call, CallError, ConnectionsConfig, Failure, Host, HostConfig, Instances, LoadedBlock,
    Outputs, Pem, Resolve, Resolving,
};

use testing::PATIENCE;
use testing::names::Names;
use testing::server::Server;
use testing::tls::Ca;

/// A full name, of a service of the catalogue.
const NAME: &str = "//apigateway.googleapis.com/projects/p/locations/global/operations/o";

/// What the tests' hosts have in common: compiled blocks are kept between them.
fn config() -> HostConfig {
    HostConfig {
        cache: Some(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("blocks")),
        ..HostConfig::default()
    }
}

fn load(config: HostConfig) -> (Host, LoadedBlock) {
    let host = Host::with(config).unwrap();
    let get = host.load(&block()).unwrap();
    (host, get)
}

/// The block of the world that `OPERATIONS_WORLD` names: both keep the same promises.
fn block() -> Block {
    match std::env::var("OPERATIONS_WORLD").as_deref() {
        Ok("sans-io") => Block::sans_io(),
        Ok("block") | Err(_) => Block::builtin(),
        Ok(other) => panic!("OPERATIONS_WORLD is block or sans-io, and not {other}"),
    }
}

/// A host for so many calls at a time.
fn load_for(calls_in_flight: u32) -> (Host, Arc<LoadedBlock>) {
    let (host, get) = load(HostConfig {
        calls_in_flight: number(calls_in_flight),
        ..config()
    });
    (host, Arc::new(get))
}

fn number(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap()
}

fn reused(calls: u32) -> Instances {
    Instances::Reused {
        calls: number(calls),
    }
}

/// A call that this server answers.
fn call(server: &Server) -> Call {
    to(server.endpoint())
}

fn to(endpoint: String) -> Call {
    Call::new("operations/o").setting("OPERATIONS_ENDPOINT", endpoint)
}

/// A failure of the block that asking again cannot help.
#[track_caller]
fn permanent(result: Result<Outputs, CallError>) -> Failure {
    match result {
        Err(CallError::Permanent(failure)) => failure,
        other => panic!("a permanent failure was expected, and this came: {other:?}"),
    }
}

/// A failure of the block that may pass.
#[track_caller]
fn transient(result: Result<Outputs, CallError>) -> Failure {
    match result {
        Err(CallError::Transient(failure)) => failure,
        other => panic!("a transient failure was expected, and this came: {other:?}"),
    }
}

/// The value of a metric, by its name with its labels; 0 where it is not there.
fn metric(host: &Host, metric: &str) -> u64 {
    let text = host.metrics();
    let values = text
        .lines()
        .filter_map(|line| line.strip_prefix(metric)?.strip_prefix(' '));
    values
        .map(|value| value.parse::<u64>().unwrap())
        .next()
        .unwrap_or(0)
}

/// How many calls got a new instance, and how many one that had served others.
fn instances_got(host: &Host) -> (u64, u64) {
    let of = |kind| {
        metric(
            host,
            &format!("operations_instances_total{{kind=\"{kind}\"}}"),
        )
    };
    (of("fresh"), of("reused"))
}

/// Waits until it is so, while the other tasks run.
async fn until(what: impl Fn() -> bool) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !what() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    assert!(waited.await.is_ok(), "it did not come");
}

/// The name service of a host.
struct Resolver(Arc<Names>);

impl Resolve for Resolver {
    fn resolve(&self, name: &str) -> Resolving {
        Box::pin(self.0.look_up(name))
    }
}

fn resolving(names: &Arc<Names>) -> ConnectionsConfig {
    ConnectionsConfig {
        resolver: Arc::new(Resolver(names.clone())),
        ..ConnectionsConfig::default()
    }
}

fn trusting(ca: &Ca) -> ConnectionsConfig {
    ConnectionsConfig {
        extra_ca: vec![Pem::new("ca.pem", ca.pem.as_str())],
        ..ConnectionsConfig::default()
    }
}
