//! The body of an answer without the host's credential, which a service may echo where it fails: nothing behind this
//! has to look for it.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderValue, Response, StatusCode};
use http_body::{Body, Frame};
use operations_get::secret::{Cleaner, Secret};

use crate::http::{ResponseBody, SendError};

/// The body of an answer: of a 200, which is the operation, as it came; of any other with `[credential]` in place of
/// the secret.
pub(crate) struct AnswerBody {
    incoming: ResponseBody,
    cleaning: Cleaning,
}

enum Cleaning {
    /// There is nothing to take out.
    No,
    /// The secret is taken out as it comes.
    Yes(Cleaner),
    /// All of a body that is cleaned has been passed on.
    Over,
}

impl AnswerBody {
    /// The answer to a request that carried this secret. A header field that holds it goes.
    pub fn of(response: Response<ResponseBody>, secret: Option<Secret>) -> Response<AnswerBody> {
        let (mut head, incoming) = response.into_parts();
        let cleaning = match secret {
            None => Cleaning::No,
            Some(secret) => {
                let holds_it =
                    |value: &HeaderValue| secret.is_in(&String::from_utf8_lossy(value.as_bytes()));
                let fields = head.headers.iter().filter(|(_, value)| holds_it(value));
                let fields: Vec<_> = fields.map(|(name, _)| name.clone()).collect();
                for name in fields {
                    head.headers.remove(name);
                }
                match head.status {
                    StatusCode::OK => Cleaning::No,
                    _ => {
                        head.headers.remove(CONTENT_LENGTH);
                        Cleaning::Yes(Cleaner::new(secret))
                    }
                }
            }
        };
        Response::from_parts(head, AnswerBody { incoming, cleaning })
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = SendError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, SendError>>> {
        let body = &mut *self;
        loop {
            let cleaner = match &mut body.cleaning {
                Cleaning::No => return Pin::new(&mut body.incoming).poll_frame(context),
                Cleaning::Over => return Poll::Ready(None),
                Cleaning::Yes(cleaner) => cleaner,
            };
            let frame = match Pin::new(&mut body.incoming).poll_frame(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(frame) => frame.transpose()?,
            };
            let clean = match frame.map(Frame::into_data) {
                Some(Ok(data)) => cleaner.next(&data),
                // Nothing reads the trailers of a failure.
                Some(Err(_)) | None => {
                    let rest = cleaner.rest();
                    body.cleaning = Cleaning::Over;
                    rest
                }
            };
            if !clean.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(clean.into()))));
            }
        }
    }
}
