//! A request as a server received it.

use std::time::Instant;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Version};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::io::{AsyncRead, AsyncReadExt};

/// A request, byte for byte.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// From the first byte to the empty line, which is included. Over HTTP/2, the head as HTTP/1.1 would write it,
    /// with the whole URL.
    pub head: String,
    /// Without a `Content-Length`, empty.
    pub body: Bytes,
    /// When all of it was there.
    pub at: Instant,
    pub method: Method,
    /// With the query.
    pub path: String,
    pub headers: HeaderMap,
    pub version: Version,
}

impl Recorded {
    /// The first line: method, target and version.
    pub fn line(&self) -> &str {
        self.head.split("\r\n").next().unwrap_or_default()
    }

    /// The header fields as they were sent, sorted.
    pub fn fields(&self) -> Vec<&str> {
        let lines = self.head.split("\r\n").skip(1);
        let mut fields: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
        fields.sort_unstable();
        fields
    }

    /// The values of a header field.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let values = self.headers.get_all(name).iter();
        values.map(|value| value.to_str().unwrap()).collect()
    }

    /// The last segment of the path.
    pub fn id(&self) -> &str {
        let path = self.path.split('?').next().unwrap();
        path.rsplit('/').next().unwrap()
    }

    /// The body, which is UTF-8.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The next request over HTTP/1.1. `None` if the client closes the connection first; what it had sent by then
    /// stays in `received`.
    pub(crate) async fn read(
        stream: &mut (impl AsyncRead + Unpin),
        received: &mut BytesMut,
    ) -> Option<Recorded> {
        loop {
            if let Some(request) = Recorded::take(received) {
                return Some(request);
            }
            if read_more(stream, received).await == 0 {
                return None;
            }
        }
    }

    /// Takes the first request off what was received, once it is whole.
    fn take(received: &mut BytesMut) -> Option<Recorded> {
        let end = received.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        let mut request = Recorded::with_head(String::from_utf8_lossy(&received[..end]).into());
        let length = request.headers.get("content-length");
        let length = length.map_or(0, |length| length.to_str().unwrap().parse().unwrap());
        if received.len() < end + length {
            return None;
        }
        request.body = received.split_to(end + length).split_off(end).freeze();
        Some(request)
    }

    /// A request of this head. What is not of HTTP's form is in [`Recorded::head`] alone.
    pub(crate) fn with_head(head: String) -> Recorded {
        let mut lines = head.split("\r\n");
        let mut words = lines.next().unwrap_or_default().split(' ');
        let method = words.next().and_then(|method| method.parse().ok());
        let path = words.next().unwrap_or_default().to_owned();
        let field = |line: &str| {
            let (name, value) = line.split_once(':')?;
            let name: HeaderName = name.parse().ok()?;
            let value: HeaderValue = value.trim().parse().ok()?;
            Some((name, value))
        };
        let mut headers = HeaderMap::new();
        for (name, value) in lines.filter_map(field) {
            headers.append(name, value);
        }
        Recorded {
            method: method.unwrap_or_default(),
            path,
            headers,
            head,
            body: Bytes::new(),
            at: Instant::now(),
            version: Version::HTTP_11,
        }
    }

    /// A request over HTTP/2.
    pub(crate) async fn of_http2(request: Request<Incoming>) -> Recorded {
        let (parts, body) = request.into_parts();
        let mut head = format!("{} {} HTTP/2\r\n", parts.method, parts.uri);
        for (name, value) in &parts.headers {
            head.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
        }
        let body = body.collect().await;
        Recorded {
            head,
            body: body.map(|body| body.to_bytes()).unwrap_or_default(),
            at: Instant::now(),
            method: parts.method,
            path: parts.uri.path_and_query().unwrap().to_string(),
            headers: parts.headers,
            version: parts.version,
        }
    }
}

/// How many bytes came; none if the connection is closed.
async fn read_more(stream: &mut (impl AsyncRead + Unpin), received: &mut BytesMut) -> usize {
    received.reserve(4096);
    stream.read_buf(received).await.unwrap_or(0)
}

/// Ends with the connection.
pub(crate) async fn read_until_closed(
    stream: &mut (impl AsyncRead + Unpin),
    received: &mut BytesMut,
) {
    while read_more(stream, received).await > 0 {}
}

/// Reads the head of a request, and nothing behind it; `None` if the connection is closed first.
pub async fn head(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    String::from_utf8(head).ok()
}
