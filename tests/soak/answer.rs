//! What the server does with a call, chosen by a seed: the same for both sides.

use std::time::Duration;

use crate::outcome::Outcome;

/// An answer, or a fault in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
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
    /// A 200 that is no JSON.
    NotJson,
    /// Bytes that are no HTTP.
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
const SHARES: [(Answer, u64); 13] = [
    (Answer::Running, 345),
    (Answer::Succeeded, 250),
    (Answer::Large, 5),
    (Answer::Failed, 100),
    (Answer::NotFound, 50),
    (Answer::QuotaUsedUp, 50),
    (Answer::Unavailable, 50),
    (Answer::Redirect, 30),
    (Answer::NotJson, 30),
    (Answer::NotHttp, 20),
    (Answer::CutShort, 30),
    (Answer::Reset, 30),
    (Answer::Silence, 10),
];

/// The longest time that the server takes.
const SLOWEST: u64 = 100;

impl Answer {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Answer> {
        SHARES.iter().map(|(answer, _)| *answer)
    }

    /// What the call of this number gets.
    pub fn of(plan: Plan, call: u32) -> Answer {
        let mut drawn = draw(plan.seed, call) % 1000;
        for (answer, share) in SHARES {
            if drawn < share {
                return match answer {
                    Answer::Large if !plan.has_large => Answer::Succeeded,
                    _ => answer,
                };
            }
            drawn -= share;
        }
        unreachable!("the shares are 1,000 together")
    }

    /// How the block tells of it.
    pub fn outcome(self) -> Outcome {
        match self {
            Answer::Running => Outcome::Running,
            Answer::Succeeded | Answer::Large => Outcome::Succeeded,
            Answer::Failed => Outcome::Failed,
            Answer::NotFound => Outcome::NotFound,
            Answer::QuotaUsedUp => Outcome::QuotaExceeded,
            Answer::Unavailable => Outcome::Unavailable,
            Answer::Redirect => Outcome::Redirected,
            Answer::NotJson => Outcome::NotAnOperation,
            Answer::NotHttp | Answer::CutShort | Answer::Reset => Outcome::ConnectionLost,
            Answer::Silence => Outcome::Timeout,
        }
    }

    /// How often the host may send the request of one call: once more where it met a connection that was
    /// used before and ended without a byte.
    pub fn most_requests(self) -> u8 {
        match self {
            Answer::Reset => 2,
            _ => 1,
        }
    }

    /// The bytes that the server sends, and whether it keeps the connection after them.
    pub fn bytes(self, call: u32) -> (Vec<u8>, bool) {
        let json = |status: &str, header: &str, body: String| {
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{header}content-length: {length}\r\n\r\n"
            );
            (head + &body).into_bytes()
        };
        let error = |status: &str, header: &str, code: u16, name: &str| {
            let body = format!(
                r#"{{"error":{{"code":{code},"message":"For call {call}.","status":"{name}"}}}}"#
            );
            json(status, header, body)
        };
        let succeeded = |filling: usize| {
            let filling = "x".repeat(filling);
            let body = format!(
                r#"{{"name":"{}","done":true,"response":{{"call":{call},"filling":"{filling}"}}}}"#,
                name(call)
            );
            json("200 OK", "", body)
        };
        match self {
            Answer::Running => {
                let body = format!(
                    r#"{{"name":"{}","metadata":{{"call":{call}}}}}"#,
                    name(call)
                );
                (json("200 OK", "", body), true)
            }
            Answer::Succeeded => (succeeded(600), true),
            Answer::Large => (succeeded(2 << 20), true),
            Answer::Failed => {
                let body = format!(
                    r#"{{"name":"{}","done":true,"error":{{"code":7,"message":"For call {call}."}}}}"#,
                    name(call)
                );
                (json("200 OK", "", body), true)
            }
            Answer::NotFound => (error("404 Not Found", "", 404, "NOT_FOUND"), true),
            Answer::QuotaUsedUp => {
                let header = format!("retry-after: {}\r\n", retry_after(call).as_secs());
                let status = "429 Too Many Requests";
                (error(status, &header, 429, "RESOURCE_EXHAUSTED"), true)
            }
            Answer::Unavailable => (
                error("503 Service Unavailable", "", 503, "UNAVAILABLE"),
                true,
            ),
            Answer::Redirect => (
                json("302 Found", "location: /v1/elsewhere\r\n", String::new()),
                true,
            ),
            Answer::NotJson => (json("200 OK", "", format!("<p>call {call}")), true),
            Answer::NotHttp => (b"\0\x01 no HTTP\r\n\r\n".to_vec(), false),
            Answer::CutShort => {
                let (mut bytes, _) = Answer::Succeeded.bytes(call);
                bytes.truncate(bytes.len() - 300);
                (bytes, false)
            }
            Answer::Reset | Answer::Silence => (Vec::new(), false),
        }
    }
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
            let got = (0..100_000).filter(|call| Answer::of(plan, *call) == answer);
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
            match (Answer::of(with, call), Answer::of(without, call)) {
                (Answer::Large, other) => assert_eq!(other, Answer::Succeeded),
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
