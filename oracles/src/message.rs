//! What holds for the message of every failure, whatever came before it.

use operations_get::bindings::Failure;

/// The credential of every case that has one. What stands behind [`WORDS`] is the secret.
pub const TOKEN: &str = "not-a-real-token-b7Q2xZ9kLm4WcV8rTg5Yh1Nd";

const WORDS: usize = "not-a-real-token-".len();

/// The longest message, in bytes: a service's patterns make long ones.
const MOST: usize = 32 * 1024;

/// How much of the secret is enough to call it a leak, in bytes.
const PIECE: usize = 8;

/// Checks that the message is one line, free of control characters and of the token. Of what `came` the
/// message may show parts; where that holds the token only whole, the message must not hold a piece of
/// it either: it would be one that a cut left over.
pub fn check(failure: &Failure, came: &[u8]) {
    check_line(failure);
    let message = &failure.message;
    assert!(
        !message.contains(TOKEN),
        "the token in the message {message:?}"
    );
    if let Some(piece) = pieces().find(|piece| message.contains(piece)) {
        assert!(
            !holds_only_whole(came),
            "a piece of the token, {piece}, in the message {message:?}"
        );
    }
}

/// Checks that the message is one line, free of control characters, and of a length for a log.
pub fn check_line(failure: &Failure) {
    let message = &failure.message;
    assert!(
        message.len() <= MOST,
        "a message of {} bytes",
        message.len()
    );
    assert!(!message.is_empty(), "an empty message: {failure:?}");
    if let Some(odd) = message.chars().find(|c| breaks_a_line(*c)) {
        panic!("{odd:?} in the message {message:?}");
    }
}

/// Unicode's control characters, line and paragraph separator, and what turns the direction of text.
fn breaks_a_line(c: char) -> bool {
    let code = u32::from(c);
    code < 0x20
        || (0x7f..0xa0).contains(&code)
        || [0x200e, 0x200f].contains(&code)
        || (0x2028..=0x202e).contains(&code)
        || (0x2066..=0x2069).contains(&code)
}

fn pieces() -> impl Iterator<Item = &'static str> {
    let secret = &TOKEN[WORDS..];
    (0..=secret.len() - PIECE).map(move |at| &secret[at..at + PIECE])
}

fn holds_only_whole(came: &[u8]) -> bool {
    let came = String::from_utf8_lossy(came);
    // An escape before the token may take its first letter.
    let is_taken = came.split(TOKEN).any(|before| before.ends_with('\\'));
    let rest = came.replace(TOKEN, "");
    // Behind escapes a piece would not be seen.
    let may_hide_one = rest.contains("\\u");
    let shows_one = pieces().any(|piece| rest.contains(&piece[..4]));
    !is_taken && !may_hide_one && !shows_one
}
