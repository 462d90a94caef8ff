//! What is true of the message of every failure, whatever the input was.

/// The credential of every case that has one. Only what follows `not-a-real-token-` is secret.
pub const TOKEN: &str = "not-a-real-token-b7Q2xZ9kLm4WcV8rTg5Yh1Nd";

const SECRET_AT: usize = "not-a-real-token-".len();

/// The longest message, in bytes: a service's patterns make long ones.
const MAX_LENGTH: usize = 32 * 1024;

/// How much of the secret is enough to call it a leak, in bytes.
const PIECE: usize = 8;

/// Checks that the message is one line, without control characters and without the token. The message
/// may quote parts of the input; but if the input has the token only as a whole, the message must not
/// have a piece of it either, because only a cut could have left it.
pub fn check(message: &str, input: &[u8]) {
    check_line(message);
    assert!(
        !message.contains(TOKEN),
        "the token in the message {message:?}"
    );
    if let Some(piece) = pieces().find(|piece| message.contains(piece)) {
        assert!(
            !has_only_whole_tokens(input),
            "a piece of the token, {piece}, in the message {message:?}"
        );
    }
}

/// Checks that the message is one line without control characters, and not too long for a log.
pub fn check_line(message: &str) {
    assert!(
        message.len() <= MAX_LENGTH,
        "a message of {} bytes",
        message.len()
    );
    assert!(!message.is_empty(), "an empty message");
    if let Some(odd) = message.chars().find(|c| breaks_a_line(*c)) {
        panic!("{odd:?} in the message {message:?}");
    }
}

/// Unicode's control characters, line and paragraph separators, and marks that turn text around.
fn breaks_a_line(c: char) -> bool {
    let code = u32::from(c);
    code < 0x20
        || (0x7f..0xa0).contains(&code)
        || [0x200e, 0x200f].contains(&code)
        || (0x2028..=0x202e).contains(&code)
        || (0x2066..=0x2069).contains(&code)
}

/// An answer as the block may read it: the token in any case and spelling, of which none begins like another, is
/// replaced.
pub fn without_token(answer: &[u8]) -> Vec<u8> {
    let mut clean = Vec::new();
    let mut rest = answer;
    while let Some(first) = rest.first() {
        let token = TOKEN.bytes().try_fold(rest, |rest, byte| {
            let (read, rest) = character(rest)?;
            read.eq_ignore_ascii_case(&byte).then_some(rest)
        });
        rest = match token {
            Some(behind) => {
                clean.extend_from_slice(b"[credential]");
                behind
            }
            None => {
                clean.push(*first);
                &rest[1..]
            }
        };
    }
    clean
}

/// The next character, in the spelling of JSON or of a URL if it is in one, and what stands behind it.
fn character(text: &[u8]) -> Option<(u8, &[u8])> {
    let hex = |digits: &[u8]| {
        let is_hex = digits.iter().all(u8::is_ascii_hexdigit);
        let digits = std::str::from_utf8(digits).ok().filter(|_| is_hex)?;
        u8::from_str_radix(digits, 16).ok()
    };
    let escaped = match text {
        [b'%', a, b, rest @ ..] => hex(&[*a, *b]).map(|byte| (byte, rest)),
        [b'\\', b'u', b'0', b'0', a, b, rest @ ..] => hex(&[*a, *b]).map(|byte| (byte, rest)),
        _ => None,
    };
    escaped.or_else(|| text.split_first().map(|(first, rest)| (*first, rest)))
}

fn pieces() -> impl Iterator<Item = &'static str> {
    let secret = &TOKEN[SECRET_AT..];
    (0..=secret.len() - PIECE).map(move |at| &secret[at..at + PIECE])
}

fn has_only_whole_tokens(input: &[u8]) -> bool {
    let input = String::from_utf8_lossy(input);
    // An escape before the token may take its first letter.
    let is_taken = input.split(TOKEN).any(|before| before.ends_with('\\'));
    let rest = input.replace(TOKEN, "");
    // In escapes a piece would go unnoticed.
    let may_hide_one = rest.contains("\\u");
    let shows_one = pieces().any(|piece| rest.contains(&piece[..4]));
    !is_taken && !may_hide_one && !shows_one
}
