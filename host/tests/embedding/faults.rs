//! What a network and a service can do wrong, each fault on an origin of its own: what becomes of the call,
//! how often it is tried, how long it takes, and that the next call to the same origin is answered.
//!
//! ```sh
//! cargo test --release --test embedding faults -- --nocapture   # prints the table
//! ```

use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use operations_host::{
    Access, Call, CallError, ConnectionsConfig, HostConfig, Instances, LoadedBlock, Outputs, Reason,
};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::traced::{Captured, TracedCall};
use crate::{config, load, resolving, reused, secrets, to, trusting};
use testing::names::{Found, Names, addresses_of};
use testing::server::{Server, head, loopback};
use testing::tls::{Ca, server_self_signed};
use testing::{CANARY, DONE};

/// The deadline of the calls that only it can end.
const DEADLINE: Duration = Duration::from_millis(400);

/// The deadline of the others.
const FAR: Duration = Duration::from_secs(20);

/// What a busy machine may take beyond what is waited for.
const SLACK: Duration = Duration::from_secs(4);

/// A whole answer.
const GOOD: &str = "HTTP/1.1 200 OK\r\ncontent-length: 54\r\n\r\n";

/// How long a call takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Takes {
    /// Nothing is waited for: the deadline is far.
    NoTime,
    /// One wait between two attempts, of a half to one second; the deadline is far.
    OneRetry,
    /// Up to the deadline, [`DEADLINE`].
    TheDeadline,
}

impl Takes {
    fn bounds(self) -> Range<Duration> {
        let (least, most) = match self {
            Takes::NoTime => (Duration::ZERO, Duration::ZERO),
            Takes::OneRetry => (Duration::from_millis(500), Duration::from_secs(1)),
            Takes::TheDeadline => (DEADLINE, DEADLINE),
        };
        least..most + SLACK
    }
}

/// What a server does in place of an answer.
enum Play {
    /// Sends this, and closes the connection.
    Close(Vec<u8>),
    /// Sends this, and resets the connection.
    Reset(Vec<u8>),
    /// Sends this, and nothing more for as long as the client waits.
    Hold(Vec<u8>),
    /// Sends the one, then a byte of the other from time to time, over and over.
    Drip(Vec<u8>, Vec<u8>),
    /// Sends the one, then the other as fast as it can, over and over.
    Flood(Vec<u8>, Vec<u8>),
}

impl Play {
    async fn on(&self, stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<()> {
        match self {
            Play::Close(text) | Play::Reset(text) => stream.write_all(text).await,
            Play::Hold(text) => {
                stream.write_all(text).await?;
                while stream.read_u8().await.is_ok() {}
                Ok(())
            }
            Play::Drip(begin, drops) => {
                stream.write_all(begin).await?;
                for drop in drops.iter().cycle() {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    stream.write_all(&[*drop]).await?;
                }
                Ok(())
            }
            Play::Flood(begin, flood) => {
                stream.write_all(begin).await?;
                let flood = flood.repeat(1 + 16_384 / flood.len());
                loop {
                    stream.write_all(&flood).await?;
                }
            }
        }
    }
}

/// Where in a connection it goes wrong.
enum At {
    /// In the answer, over HTTP/1.1 in the clear.
    Answer(Play),
    /// In place of a TLS handshake.
    Handshake(Play),
    /// In the handshake, by these settings of the server.
    Certificate(ServerConfig),
    /// In the answer, over HTTP/2: frames.
    Frames(Play),
}

/// A server that goes wrong until it is mended.
struct Origin {
    at: At,
    /// The settings for TLS once it is mended, and for what goes wrong later than in the handshake.
    tls: TlsAcceptor,
    faulty: Arc<AtomicBool>,
    heads: Heads,
}

/// The heads of the requests over HTTP/1.1.
type Heads = Arc<Mutex<Vec<String>>>;

impl Origin {
    fn is_faulty(&self) -> bool {
        self.faulty.load(Ordering::SeqCst)
    }

    async fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let acceptor = match &self.at {
            At::Answer(play) => return self.http1(stream, Some(play)).await,
            At::Handshake(play) if self.is_faulty() => return play.on(&mut stream).await,
            At::Certificate(config) if self.is_faulty() => {
                TlsAcceptor::from(Arc::new(config.clone()))
            }
            _ => self.tls.clone(),
        };
        let stream = acceptor.accept(stream).await?;
        match &self.at {
            At::Frames(play) => self.http2(stream, play).await,
            _ => self.http1(stream, None).await,
        }
    }

    async fn http1(
        &self,
        mut stream: impl AsyncRead + AsyncWrite + Unpin + Resets,
        play: Option<&Play>,
    ) -> io::Result<()> {
        while let Some(head) = head(&mut stream).await {
            self.heads.lock().unwrap().push(head);
            if let (true, Some(play)) = (self.is_faulty(), play) {
                play.on(&mut stream).await?;
                if let Play::Reset(_) = play {
                    stream.reset();
                }
                return Ok(());
            }
            stream.write_all(format!("{GOOD}{DONE}").as_bytes()).await?;
        }
        Ok(())
    }

    /// Frame by frame, since no server's library sends what is wrong.
    async fn http2(
        &self,
        mut stream: impl AsyncRead + AsyncWrite + Unpin,
        play: &Play,
    ) -> io::Result<()> {
        let mut preface = [0; 24];
        stream.read_exact(&mut preface).await?;
        stream.write_all(&frame(SETTINGS, 0, 0, &[])).await?;
        loop {
            let mut header = [0; 9];
            stream.read_exact(&mut header).await?;
            let [a, b, c, kind, flags, id @ ..] = header;
            let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
            stream.read_exact(&mut payload).await?;
            match (kind, flags) {
                // The connection stays, and with it what comes on it once the origin is mended.
                (HEADERS, _) if self.is_faulty() => match play {
                    Play::Close(frames) => {
                        stream.write_all(frames).await?;
                        return stream.shutdown().await;
                    }
                    Play::Hold(frames) => stream.write_all(frames).await?,
                    Play::Flood(begin, flood) => {
                        stream.write_all(begin).await?;
                        while self.is_faulty() {
                            stream.write_all(flood).await?;
                        }
                    }
                    Play::Reset(_) | Play::Drip(..) => unreachable!("over HTTP/1.1 alone"),
                },
                (HEADERS, _) => {
                    let id = u32::from_be_bytes(id);
                    stream
                        .write_all(&frame(HEADERS, END_HEADERS, id, STATUS_200))
                        .await?;
                    stream
                        .write_all(&frame(DATA, END_STREAM, id, DONE.as_bytes()))
                        .await?;
                }
                (SETTINGS, 0) => stream.write_all(&frame(SETTINGS, ACK, 0, &[])).await?,
                _ => {}
            }
        }
    }
}

/// A stream whose drop can be a reset.
trait Resets {
    fn reset(&self);
}

impl Resets for TcpStream {
    fn reset(&self) {
        self.set_zero_linger().unwrap();
    }
}

impl Resets for tokio_rustls::server::TlsStream<TcpStream> {
    fn reset(&self) {
        self.get_ref().0.reset();
    }
}

// RFC 9113, section 6; the codes in section 7.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const NO_ERROR: u32 = 0;
const INTERNAL_ERROR: u32 = 2;
const REFUSED_STREAM: u32 = 7;
const CANCEL: u32 = 8;
const ENHANCE_YOUR_CALM: u32 = 11;

/// `:status: 200`, by the static table of HPACK.
const STATUS_200: &[u8] = &[0x88];

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Of the first request of a connection.
fn reset_stream(code: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, 1, &code.to_be_bytes())
}

/// The streams up to `last` are still answered.
fn go_away(last: u32, code: u32) -> Vec<u8> {
    let payload = [last.to_be_bytes(), code.to_be_bytes()].concat();
    frame(GOAWAY, 0, 0, &payload)
}

/// One fault, of an origin that goes wrong until it is mended.
pub struct Fault {
    pub what: &'static str,
    pub call: Call,
    came: Came,
    /// Of the requests that came, but for those over HTTP/2.
    pub heads: Heads,
    /// Where no request may come.
    pub elsewhere: Option<Server>,
    /// The call that is answered then.
    next: Call,
    faulty: Arc<AtomicBool>,
    /// The name that is mended.
    name: Option<&'static str>,
    /// The port that refuses, and what serves it once it is mended.
    refusing: Option<(TcpSocket, Arc<Origin>)>,
    server: Option<Server>,
}

/// What a fault comes to.
#[derive(Clone, Copy, Debug)]
struct Came {
    /// The operation that runs, where there is no failure.
    reason: Option<Reason>,
    is_transient: bool,
    attempts: u32,
    http_status: Option<u16>,
    takes: Takes,
    deadline: Duration,
}

fn permanent(reason: Reason) -> Came {
    Came {
        reason: Some(reason),
        is_transient: false,
        attempts: 1,
        http_status: None,
        takes: Takes::NoTime,
        deadline: FAR,
    }
}

fn transient(reason: Reason) -> Came {
    Came {
        is_transient: true,
        ..permanent(reason)
    }
}

fn running() -> Came {
    Came {
        reason: None,
        ..permanent(Reason::Rejected)
    }
}

impl Came {
    fn with(self, http_status: u16) -> Came {
        let http_status = Some(http_status);
        Came {
            http_status,
            ..self
        }
    }

    fn attempts(self, attempts: u32) -> Came {
        Came {
            attempts,
            takes: Takes::OneRetry,
            ..self
        }
    }

    fn within(self, deadline: Duration) -> Came {
        Came { deadline, ..self }
    }

    fn at_the_deadline(self) -> Came {
        Came {
            takes: Takes::TheDeadline,
            deadline: DEADLINE,
            ..self
        }
    }

    fn fault(self, what: &'static str, origin: &Arc<Origin>, scheme: &str, at: &str) -> Fault {
        let next = to(format!("{scheme}://{at}/v1")).setting("OPERATIONS_MAX_ATTEMPTS", "2");
        Fault {
            what,
            call: next.clone().within(self.deadline),
            came: self,
            heads: origin.heads.clone(),
            elsewhere: None,
            next: next.within(FAR),
            faulty: origin.faulty.clone(),
            name: None,
            refusing: None,
            server: None,
        }
    }

    /// What is not so.
    fn differs(&self, endured: &Endured) -> Option<String> {
        let (reason, is_transient, http_status) = match &endured.result {
            Ok(outputs) if !outputs.done => (None, false, None),
            Err(CallError::Permanent(failure)) => {
                (Some(failure.reason), false, failure.http_status)
            }
            Err(CallError::Transient(failure)) => (Some(failure.reason), true, failure.http_status),
            other => return Some(format!("{other:?}")),
        };
        let came = (reason, is_transient, http_status, endured.traced.attempts);
        let expected = (
            self.reason,
            self.is_transient,
            self.http_status,
            self.attempts,
        );
        if came != expected {
            return Some(format!(
                "{came:?} came, not {expected:?}: {:?}",
                endured.result
            ));
        }
        let bounds = self.takes.bounds();
        (!bounds.contains(&endured.took))
            .then(|| format!("it took {:?}, not {bounds:?}", endured.took))
    }
}

/// What became of a call.
pub struct Endured {
    pub result: Result<Outputs, CallError>,
    pub traced: TracedCall,
    pub took: Duration,
}

/// What the faults have in common.
pub struct World {
    ca: Ca,
    names: Arc<Names>,
}

impl World {
    pub fn new() -> World {
        World {
            ca: Ca::new(),
            names: Names::always(Found::Error("no such name")),
        }
    }

    /// A host that reaches every origin, with a credential.
    pub fn config(&self) -> HostConfig {
        HostConfig {
            access: Access::token(CANARY.to_owned()).unwrap(),
            connections: ConnectionsConfig {
                resolver: resolving(&self.names).resolver,
                ..trusting(&self.ca)
            },
            ..config()
        }
    }

    fn origin(&self, at: At, name: &str) -> Origin {
        let alpn = match at {
            At::Frames(_) => "h2",
            _ => "http/1.1",
        };
        Origin {
            at,
            tls: TlsAcceptor::from(Arc::new(self.ca.server(name, &[alpn]))),
            faulty: Arc::new(AtomicBool::new(true)),
            heads: Heads::default(),
        }
    }

    async fn fault(&self, what: &'static str, at: At, came: Came) -> Fault {
        let scheme = match at {
            At::Answer(_) => "http",
            _ => "https",
        };
        let origin = Arc::new(self.origin(at, "127.0.0.1"));
        let server = serve(origin.clone()).await;
        let mut fault = came.fault(what, &origin, scheme, &server.address.to_string());
        fault.server = Some(server);
        fault
    }

    async fn refused(&self, what: &'static str, came: Came) -> Fault {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = socket.local_addr().unwrap().to_string();
        let never = At::Answer(Play::Close(Vec::new()));
        let origin = Arc::new(self.origin(never, "127.0.0.1"));
        let mut fault = came.fault(what, &origin, "http", &address);
        fault.refusing = Some((socket, origin));
        fault
    }

    /// The server behind the name is well.
    async fn unnamed(
        &self,
        what: &'static str,
        name: &'static str,
        found: Found,
        came: Came,
    ) -> Fault {
        self.names.set(name, found);
        let well = At::Certificate(self.ca.server(name, &["http/1.1"]));
        let origin = Arc::new(self.origin(well, name));
        let server = serve(origin.clone()).await;
        let at = format!("{name}:{}", server.address.port());
        let mut fault = came.fault(what, &origin, "https", &at);
        fault.name = Some(name);
        fault.server = Some(server);
        fault
    }

    /// A redirect to another host.
    async fn redirect(&self, what: &'static str, status: u16) -> Fault {
        let other = Server::always(DONE).await;
        let text = format!(
            "HTTP/1.1 {status} Moved\r\nlocation: {}\r\nrefresh: 0;url={}\r\ncontent-length: 0\r\n\r\n",
            other.url("/v1/operations/o"),
            other.url("/v1/operations/o"),
        );
        let came = permanent(Reason::Redirected).with(status);
        let mut fault = self
            .fault(what, At::Answer(Play::Close(text.into())), came)
            .await;
        fault.elsewhere = Some(other);
        fault
    }

    /// Every fault, in the order of the table.
    pub async fn faults(&self) -> Vec<Fault> {
        use Play::{Close, Drip, Flood, Hold, Reset};
        let lost = || transient(Reason::ConnectionLost);
        let late = || transient(Reason::Timeout).at_the_deadline();
        let refused = || transient(Reason::Unreachable).attempts(2);
        let certificate = || permanent(Reason::Certificate);
        let unfit = || permanent(Reason::NotAnOperation).with(200);
        let large = || permanent(Reason::TooLarge);
        let mut faults = vec![
            self.refused("connection refused", refused()).await,
            // The wait for a second attempt is past the deadline.
            self.refused(
                "connection refused, deadline near",
                transient(Reason::Unreachable).within(Duration::from_millis(450)),
            )
            .await,
            self.unnamed(
                "DNS fails",
                "fails.example",
                Found::Error("no such name"),
                refused(),
            )
            .await,
            self.unnamed(
                "DNS knows no address",
                "nowhere.example",
                Found::Addresses(Vec::new()),
                refused(),
            )
            .await,
            self.unnamed("DNS is silent", "silent.example", Found::Silence, late())
                .await,
        ];
        let ca = &self.ca;
        let tls = &["http/1.1"];
        for (what, at, came) in [
            (
                "TLS: expired certificate",
                At::Certificate(ca.server_expired("127.0.0.1")),
                certificate(),
            ),
            (
                "TLS: self-signed certificate",
                At::Certificate(server_self_signed("127.0.0.1")),
                certificate(),
            ),
            (
                "TLS: certificate of another name",
                At::Certificate(ca.server("other.example", tls)),
                certificate(),
            ),
            (
                "TLS: HTTP in the clear instead",
                At::Handshake(Close(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec())),
                certificate(),
            ),
            (
                "TLS: alert handshake_failure",
                At::Handshake(Hold(b"\x15\x03\x03\x00\x02\x02\x28".to_vec())),
                certificate(),
            ),
            (
                "TLS: closed in the handshake",
                At::Handshake(Close(Vec::new())),
                lost(),
            ),
            (
                "TLS: silence in the handshake",
                At::Handshake(Hold(Vec::new())),
                late(),
            ),
        ] {
            faults.push(self.fault(what, at, came).await);
        }

        let text = |text: &str| text.as_bytes().to_vec();
        let ok = |fields: &str| format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n").into_bytes();
        let ok_and = |fields: &str, body: &str| {
            format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n{body}").into_bytes()
        };
        let chunked = |body: &str| ok_and("transfer-encoding: chunked", body);
        let smuggled = format!(r#"{{"done":false}}{GOOD}{}"#, DONE.replace("/o", "/x"));
        for (what, play, came) in [
            ("reset before the head", Reset(Vec::new()), lost()),
            (
                "reset after the head",
                Reset(ok("content-length: 54")),
                lost(),
            ),
            (
                "reset in the body",
                Reset(ok_and("content-length: 54", r#"{"done":"#)),
                lost(),
            ),
            ("closed before the head", Close(Vec::new()), lost()),
            (
                "closed in the head",
                Close(text("HTTP/1.1 200 OK\r\ncontent-le")),
                lost(),
            ),
            ("silence", Hold(Vec::new()), late()),
            (
                "silence after the head",
                Hold(ok("content-length: 54")),
                late(),
            ),
            (
                "head drips",
                Drip(text("HTTP/1.1 200 OK\r\n"), text("x: y\r\n")),
                late(),
            ),
            (
                "body drips",
                Drip(ok("content-length: 54000"), text(" ")),
                late(),
            ),
            (
                "body drips, of a 403",
                Drip(
                    text("HTTP/1.1 403 Forbidden\r\ncontent-length: 54000\r\n\r\n"),
                    text(" "),
                ),
                permanent(Reason::PermissionDenied)
                    .with(403)
                    .at_the_deadline(),
            ),
            ("chunks drip", Drip(chunked(""), text("1\r\n \r\n")), late()),
            (
                "body is cut",
                Close(ok_and("content-length: 54", &DONE[..20])),
                lost(),
            ),
            (
                "chunks are cut",
                Close(chunked(&format!("14\r\n{}\r\n", &DONE[..20]))),
                lost(),
            ),
            (
                "content-length too long, and silence",
                Hold(ok_and("content-length: 55", DONE)),
                late(),
            ),
            (
                "content-length too long, and closed",
                Close(ok_and("content-length: 55", DONE)),
                lost(),
            ),
            (
                "content-length too short",
                Hold(ok_and("content-length: 53", DONE)),
                unfit(),
            ),
            (
                "content-length too short, another answer behind",
                Hold(ok_and("content-length: 14", &smuggled)),
                running(),
            ),
            (
                "two content-lengths",
                Hold(ok_and("content-length: 54\r\ncontent-length: 14", DONE)),
                lost(),
            ),
            (
                "content-length is no number",
                Hold(ok_and("content-length: 5x", DONE)),
                lost(),
            ),
            (
                "content-length of 16 EiB",
                Hold(ok("content-length: 18446744073709551613")),
                large(),
            ),
            (
                "chunk size is garbage",
                Hold(chunked("zz\r\n{}\r\n0\r\n\r\n")),
                lost(),
            ),
            (
                "chunk size over 64 bits",
                Hold(chunked("fffffffffffffffff\r\n{}")),
                lost(),
            ),
            (
                "chunk longer than its size",
                Hold(chunked(&format!("2\r\n{DONE}\r\n0\r\n\r\n"))),
                lost(),
            ),
            (
                "endless chunk extension",
                Flood(chunked("1;"), text("x")),
                lost(),
            ),
            (
                "endless trailers",
                Flood(chunked("36\r\n"), text("x: y\r\n")),
                lost(),
            ),
            (
                "no HTTP at all",
                Hold(text("SSH-2.0-OpenSSH_9.9\r\n")),
                lost(),
            ),
            (
                "endless status line",
                Flood(text("HTTP/1.1 200 "), text("x")),
                large(),
            ),
            (
                "endless header fields",
                Flood(text("HTTP/1.1 200 OK\r\n"), text("x: y\r\n")),
                large(),
            ),
            (
                "one endless header field",
                Flood(text("HTTP/1.1 200 OK\r\nx: "), text("y")),
                large(),
            ),
            (
                "endless body",
                Flood(ok("connection: close"), text(" ")),
                large(),
            ),
            (
                "endless body, of a 404",
                Flood(text("HTTP/1.1 404 Not Found\r\n\r\n"), text(" ")),
                permanent(Reason::WrongAddress).with(404),
            ),
            (
                "a 404 cut within its body",
                Close(text(
                    "HTTP/1.1 404 Not Found\r\ncontent-length: 99\r\n\r\n{\"error\":{",
                )),
                lost(),
            ),
            (
                "a 409 late within its body",
                Hold(text(
                    "HTTP/1.1 409 Conflict\r\ncontent-length: 99\r\n\r\n{\"error\":{",
                )),
                late(),
            ),
            (
                "endless chunks",
                Flood(
                    chunked(""),
                    format!("4000\r\n{}\r\n", " ".repeat(0x4000)).into(),
                ),
                large(),
            ),
            (
                "endless chunks of a byte",
                Flood(chunked(""), text("1\r\n \r\n")),
                late(),
            ),
            (
                "100 Continue without end",
                Flood(Vec::new(), text("HTTP/1.1 100 Continue\r\n\r\n")),
                late(),
            ),
            (
                "103 Early Hints without end",
                Flood(
                    Vec::new(),
                    text("HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"),
                ),
                late(),
            ),
            (
                "101 Switching Protocols",
                Hold(text(
                    "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
                )),
                transient(Reason::ConnectionLost).with(101),
            ),
            (
                "gzip that nobody asked for",
                Close(ok_and(
                    "content-encoding: gzip\r\ncontent-length: 4",
                    "\x1f\x0b\x08\0",
                )),
                unfit(),
            ),
        ] {
            faults.push(self.fault(what, At::Answer(play), came).await);
        }
        for (what, status) in [
            ("301 to another host", 301),
            ("302 to another host", 302),
            ("303 to another host", 303),
            ("307 to another host", 307),
            ("308 to another host", 308),
        ] {
            faults.push(self.redirect(what, status).await);
        }

        let begun = [
            frame(HEADERS, END_HEADERS, 1, STATUS_200),
            frame(DATA, 0, 1, br#"{"done":"#),
        ]
        .concat();
        let and = |frames: Vec<u8>| [begun.clone(), frames].concat();
        let field = b"\x00\x01x\x7f\x81\x7e"
            .iter()
            .copied()
            .chain(std::iter::repeat_n(b'y', 381));
        let field: Vec<u8> = field.collect();
        for (what, play, came) in [
            (
                "HTTP/2: GOAWAY, nothing done",
                Hold(go_away(0, NO_ERROR)),
                lost(),
            ),
            (
                "HTTP/2: GOAWAY, and closed",
                Close(go_away(1, NO_ERROR)),
                lost(),
            ),
            (
                "HTTP/2: GOAWAY ENHANCE_YOUR_CALM",
                Hold(go_away(0, ENHANCE_YOUR_CALM)),
                lost(),
            ),
            (
                "HTTP/2: GOAWAY in the body",
                Close(and(go_away(1, INTERNAL_ERROR))),
                lost(),
            ),
            (
                "HTTP/2: RST_STREAM REFUSED_STREAM",
                Hold(reset_stream(REFUSED_STREAM)),
                lost(),
            ),
            (
                "HTTP/2: RST_STREAM CANCEL",
                Hold(reset_stream(CANCEL)),
                lost(),
            ),
            (
                "HTTP/2: RST_STREAM in the body",
                Hold(and(reset_stream(INTERNAL_ERROR))),
                lost(),
            ),
            ("HTTP/2: closed in the body", Close(begun.clone()), lost()),
            ("HTTP/2: silence", Hold(Vec::new()), late()),
            ("HTTP/2: silence in the body", Hold(begun.clone()), late()),
            (
                "HTTP/2: frame of another stream",
                Hold(frame(DATA, 0, 7, b"x")),
                lost(),
            ),
            (
                "HTTP/2: HTTP/1.1 instead",
                Hold(format!("{GOOD}{DONE}").into()),
                lost(),
            ),
            (
                "HTTP/2: endless CONTINUATION",
                Flood(
                    frame(HEADERS, 0, 1, STATUS_200),
                    frame(CONTINUATION, 0, 1, &field),
                ),
                lost(),
            ),
            (
                "HTTP/2: 103 without end",
                Flood(Vec::new(), frame(HEADERS, END_HEADERS, 1, b"\x08\x03103")),
                late(),
            ),
        ] {
            faults.push(self.fault(what, At::Frames(play), came).await);
        }
        faults
    }
}

async fn serve(origin: Arc<Origin>) -> Server {
    serve_at(loopback().await, origin)
}

fn serve_at(listener: TcpListener, origin: Arc<Origin>) -> Server {
    Server::raw_at(listener, move |stream| {
        let origin = origin.clone();
        async move { drop(origin.serve(stream).await) }
    })
}

impl Fault {
    /// Runs its call.
    pub async fn endure(&self, get: &LoadedBlock, captured: &Captured) -> Endured {
        endure(&self.call, get, captured).await
    }

    /// From now on it goes right.
    fn mend(&mut self, world: &World) {
        self.faulty.store(false, Ordering::SeqCst);
        if let Some(name) = self.name {
            world.names.set(name, addresses_of(&["127.0.0.1"]));
        }
        if let Some((socket, origin)) = self.refusing.take() {
            self.server = Some(serve_at(socket.listen(16).unwrap(), origin));
        }
    }
}

async fn endure(call: &Call, get: &LoadedBlock, captured: &Captured) -> Endured {
    let since = Instant::now();
    let result = get.call(call).await;
    Endured {
        result,
        took: since.elapsed(),
        traced: captured.last_call(),
    }
}

/// The row of a table.
fn row(what: &str, deadline: Duration, endured: &Endured) -> String {
    let (case, failure) = match &endured.result {
        Err(CallError::Permanent(failure)) => ("permanent", Some(failure)),
        Err(CallError::Transient(failure)) => ("transient", Some(failure)),
        Err(_) => ("the host's", None),
        Ok(_) => ("none", None),
    };
    let reason = &endured.traced.reason;
    let status = failure.and_then(|failure| failure.http_status);
    format!(
        "{what:<50} {reason:<17} {case:<10} {:>4} {:>8} {:>9} {:>6}",
        status.map(|status| status.to_string()).unwrap_or_default(),
        endured.traced.attempts,
        deadline.as_millis(),
        endured.took.as_millis(),
    )
}

/// Every fault, and behind each the next call, on one host and one block.
async fn play(instances: Instances) {
    let (captured, _guard) = Captured::ours();
    let world = World::new();
    let (host, get) = load(HostConfig {
        instances,
        ..world.config()
    });
    println!(
        "{:<50} {:<17} {:<10} {:>4} {:>8} {:>9} {:>6}",
        "fault", "reason", "case", "HTTP", "attempts", "within ms", "ms"
    );
    let mut wrong = Vec::new();
    for mut fault in world.faults().await {
        let endured = fault.endure(&get, &captured).await;
        println!("{}", row(fault.what, fault.came.deadline, &endured));
        let differs = fault.came.differs(&endured);
        wrong.extend(differs.map(|differs| format!("{}: {differs}", fault.what)));
        secrets::check(fault.what, &endured.result, &captured, &host);

        fault.mend(&world);
        let next = endure(&fault.next, &get, &captured).await;
        let is_well = next.result.as_ref().is_ok_and(|outputs| {
            outputs.name == "operations/o" && outputs.response.as_deref() == Some(r#"{"n":1}"#)
        });
        if !is_well || next.traced.attempts != 1 || next.took > SLACK {
            let (result, took) = (&next.result, next.took);
            let what = fault.what;
            wrong.push(format!("{what}, the next call: {result:?} in {took:?}"));
        }
        for head in fault.heads.lock().unwrap().iter() {
            assert!(head.starts_with("GET /"), "{}: {head}", fault.what);
            secrets::check_head(fault.what, head);
        }
        if let Some(elsewhere) = &fault.elsewhere {
            assert_eq!(elsewhere.seen().accepted, 0, "{}", fault.what);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn every_fault_gives_its_failure_in_time_and_the_next_call_is_answered() {
    play(Instances::Fresh).await;
}

#[tokio::test]
async fn the_same_holds_for_reused_instances() {
    play(reused(1000)).await;
}
