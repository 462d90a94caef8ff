//! A scripted HTTP server on loopback: it records what it is sent, byte for byte, and answers with the
//! bytes and at the pace that a test gives it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// A server that lives as long as this value.
pub struct Server {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    /// How many connections are over.
    closed: watch::Receiver<usize>,
    /// The listener and, in it, every connection.
    _listener: JoinSet<()>,
}

/// What has reached a server.
#[derive(Clone, Default)]
struct Seen {
    connections: usize,
    requests: Vec<Request>,
}

/// A request as it came over the wire.
#[derive(Clone, Debug)]
pub struct Request {
    /// From the first byte to the empty line, which is included.
    pub head: String,
    /// What the client sent behind the empty line before it closed the connection.
    pub rest: Vec<u8>,
    /// When the head was there.
    pub at: Instant,
}

impl Request {
    /// The first line: method, target and version.
    pub fn line(&self) -> &str {
        self.head.split("\r\n").next().unwrap_or_default()
    }

    /// The header fields as sent, sorted.
    pub fn fields(&self) -> Vec<&str> {
        let mut fields: Vec<&str> = self
            .head
            .split("\r\n")
            .skip(1)
            .filter(|line| !line.is_empty())
            .collect();
        fields.sort_unstable();
        fields
    }
}

/// What a server does with one request.
#[derive(Clone, Debug)]
pub struct Answer(Vec<Step>);

#[derive(Clone, Debug)]
enum Step {
    /// Sends these bytes at once.
    Send(Bytes),
    /// Sends these bytes one by one, with a pause before each.
    Drip(Bytes, Duration),
    /// Sends these bytes again and again until the client closes the connection.
    Forever(Bytes),
    /// Sends nothing more, and keeps the connection open until the client closes it.
    Silence,
    /// Ends the connection with a RST instead of a FIN.
    Reset,
}

impl Answer {
    /// Exactly these bytes, head included; then the connection is closed.
    pub fn raw(bytes: impl Into<Bytes>) -> Answer {
        Answer(vec![Step::Send(bytes.into())])
    }

    /// A status with header fields of its own, to which `Content-Length` is added, and a body.
    pub fn new(status: u16, fields: &[(&str, &str)], body: impl AsRef<[u8]>) -> Answer {
        let body = body.as_ref();
        let mut head = format!("HTTP/1.1 {status} Status\r\n");
        for (name, value) in fields {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
        Answer::raw([head.as_bytes(), body].concat())
    }

    /// A 200 with a JSON body.
    pub fn operation(body: impl AsRef<[u8]>) -> Answer {
        Answer::new(200, &[("Content-Type", "application/json")], body)
    }

    /// The head of a 200 that announces a body of this length and sends none of it.
    pub fn head(content_length: u64) -> Answer {
        Answer::raw(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {content_length}\r\n\r\n"
        ))
    }

    /// The head of a 200 whose body comes in chunks.
    pub fn chunked_head() -> Answer {
        Answer::raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    }

    /// Nothing: the connection is closed once the request is there.
    pub fn nothing() -> Answer {
        Answer(Vec::new())
    }

    /// And then these bytes.
    pub fn then(self, bytes: impl Into<Bytes>) -> Answer {
        self.and(Step::Send(bytes.into()))
    }

    /// And then one chunk of a chunked body; the empty one is the last.
    pub fn then_chunk(self, body: impl AsRef<[u8]>) -> Answer {
        let body = body.as_ref();
        let size = format!("{:x}\r\n", body.len());
        self.then([size.as_bytes(), body, b"\r\n"].concat())
    }

    /// And then these bytes one by one, with a pause before each.
    pub fn then_drip(self, bytes: impl Into<Bytes>, pause: Duration) -> Answer {
        self.and(Step::Drip(bytes.into(), pause))
    }

    /// And then these bytes again and again.
    pub fn then_forever(self, bytes: impl Into<Bytes>) -> Answer {
        self.and(Step::Forever(bytes.into()))
    }

    /// And then nothing more, on a connection that stays open.
    pub fn then_silence(self) -> Answer {
        self.and(Step::Silence)
    }

    /// And then a RST.
    pub fn then_reset(self) -> Answer {
        self.and(Step::Reset)
    }

    fn and(mut self, step: Step) -> Answer {
        self.0.push(step);
        self
    }

    /// Plays the answer. Ends early where the client closes the connection.
    async fn play(&self, stream: &mut TcpStream) -> std::io::Result<()> {
        for step in &self.0 {
            match step {
                Step::Send(bytes) => stream.write_all(bytes).await?,
                Step::Drip(bytes, pause) => {
                    for byte in bytes {
                        tokio::time::sleep(*pause).await;
                        stream.write_all(&[*byte]).await?;
                    }
                }
                Step::Forever(bytes) => loop {
                    stream.write_all(bytes).await?;
                },
                Step::Silence => std::future::pending().await,
                Step::Reset => stream.set_zero_linger()?,
            }
        }
        Ok(())
    }

    fn resets(&self) -> bool {
        matches!(self.0.last(), Some(Step::Reset))
    }
}

impl Server {
    /// A server that gives every request the same answer.
    pub async fn always(answer: Answer) -> Server {
        Server::script([answer]).await
    }

    /// A server that gives the first request the first answer, and so on; the last answer is given to
    /// every request that is left.
    pub async fn script(answers: impl IntoIterator<Item = Answer>) -> Server {
        let answers: Arc<[Answer]> = answers.into_iter().collect();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound listener has one");
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (close, closed) = watch::channel(0);
        let close = Arc::new(close);
        let mut listening = JoinSet::new();
        listening.spawn({
            let seen = seen.clone();
            async move {
                let mut connections = JoinSet::new();
                loop {
                    let Ok((stream, _)) = listener.accept().await else {
                        return;
                    };
                    seen.lock().unwrap().connections += 1;
                    let (answers, seen, close) = (answers.clone(), seen.clone(), close.clone());
                    connections.spawn(async move {
                        serve(stream, answers, seen).await;
                        close.send_modify(|closed| *closed += 1);
                    });
                }
            }
        });
        Server {
            address,
            seen,
            closed,
            _listener: listening,
        }
    }

    /// What `OPERATIONS_ENDPOINT` is set to.
    pub fn endpoint(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Host and port.
    pub fn authority(&self) -> String {
        self.address.to_string()
    }

    /// How many connections were accepted.
    pub fn connections(&self) -> usize {
        self.seen.lock().unwrap().connections
    }

    /// Waits until the client has closed so many connections: nothing more can come on them.
    pub async fn closed(&self, connections: usize) {
        let mut closed = self.closed.clone();
        let enough = closed.wait_for(|closed| *closed >= connections);
        tokio::time::timeout(Duration::from_secs(10), enough)
            .await
            .expect("the client closes its connections")
            .expect("the server lives");
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.seen.lock().unwrap().requests.clone()
    }

    /// The one request that came.
    #[track_caller]
    pub fn request(&self) -> Request {
        let requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:?}");
        requests.into_iter().next().unwrap()
    }
}

/// A port on which nothing listens.
pub async fn closed_port() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("loopback has a free port");
    listener.local_addr().expect("a bound listener has one")
}

/// One connection, with one request: the answer, and then what else the client sends.
async fn serve(mut stream: TcpStream, answers: Arc<[Answer]>, seen: Arc<Mutex<Seen>>) {
    let mut received = Vec::new();
    let end = loop {
        if let Some(at) = received.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        match stream.read_buf(&mut received).await {
            Ok(1..) => {}
            _ => return,
        }
    };
    let rest = received.split_off(end);
    let number = {
        let mut seen = seen.lock().unwrap();
        seen.requests.push(Request {
            head: String::from_utf8(received).expect("a head is ASCII"),
            rest,
            at: Instant::now(),
        });
        seen.requests.len() - 1
    };
    let answer = &answers[number.min(answers.len() - 1)];
    if answer.play(&mut stream).await.is_err() || answer.resets() {
        return;
    }
    // A FIN, and not a RST for what the client may still send.
    let _ = stream.shutdown().await;
    let mut more = Vec::new();
    let _ = stream.read_to_end(&mut more).await;
    seen.lock().unwrap().requests[number].rest.extend(more);
}
