//! `wasi:http` for an instance: wasmtime's own, but for what sends requests.
//!
//! wasmtime runs each request in a task of its own, and a second one for its connection, so that a call goes from
//! thread to thread; and it keeps the options of every request until the instance is dropped. Here the pool
//! drives the connections, a request runs in the task of its call, and options are gone with their request.

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::uri::Scheme;
use http::{HeaderMap, Method, Uri};
use http_body_util::BodyExt;
use wasmtime::component::{Linker, Resource, ResourceType};
use wasmtime_wasi::p2::subscribe;
use wasmtime_wasi_http::p2::bindings::LinkOptions;
use wasmtime_wasi_http::p2::bindings::http::types::{
    self, ErrorCode, HostFutureIncomingResponse as _, HostOutgoingRequest as _,
};
use wasmtime_wasi_http::p2::body::HostIncomingBody;
use wasmtime_wasi_http::p2::types::{
    HostFutureIncomingResponse, HostIncomingResponse, HostOutgoingRequest,
};
use wasmtime_wasi_http::{Error, FieldMap, RequestOptions, WasiHttp, WasiHttpView};

use crate::http::{SendError, Timeouts};
use crate::outgoing::{FutureResponse, ResponseFuture, TakenResponse};
use crate::sandbox::{MAX_FIELDS_SIZE, Sandbox};
use crate::send::{NotAnswered, Sender};

/// Adds `wasi:http` to a linker.
pub(crate) fn add_to_linker(linker: &mut Linker<Sandbox>) -> wasmtime::Result<()> {
    let options = LinkOptions::default();
    types::add_to_linker::<_, WasiHttp>(linker, &options.into(), Sandbox::http)?;
    // The version is that of wasmtime's own, which these take the place of.
    linker.allow_shadowing(true);
    let mut types = linker.instance("wasi:http/types@0.2.12")?;
    let response = ResourceType::host::<FutureResponse>();
    types.resource("future-incoming-response", response, |mut store, rep| {
        let sandbox: &mut Sandbox = store.data_mut();
        sandbox
            .table
            .delete(Resource::<FutureResponse>::new_own(rep))?;
        Ok(())
    })?;
    types.func_wrap(
        "[method]future-incoming-response.subscribe",
        |mut store, (response,): (Resource<FutureResponse>,)| {
            let sandbox: &mut Sandbox = store.data_mut();
            Ok((subscribe(&mut sandbox.table, response)?,))
        },
    )?;
    types.func_wrap(
        "[method]future-incoming-response.get",
        |mut store, (response,): (Resource<FutureResponse>,)| {
            Ok((get(store.data_mut(), &response)?,))
        },
    )?;
    // wasmtime gives these two texts no limit, and keeps them with each request.
    types.func_wrap(
        "[method]outgoing-request.set-method",
        |mut store, (request, method): (Resource<HostOutgoingRequest>, types::Method)| {
            let sandbox: &mut Sandbox = store.data_mut();
            Ok((match method {
                types::Method::Other(name) if name.len() > MAX_FIELDS_SIZE => Err(()),
                method => sandbox.http().set_method(request, method)?,
            },))
        },
    )?;
    types.func_wrap(
        "[method]outgoing-request.set-authority",
        |mut store, (request, authority): (Resource<HostOutgoingRequest>, Option<String>)| {
            let sandbox: &mut Sandbox = store.data_mut();
            Ok((match authority {
                Some(name) if name.len() > MAX_FIELDS_SIZE => Err(()),
                authority => sandbox.http().set_authority(request, authority)?,
            },))
        },
    )?;
    let mut handler = linker.instance("wasi:http/outgoing-handler@0.2.12")?;
    handler.func_wrap(
        "handle",
        |mut store, (request, options): (Resource<HostOutgoingRequest>, _)| {
            Ok((handle(store.data_mut(), request, options)?,))
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

/// Sends a request. The outer error is a trap.
fn handle(
    sandbox: &mut Sandbox,
    request: Resource<HostOutgoingRequest>,
    options: Option<Resource<RequestOptions>>,
) -> wasmtime::Result<Result<Resource<FutureResponse>, ErrorCode>> {
    let options = match options {
        Some(options) => Some(sandbox.table.delete(options)?),
        None => None,
    };
    let request = match head(sandbox.table.delete(request)?) {
        Ok(request) => request,
        Err(error) => return Ok(Err(error)),
    };
    let response = send(&sandbox.sender, request, options.unwrap_or_default());
    match sandbox.requests.begin(response) {
        Some(response) => Ok(Ok(sandbox.table.push(response)?)),
        None => Ok(Err(ErrorCode::ConnectionLimitReached)),
    }
}

/// Sends a request, if it may leave.
fn send(sender: &Sender, request: http::Request<()>, options: RequestOptions) -> ResponseFuture {
    let timeouts = Timeouts {
        connect: Timeouts::limited(options.connect_timeout),
        first_byte: Timeouts::limited(options.first_byte_timeout),
        between_bytes: Timeouts::limited(options.between_bytes_timeout),
    };
    match sender.permit(request.map(|()| Bytes::new()), timeouts) {
        Err(error) => Box::pin(async { Err(wasi_error(error)) }),
        Ok(permitted) => Box::pin(async {
            let response = permitted.send().await.map_err(wasi_error)?;
            let failed = |error| wasi_error(NotAnswered::Failed(error));
            Ok(response.map(|body| body.map_err(failed).boxed_unsync()))
        }),
    }
}

/// The `wasi:http` error code of why there is no response.
fn wasi_error(error: NotAnswered) -> Error {
    let error = match error {
        NotAnswered::Denied => return Error::HttpRequestDenied,
        // Permanent to the block, so that it does not ask again; the host reports the error itself.
        NotAnswered::NoAccess => return Error::ConfigurationError,
        NotAnswered::Failed(error) => error,
    };
    match error {
        SendError::UriInvalid => Error::HttpRequestUriInvalid,
        SendError::ProxyInvalid(_) => Error::ConfigurationError,
        SendError::Proxy { fault, .. } => wasi_error(NotAnswered::Failed(*fault)),
        SendError::DnsTimeout => Error::DnsTimeout,
        SendError::Dns(rcode) => Error::DnsError {
            rcode: Some(rcode),
            info_code: None,
        },
        SendError::DestinationUnavailable(_) => Error::DestinationUnavailable,
        SendError::ConnectionRefused => Error::ConnectionRefused,
        SendError::ConnectionTimeout => Error::ConnectionTimeout,
        SendError::ReadTimeout => Error::ConnectionReadTimeout,
        SendError::ConnectionTerminated => Error::ConnectionTerminated,
        SendError::ResponseIncomplete => Error::HttpResponseIncomplete,
        SendError::ProtocolError(_) => Error::HttpProtocolError,
        SendError::Certificate(_) => Error::TlsCertificateError,
        SendError::TlsAlert { id, name } => Error::TlsAlertReceived {
            alert_id: Some(id),
            alert_message: Some(name),
        },
        SendError::TlsProtocol(_) => Error::TlsProtocolError,
        SendError::HeaderTooLarge => Error::HttpResponseHeaderSectionSize(None),
        SendError::ConnectionLimit(_) => Error::ConnectionLimitReached,
        SendError::Denied(_) => Error::HttpRequestDenied,
        SendError::Internal(_) => Error::InternalError(None),
    }
}

type Got = Option<Result<Result<Resource<HostIncomingResponse>, ErrorCode>, ()>>;

/// The response, once it is there, and once. The outer error is a trap.
fn get(sandbox: &mut Sandbox, response: &Resource<FutureResponse>) -> wasmtime::Result<Got> {
    let response = match sandbox.table.get(response)?.take() {
        TakenResponse::NotYet => return Ok(None),
        TakenResponse::Before => return Ok(Some(Err(()))),
        TakenResponse::Now(Ok(response)) => response,
        TakenResponse::Now(Err(error)) => {
            // wasmtime's own resource knows what a block sees of an error.
            let failed = HostFutureIncomingResponse::Ready(Err(error));
            let failed = sandbox.table.push(failed)?;
            let got = sandbox.http().get(Resource::new_borrow(failed.rep()));
            sandbox.table.delete(failed)?;
            return got;
        }
    };
    let (head, body) = response.into_parts();
    let response = HostIncomingResponse {
        status: head.status.as_u16(),
        headers: FieldMap::new_immutable(sandbox.http().hooks, head.headers),
        body: Some(HostIncomingBody::new(body)),
    };
    Ok(Some(Ok(Ok(sandbox.table.push(response)?))))
}

/// The request without its body: no block of this contract sends one.
fn head(request: HostOutgoingRequest) -> Result<http::Request<()>, ErrorCode> {
    let scheme = match request.scheme {
        None | Some(types::Scheme::Https) => Scheme::HTTPS,
        Some(types::Scheme::Http) => Scheme::HTTP,
        Some(types::Scheme::Other(scheme)) => {
            scheme.parse().map_err(|_| ErrorCode::HttpProtocolError)?
        }
    };
    let method: Method = request
        .method
        .try_into()
        .map_err(|_| ErrorCode::HttpRequestMethodInvalid)?;
    let authority = request.authority.unwrap_or_default();
    let uri = Uri::builder()
        .scheme(scheme)
        .authority(authority)
        .path_and_query(request.path_with_query.as_deref().unwrap_or("/"))
        .build()
        .map_err(|_| ErrorCode::HttpRequestUriInvalid)?;
    let headers = HeaderMap::from(request.headers);
    if headers
        .get(CONTENT_LENGTH)
        .is_some_and(|length| length != "0")
    {
        return Err(ErrorCode::HttpRequestBodySize(None));
    }
    let mut head = http::Request::new(());
    *head.method_mut() = method;
    *head.uri_mut() = uri;
    *head.headers_mut() = headers;
    Ok(head)
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use http::HeaderValue;

    use super::*;

    fn request() -> HostOutgoingRequest {
        HostOutgoingRequest {
            method: types::Method::Get,
            scheme: None,
            authority: Some("apigateway.googleapis.com".into()),
            path_with_query: Some("/v1/operations/o?a=1".into()),
            headers: FieldMap::new_mutable(1000),
            body: None,
        }
    }

    #[test]
    fn a_request_is_sent_as_the_block_wrote_it() {
        let mut headers = FieldMap::new_mutable(1000);
        let accept = HeaderValue::from_static("application/json");
        headers.append_raw(http::header::ACCEPT, accept).unwrap();
        let head = head(HostOutgoingRequest {
            headers,
            ..request()
        });
        let head = head.unwrap();
        assert_eq!(head.method(), Method::GET);
        let url = "https://apigateway.googleapis.com/v1/operations/o?a=1";
        assert_eq!(head.uri(), &Uri::from_str(url).unwrap());
        assert_eq!(head.headers()["accept"], "application/json");
        assert_eq!(head.headers().len(), 1);
    }

    #[test]
    fn an_invalid_request_has_the_error_of_its_invalid_part() {
        let error = |change: fn(&mut HostOutgoingRequest)| {
            let mut request = request();
            change(&mut request);
            let error = head(request).unwrap_err();
            format!("{error:?}")
        };
        let protocol = format!("{:?}", ErrorCode::HttpProtocolError);
        let method = format!("{:?}", ErrorCode::HttpRequestMethodInvalid);
        let uri = format!("{:?}", ErrorCode::HttpRequestUriInvalid);
        assert_eq!(
            error(|request| request.scheme = Some(types::Scheme::Other("a b".into()))),
            protocol
        );
        assert_eq!(
            error(|request| request.method = types::Method::Other("G T".into())),
            method
        );
        assert_eq!(error(|request| request.authority = None), uri);
        assert_eq!(error(|request| request.authority = Some("a b".into())), uri);
        assert_eq!(
            error(|request| request.path_with_query = Some("/\n".into())),
            uri
        );
    }

    #[test]
    fn a_request_that_announces_a_body_is_refused() {
        let of = |length: &'static str| {
            let mut headers = FieldMap::new_mutable(1000);
            let length = HeaderValue::from_static(length);
            headers.append_raw(CONTENT_LENGTH, length).unwrap();
            head(HostOutgoingRequest {
                headers,
                ..request()
            })
        };
        assert!(of("0").is_ok());
        for length in ["5", "-1", "0, 5"] {
            let error = of(length).unwrap_err();
            assert!(matches!(error, ErrorCode::HttpRequestBodySize(None)));
        }
    }
}
