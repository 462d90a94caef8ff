//! What a server answers with: a response, or bytes at the pace of a script.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use crate::recorded::read_until_closed;

/// A response with its whole body. `Content-Length` is added when it is sent.
pub type Reply = Response<Bytes>;

/// What a server does with one request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// A response. The connection stays open for the next request unless the response says `connection: close`.
    Reply(Reply),
    /// Steps, one after another. Then the connection is closed.
    Script(Vec<Step>),
}

/// A step of a script.
#[derive(Clone, Debug)]
pub enum Step {
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

/// What becomes of a connection after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    KeepOpen,
    Close,
    Reset,
}

/// A response with these header fields.
pub fn reply(status: u16, fields: &[(&str, &str)], body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::builder().status(status);
    for (name, value) in fields {
        reply = reply.header(*name, *value);
    }
    reply.body(body.into()).unwrap()
}

/// A JSON response.
pub fn json(status: u16, body: impl Into<Bytes>) -> Reply {
    reply(status, &[("content-type", "application/json")], body)
}

/// An error of a service (AIP-193).
pub fn error(status: u16, name: &str, message: &str) -> Reply {
    let body = serde_json::json!({"error": {"code": status, "status": name, "message": message}});
    json(status, body.to_string())
}

impl From<Reply> for Answer {
    fn from(reply: Reply) -> Answer {
        Answer::Reply(reply)
    }
}

/// A 200 with this JSON body.
impl From<&'static str> for Answer {
    fn from(body: &'static str) -> Answer {
        Answer::Reply(json(200, body))
    }
}

impl Answer {
    /// Exactly these bytes, head included.
    pub fn raw(bytes: impl Into<Bytes>) -> Answer {
        Answer::Script(vec![Step::Send(bytes.into())])
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

    /// Nothing.
    pub fn nothing() -> Answer {
        Answer::Script(Vec::new())
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

    fn and(self, step: Step) -> Answer {
        let mut steps = match self {
            Answer::Reply(reply) => vec![Step::Send(on_the_wire(&reply).into())],
            Answer::Script(steps) => steps,
        };
        steps.push(step);
        Answer::Script(steps)
    }

    /// Sends it, and reads what the client sends meanwhile into `received`.
    ///
    /// # Errors
    ///
    /// If the client closes the connection before the answer is over.
    pub async fn play(
        &self,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
        received: &mut bytes::BytesMut,
    ) -> io::Result<Then> {
        match self {
            Answer::Reply(reply) => {
                send(stream, &on_the_wire(reply)).await?;
                let connection = reply.headers().get("connection");
                Ok(match connection.is_some_and(|value| value == "close") {
                    true => Then::Close,
                    false => Then::KeepOpen,
                })
            }
            Answer::Script(steps) => {
                let (mut from_client, mut to_client) = tokio::io::split(stream);
                tokio::select! {
                    then = run(steps, &mut to_client) => then,
                    () = read_until_closed(&mut from_client, received) => {
                        Err(io::ErrorKind::ConnectionAborted.into())
                    }
                }
            }
        }
    }
}

async fn run(steps: &[Step], stream: &mut (impl AsyncWrite + Unpin)) -> io::Result<Then> {
    for step in steps {
        match step {
            Step::Send(bytes) => send(stream, bytes).await?,
            Step::Drip(bytes, pause) => {
                for byte in bytes {
                    tokio::time::sleep(*pause).await;
                    send(stream, &[*byte]).await?;
                }
            }
            Step::Forever(bytes) => loop {
                stream.write_all(bytes).await?;
            },
            Step::Silence => std::future::pending().await,
            Step::Reset => return Ok(Then::Reset),
        }
    }
    Ok(Then::Close)
}

async fn send(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}

/// The bytes of a response over HTTP/1.1.
fn on_the_wire(reply: &Reply) -> Vec<u8> {
    let (status, body) = (reply.status(), reply.body());
    let mut bytes = format!("HTTP/1.1 {status}\r\n").into_bytes();
    for (name, value) in reply.headers() {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            bytes.extend_from_slice(part);
        }
    }
    // A 204 must not announce a body, and the length of a 304 is that of another answer (RFC 9110, section 8.6).
    if !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        let length = body.len();
        bytes.extend_from_slice(format!("content-length: {length}\r\n").as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    bytes
}
