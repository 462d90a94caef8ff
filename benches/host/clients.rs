//! What is compared: a plain hyper client, the block in this host, and the block on wasmtime's own client.

use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use operations_host::{
    Block, Call, ConnectionsConfig, Host, HostConfig, Instances, LoadedBlock, Pem,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Config, Engine, Store};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{
    Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
};

use crate::server::NAME;

/// Something that can be asked for the operation, by one task after another.
pub enum Client {
    /// A connection of its own to this address, kept.
    Hyper(String),
    /// The block.
    Block(Arc<LoadedBlock>, Call),
    /// The block on an engine as it comes, with a connection for each request.
    Wasmtime(Arc<Bare>),
}

/// A client as one task has it.
pub enum Turn<'a> {
    /// With the connection, and the host it names.
    Hyper(SendRequest<Empty<Bytes>>, &'a str),
    /// See [`Client`].
    Block(&'a LoadedBlock, &'a Call),
    /// See [`Client`].
    Wasmtime(&'a Bare),
}

impl Client {
    /// The block in this host.
    pub fn block(block: &Block, instances: Instances, endpoint: &str, ca: Option<&Path>) -> Client {
        let block = load(block, instances, 100, 64, ca);
        Client::Block(Arc::new(block), call(endpoint))
    }

    /// Makes what one task needs.
    pub async fn turn(&self) -> Turn<'_> {
        match self {
            Client::Hyper(address) => Turn::Hyper(connect(address).await, address),
            Client::Block(block, call) => Turn::Block(block, call),
            Client::Wasmtime(bare) => Turn::Wasmtime(bare),
        }
    }
}

impl Turn<'_> {
    /// One call; the operation is there.
    pub async fn ask(&mut self) {
        match self {
            Turn::Hyper(sender, host) => hyper(sender, host).await,
            Turn::Block(block, call) => {
                let outputs = block.call(call).await.expect("the operation is there");
                assert!(outputs.done);
            }
            Turn::Wasmtime(bare) => bare.ask().await,
        }
    }
}

/// A reused instance serves so many calls here.
pub fn reused() -> Instances {
    Instances::Reused {
        calls: NonZeroU32::new(1000).expect("more than none"),
    }
}

/// The block, in a host of its own.
pub fn load(
    block: &Block,
    instances: Instances,
    calls: u32,
    connections: usize,
    ca: Option<&Path>,
) -> LoadedBlock {
    let extra_ca = ca.map(|ca| Pem::read(ca).expect("the server wrote it"));
    let host = Host::with(HostConfig {
        instances,
        calls_in_flight: calls.try_into().expect("more than none"),
        connections: ConnectionsConfig {
            extra_ca: extra_ca.into_iter().collect(),
            connections_per_host: connections.try_into().expect("more than none"),
            ..ConnectionsConfig::default()
        },
        ..HostConfig::default()
    });
    let host = host.expect("the engine runs here");
    host.load(block).expect("the block fits")
}

/// A call for the operation.
pub fn call(endpoint: &str) -> Call {
    Call::new(NAME).setting("OPERATIONS_ENDPOINT", endpoint)
}

async fn connect(address: &str) -> SendRequest<Empty<Bytes>> {
    let stream = TcpStream::connect(address)
        .await
        .expect("the server accepts");
    stream.set_nodelay(true).expect("a socket");
    let (sender, connection) = handshake(TokioIo::new(stream))
        .await
        .expect("it speaks HTTP");
    tokio::spawn(connection);
    sender
}

/// What a program without the block does: one request, the body parsed.
async fn hyper(sender: &mut SendRequest<Empty<Bytes>>, host: &str) {
    let request = Request::get(format!("/v1/{NAME}?$.xgafv=2&prettyPrint=false"))
        .header("host", host)
        .header("accept", "application/json")
        .body(Empty::new())
        .expect("a valid request");
    sender.ready().await.expect("the connection is kept");
    let response = sender.send_request(request).await.expect("an answer");
    let body = response.into_body().collect().await.expect("a whole body");
    let operation: serde_json::Value = serde_json::from_slice(&body.to_bytes()).expect("JSON");
    assert_eq!(operation["done"], true);
}

/// wasmtime without this host: its default allocator, and a connection for each request.
///
/// For TLS its default client knows the public CAs alone, and cannot be pointed at a server of this
/// machine. This one does what that one does, handshake by handshake, and trusts the server's CA alone:
/// it saves the copy of the public CAs that the default one makes for each request.
pub struct Bare {
    pre: bindings::BlockPre<State>,
    endpoint: String,
    ca: Option<Vec<u8>>,
}

mod bindings {
    #![allow(missing_docs)]
    wasmtime::component::bindgen!({ path: "../wit", world: "block", exports: { default: async } });
}

struct State {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    hooks: Hooks,
    table: ResourceTable,
}

struct Hooks {
    ca: Option<Vec<u8>>,
}

impl Bare {
    /// The block on an engine as it comes.
    pub fn new(endpoint: &str, ca: Option<&Path>) -> Bare {
        let engine = Engine::new(&Config::new()).expect("the engine runs here");
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).expect("an empty linker");
        wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker).expect("no HTTP yet");
        let component = Component::new(&engine, Block::builtin().component()).expect("a component");
        let pre = linker.instantiate_pre(&component).expect("it imports WASI");
        Bare {
            pre: bindings::BlockPre::new(pre).expect("it exports the contract"),
            endpoint: endpoint.to_owned(),
            ca: ca.map(|ca| std::fs::read(ca).expect("the server wrote it")),
        }
    }

    async fn ask(&self) {
        let state = State {
            wasi: WasiCtx::builder()
                .env("OPERATIONS_ENDPOINT", &self.endpoint)
                .build(),
            http: WasiHttpCtx::new(),
            hooks: Hooks {
                ca: self.ca.clone(),
            },
            table: ResourceTable::new(),
        };
        let mut store = Store::new(self.pre.engine(), state);
        let block = self.pre.instantiate_async(&mut store).await.expect("room");
        let operations = block.blocks_google_longrunning_operations();
        let outputs = operations
            .call_get(&mut store, NAME)
            .await
            .expect("no trap");
        assert!(outputs.expect("the operation is there").done);
    }
}

type Sent = Result<
    (
        http::Response<WasiBody>,
        Box<dyn Future<Output = Result<(), Error>> + Send>,
    ),
    Error,
>;

impl WasiHttpHooks for Hooks {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _sent: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        let ca = self.ca.clone();
        Box::new(async move {
            let Some(ca) = ca else {
                let (response, io) =
                    wasmtime_wasi_http::default_send_request(request, options).await?;
                let io: Box<dyn Future<Output = Result<(), Error>> + Send> = Box::new(io);
                return Ok((response.map(BodyExt::boxed_unsync), io));
            };
            let response = over_tls(request, &ca).await;
            let io: Box<dyn Future<Output = Result<(), Error>> + Send> = Box::new(async { Ok(()) });
            Ok((response, io))
        })
    }
}

async fn over_tls(mut request: Request<WasiBody>, ca: &[u8]) -> http::Response<WasiBody> {
    use rustls::pki_types::pem::PemObject;
    let authority = request.uri().authority().expect("absolute").clone();
    let stream = TcpStream::connect(authority.as_str())
        .await
        .expect("the server accepts");
    let mut roots = rustls::RootCertStore::empty();
    let ca = rustls::pki_types::CertificateDer::from_pem_slice(ca).expect("PEM");
    roots.add(ca).expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the defaults")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = authority.host().to_owned().try_into().expect("a name");
    let connector = TlsConnector::from(Arc::new(config));
    let stream = connector.connect(name, stream).await.expect("TLS");
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.expect("HTTP");
    tokio::spawn(connection);
    let path = request.uri().path_and_query().expect("a path").as_str();
    *request.uri_mut() = path.parse().expect("a path");
    let response = sender.send_request(request).await.expect("an answer");
    response.map(|body| body.map_err(Error::from).boxed_unsync())
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            ctx: &mut self.http,
            table: &mut self.table,
            hooks: &mut self.hooks,
        }
    }
}
