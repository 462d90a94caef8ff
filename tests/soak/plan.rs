//! What the server answers each call with, drawn by a seed: the same for both sides.

use std::time::Duration;

use testing::answer::{Answer, error, json, reply};

use crate::outcome::Outcome;

/// An answer, or a fault in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planned {
    /// An operation that runs.
    Running,
    /// An operation that succeeded.
    Succeeded,
    /// The same with a response of 2 MiB, with which an instance is not kept.
    Large,
    /// An operation that failed.
    Failed,
    /// 404.
    NotFound,
    /// 429 with `Retry-After`.
    QuotaUsedUp,
    /// 503.
    Unavailable,
    /// 302 to the same server.
    Redirect,
    /// A 200 that is not JSON.
    NotJson,
    /// Bytes that are not HTTP.
    NotHttp,
    /// A body that is shorter than its `Content-Length`.
    CutShort,
    /// The connection is reset before anything of an answer.
    Reset,
    /// Nothing, until the client goes away.
    Silence,
}

/// What a run draws its answers from.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub seed: u64,
    /// Whether some answers are large. What the engine keeps of an instance's memory for the next one is
    /// then full only after minutes.
    pub has_large: bool,
}

/// How many of 1,000 calls get it.
const SHARES: [(Planned, u64); 13] = [
    (Planned::Running, 345),
    (Planned::Succeeded, 250),
    (Planned::Large, 5),
    (Planned::Failed, 100),
    (Planned::NotFound, 50),
    (Planned::QuotaUsedUp, 50),
    (Planned::Unavailable, 50),
    (Planned::Redirect, 30),
    (Planned::NotJson, 30),
    (Planned::NotHttp, 20),
    (Planned::CutShort, 30),
    (Planned::Reset, 30),
    (Planned::Silence, 10),
];

/// The longest time that the server takes.
const SLOWEST: u64 = 100;

impl Planned {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Planned> {
        SHARES.iter().map(|(planned, _)| *planned)
    }

    /// What the call of this number gets.
    pub fn of(plan: Plan, call: u32) -> Planned {
        let mut drawn = draw(plan.seed, call) % 1000;
        for (planned, share) in SHARES {
            if drawn < share {
                return match planned {
                    Planned::Large if !plan.has_large => Planned::Succeeded,
                    _ => planned,
                };
            }
            drawn -= share;
        }
        unreachable!("the shares are 1,000 together")
    }

    /// How the block reports it.
    pub fn outcome(self) -> Outcome {
        match self {
            Planned::Running => Outcome::Running,
            Planned::Succeeded | Planned::Large => Outcome::Succeeded,
            Planned::Failed => Outcome::Failed,
            Planned::NotFound => Outcome::NotFound,
            Planned::QuotaUsedUp => Outcome::QuotaExceeded,
            Planned::Unavailable => Outcome::Unavailable,
            Planned::Redirect => Outcome::Redirected,
            Planned::NotJson => Outcome::NotAnOperation,
            Planned::NotHttp | Planned::CutShort | Planned::Reset => Outcome::ConnectionLost,
            Planned::Silence => Outcome::Timeout,
        }
    }

    /// How often the host may send the request of one call: once more if it met a connection that was used
    /// before and ended without a byte.
    pub fn max_requests(self) -> u8 {
        match self {
            Planned::Reset => 2,
            _ => 1,
        }
    }

    /// What the server answers the call of this number with.
    pub fn answer(self, call: u32) -> Answer {
        let name = name(call);
        let error = |status, code| error(status, code, &message(call));
        match self {
            Planned::Running => {
                let metadata = format!(r#"{{"call":{call}}}"#);
                json(200, format!(r#"{{"name":"{name}","metadata":{metadata}}}"#)).into()
            }
            Planned::Succeeded => json(200, succeeded(call, 600)).into(),
            Planned::Large => json(200, succeeded(call, 2 << 20)).into(),
            Planned::Failed => {
                let error = format!(r#"{{"code":7,"message":"{}"}}"#, message(call));
                json(
                    200,
                    format!(r#"{{"name":"{name}","done":true,"error":{error}}}"#),
                )
                .into()
            }
            Planned::NotFound => error(404, "NOT_FOUND").into(),
            Planned::QuotaUsedUp => {
                let mut reply = error(429, "RESOURCE_EXHAUSTED");
                let seconds = retry_after(call).as_secs().into();
                reply.headers_mut().insert("retry-after", seconds);
                reply.into()
            }
            Planned::Unavailable => error(503, "UNAVAILABLE").into(),
            Planned::Redirect => reply(302, &[("location", "/v1/elsewhere")], "").into(),
            Planned::NotJson => json(200, format!("<p>call {call}")).into(),
            Planned::NotHttp => Answer::raw(&b"\0\x01 no HTTP\r\n\r\n"[..]),
            Planned::CutShort => Answer::head(900).then(succeeded(call, 600)),
            Planned::Reset => Answer::nothing().then_reset(),
            Planned::Silence => Answer::nothing().then_silence(),
        }
    }
}

fn succeeded(call: u32, filling: usize) -> String {
    let filling = "x".repeat(filling);
    let response = format!(r#"{{"call":{call},"filling":"{filling}"}}"#);
    format!(
        r#"{{"name":"{}","done":true,"response":{response}}}"#,
        name(call)
    )
}

/// What the service says of a call that fails.
pub fn message(call: u32) -> String {
    format!("For call {call}.")
}

/// The name that a call asks for.
pub fn name(call: u32) -> String {
    format!("operations/{call}")
}

/// The call that asks for this, the inverse of [`name`] within the line of a request.
pub fn call(request_line: &str) -> Option<u32> {
    let path = request_line.strip_prefix("GET /v1/operations/")?;
    path.split('?').next()?.parse().ok()
}

/// How long the server takes.
pub fn delay(plan: Plan, call: u32) -> Duration {
    Duration::from_millis((draw(plan.seed, call) >> 32) % (SLOWEST + 1))
}

/// How long a call that met a quota is asked to wait.
pub fn retry_after(call: u32) -> Duration {
    Duration::from_secs(u64::from(1 + call % 30))
}

/// A number that looks like chance, by splitmix64.
fn draw(seed: u64, call: u32) -> u64 {
    let step = seed.wrapping_shl(32).wrapping_add(u64::from(call)) + 1;
    let mut z = step.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_are_kept() {
        assert_eq!(SHARES.iter().map(|(_, share)| share).sum::<u64>(), 1000);
        let plan = Plan {
            seed: 7,
            has_large: true,
        };
        for (answer, share) in SHARES {
            let got = (0..100_000).filter(|call| Planned::of(plan, *call) == answer);
            let got = got.count() as u64;
            assert!(
                got.abs_diff(share * 100) < share * 100 / 4,
                "{answer:?}: {got}"
            );
        }
    }

    #[test]
    fn the_other_answers_stay_where_none_is_large() {
        let [with, without] = [true, false].map(|has_large| Plan { seed: 7, has_large });
        for call in 0..10_000 {
            match (Planned::of(with, call), Planned::of(without, call)) {
                (Planned::Large, other) => assert_eq!(other, Planned::Succeeded),
                (answer, other) => assert_eq!(answer, other),
            }
        }
    }

    #[test]
    fn a_call_is_known_by_its_request() {
        assert_eq!(call("GET /v1/operations/12?$.xgafv=2 HTTP/1.1"), Some(12));
        assert_eq!(call("GET /v1/elsewhere HTTP/1.1"), None);
    }
}
