//! A response without the host's credential, which a service may echo where it fails: nothing in the sandbox has to
//! look for it.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use operations_get::secret::{Cleaner, Secret};
use wasmtime_wasi_http::{Error, WasiBody};

/// The response with `[credential]` in place of the secret in the body of any answer but a 200, which is the operation and
/// stays as it is. A header field that holds the secret goes.
pub(crate) fn taken_out_of(mut response: Response<WasiBody>, secret: Secret) -> Response<WasiBody> {
    let holds_it =
        |value: &http::HeaderValue| secret.is_in(&String::from_utf8_lossy(value.as_bytes()));
    let is_operation = response.status() == StatusCode::OK;
    let headers = response.headers_mut();
    let fields: Vec<_> = headers
        .iter()
        .filter(|(_, value)| holds_it(value))
        .map(|(name, _)| name.clone())
        .collect();
    for name in fields {
        headers.remove(name);
    }
    if is_operation {
        return response;
    }
    headers.remove(CONTENT_LENGTH);
    response.map(|body| {
        let clean = CleanBody {
            body,
            cleaner: Some(Cleaner::new(secret)),
        };
        clean.boxed_unsync()
    })
}

struct CleanBody {
    body: WasiBody,
    /// `None` after the end of the body.
    cleaner: Option<Cleaner>,
}

impl Body for CleanBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        while let Some(mut cleaner) = self.cleaner.take() {
            let frame = match Pin::new(&mut self.body).poll_frame(context) {
                Poll::Pending => {
                    self.cleaner = Some(cleaner);
                    return Poll::Pending;
                }
                Poll::Ready(frame) => frame.transpose()?,
            };
            let clean = match frame.map(Frame::into_data) {
                Some(Ok(data)) => {
                    let clean = cleaner.next(&data);
                    self.cleaner = Some(cleaner);
                    clean
                }
                // Nothing reads the trailers of a failure.
                Some(Err(_)) | None => cleaner.rest(),
            };
            if !clean.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(clean.into()))));
            }
        }
        Poll::Ready(None)
    }
}
