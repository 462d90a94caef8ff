//! The world `sans-io`: the exchange, for an engine that sends by itself.

use std::time::Duration;

use crate::Block;
use crate::answer::Answer;
use crate::bindings::exports::blocks::google_longrunning::{exchange as typed, exchange_text};
use crate::bindings::{Failure, GetError};
use crate::exchange::{Attempt, Exchange, Next};
use crate::fault::{Fault, FaultKind};
use crate::limits::{CONNECT_TIMEOUT, MAX_BODY};
use crate::request::Method;
use crate::settings::Settings;
use crate::text;

impl typed::Guest for Block {
    fn start(call: typed::Call) -> Result<typed::Request, GetError> {
        let name = call.name.clone();
        let exchange = Exchange::start(&name, settings(call)?)?;
        let request = exchange.request()?;
        Ok(typed::Request {
            method: match request.method {
                Method::Get => typed::Method::Get,
                Method::Post => typed::Method::Post,
            },
            url: request.url(),
            headers: request
                .headers
                .iter()
                .map(|(name, value)| typed::Header {
                    name: (*name).to_owned(),
                    value: value.clone(),
                })
                .collect(),
            body: request.body.clone(),
            connect_timeout_ms: CONNECT_TIMEOUT.as_millis() as u32,
            timeout_ms: exchange.timeout().as_millis() as u32,
            max_body_bytes: MAX_BODY as u32,
        })
    }

    fn finish(
        call: typed::Call,
        attempt: typed::Attempt,
        answer: Result<typed::Response, typed::Fault>,
    ) -> typed::Next {
        let name = call.name.clone();
        let exchange = settings(call).and_then(|settings| Exchange::start(&name, settings));
        let next = match exchange {
            Err(failure) => Next::Failed(failure),
            Ok(exchange) => exchange.finish(
                Attempt {
                    number: attempt.number,
                    elapsed: Duration::from_millis(attempt.elapsed_ms.into()),
                    random: attempt.random,
                },
                answer.map(answered).map_err(Fault::from),
            ),
        };
        match next {
            Next::Done(outputs) => typed::Next::Done(outputs),
            Next::Again(delay) => typed::Next::Again(delay.as_millis() as u32),
            Next::Failed(failure) => typed::Next::Failed(failure.into()),
        }
    }
}

impl exchange_text::Guest for Block {
    fn start(call: String) -> String {
        text::start(&call)
    }

    fn finish(attempt: String) -> String {
        text::finish(&attempt)
    }
}

fn settings(call: typed::Call) -> Result<Settings, Failure> {
    let variables = call.settings.into_iter();
    let variables = variables.map(|setting| (setting.variable, setting.value));
    Settings::of_call(variables, call.adds_credential)
}

fn answered(response: typed::Response) -> Answer {
    let mut answer = Answer::new(response.status, response.body.map_err(Fault::from));
    for header in response.headers {
        answer.add_header(&header.name, header.value);
    }
    answer
}

impl From<typed::Fault> for Fault {
    fn from(fault: typed::Fault) -> Fault {
        Fault {
            kind: fault.kind.into(),
            proxy: fault.proxy,
        }
    }
}

/// The kinds of both are the same, by name.
macro_rules! same_kinds {
    ($($kind:ident)*) => {
        impl From<typed::FaultKind> for FaultKind {
            fn from(kind: typed::FaultKind) -> FaultKind {
                match kind {
                    $(typed::FaultKind::$kind => FaultKind::$kind,)*
                }
            }
        }
    };
}

same_kinds! {
    NameNotResolved NameNotResolvedInTime NoRoute Refused NoConnectionToSpare ConnectTimeout Closed Incomplete
    TransferCoding Protocol SenderFailed Timeout Certificate TlsAlert TlsHandshake Denied AddressDenied ProxyLoop
    NotSetUp NotSendable HeaderTooLarge BodyTooLarge ContentCoding
}
