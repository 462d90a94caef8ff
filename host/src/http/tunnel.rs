//! A tunnel through a proxy (RFC 9110 section 9.3.6).

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use super::connection::Stream;
use super::error::SendError;
use super::proxy::ProxyRoute;

/// Asks a proxy, over a connection to it, for a tunnel to `host_and_port`.
///
/// hyper-util's `Tunnel` does the same and keeps the proxy's status to itself.
pub(super) async fn open(
    stream: Stream,
    proxy: &ProxyRoute,
    host_and_port: &str,
) -> Result<Stream, SendError> {
    let lost = |error: hyper::Error| SendError::from_hyper(&error).before_response();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(lost)?;
    // It ends when the sender is dropped, or when it hands the stream over.
    tokio::spawn(connection.with_upgrades());
    let mut request = Request::connect(host_and_port)
        .body(Empty::<Bytes>::new())
        .map_err(|_| SendError::UriInvalid)?;
    let host = HeaderValue::from_str(host_and_port).map_err(|_| SendError::UriInvalid)?;
    request.headers_mut().insert(header::HOST, host);
    if let Some(authorization) = &proxy.authorization {
        let headers = request.headers_mut();
        headers.insert(header::PROXY_AUTHORIZATION, authorization.clone());
    }
    let response = sender.send_request(request).await.map_err(lost)?;
    let status = response.status();
    if !status.is_success() {
        return Err(refusal(status));
    }
    let upgraded = hyper::upgrade::on(response).await.map_err(lost)?;
    Ok(Box::new(TokioIo::new(upgraded)))
}

/// What a proxy means that gives no tunnel: a 5xx is about the host, anything else about the
/// request.
fn refusal(status: StatusCode) -> SendError {
    let text = format!("it answered {} to CONNECT", status.as_u16());
    match status {
        StatusCode::PROXY_AUTHENTICATION_REQUIRED => SendError::Denied(format!(
            "{text}: it requires another user and password than its URL has"
        )),
        status if status.is_server_error() => SendError::DestinationUnavailable(text),
        _ => SendError::Denied(text),
    }
}
