//! What a credential looks like. Text of such a form is never shown, wherever it was typed or exported.

/// The form of a credential that a text seems to hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum CredentialForm {
    /// The JSON of a credentials file.
    Json,
    /// A key or a certificate as PEM (RFC 7468).
    Pem,
    /// A token, a key or a secret.
    Token,
}

/// How the credentials of Google begin: access tokens, API keys, client secrets, refresh tokens, and JSON Web Tokens.
const BEGINNINGS: [&str; 6] = ["ya29.", "AIza", "AIZA", "GOCSPX", "1//", JWT];

/// `{"` in base64url, with which the header of a JSON Web Token begins (RFC 7519).
const JWT: &str = "eyJ";

/// So few characters tell nothing of a secret.
pub const TELLS_NOTHING: usize = 8;

/// So many letters and digits in a row, and no words, are a key or a token.
const RUN: usize = 20;

impl CredentialForm {
    /// The form of the credential that `text` seems to hold, if it seems to hold one.
    pub fn of(text: &str) -> Option<CredentialForm> {
        if let Some(form) = document(text) {
            return Some(form);
        }
        let has_beginning = BEGINNINGS.iter().any(|beginning| begins(text, beginning));
        let is_token = has_beginning || has_random_run(text);
        is_token.then_some(CredentialForm::Token)
    }

    /// The same for a resource name: the id of an operation may well be a long random one, or base64 of JSON.
    pub fn of_name(name: &str) -> Option<CredentialForm> {
        if let Some(form) = document(name) {
            return Some(form);
        }
        let others = BEGINNINGS.iter().filter(|beginning| **beginning != JWT);
        let mut segments = name.split('/');
        let is_token = { others }.any(|beginning| begins(name, beginning))
            || segments.any(|segment| segment.starts_with(JWT) && segment.contains(".eyJ"));
        is_token.then_some(CredentialForm::Token)
    }
}

/// Whether it is a document that holds a credential.
fn document(text: &str) -> Option<CredentialForm> {
    const MEMBERS: [&str; 4] = [
        "\"private_key\"",
        "\"refresh_token\"",
        "\"client_secret\"",
        "\"access_token\"",
    ];
    if text.trim_start().starts_with('{') || MEMBERS.iter().any(|member| text.contains(member)) {
        return Some(CredentialForm::Json);
    }
    text.contains("-----BEGIN").then_some(CredentialForm::Pem)
}

/// Whether a word of `text` begins so, and is long enough to tell something.
fn begins(text: &str, beginning: &str) -> bool {
    let in_token = |c: &char| c.is_ascii_alphanumeric() || "-._~+/=".contains(*c);
    text.match_indices(beginning).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let is_word = before.is_none_or(|c| !c.is_ascii_alphanumeric());
        // A path may have two slashes in a row; every refresh token so far has a 0 behind them.
        let is_path = before == Some('/') && beginning == "1//" && !text[at..].starts_with("1//0");
        is_word && !is_path && text[at..].chars().take_while(in_token).count() >= TELLS_NOTHING
    })
}

/// Whether `text` has a long run of letters and digits, as hexadecimal and base64 have and words have not.
fn has_random_run(text: &str) -> bool {
    let mut words = text.split(|c: char| !c.is_ascii_alphanumeric());
    let mut runs = text.split(|c: char| !c.is_ascii_alphanumeric() && !"+/=_-".contains(c));
    words.any(|word| word.len() >= RUN && has_digit(word) && has_letter(word))
        || runs.any(is_base64)
}

/// Whether a run that may have the other characters of base64 is too irregular to be words.
fn is_base64(run: &str) -> bool {
    let is_mixed = run.contains(|c: char| c.is_ascii_uppercase())
        && run.contains(|c: char| c.is_ascii_lowercase())
        && has_digit(run);
    if run.len() < RUN || !is_mixed {
        return false;
    }
    let (mut letters, mut changes) = (0, 0);
    for word in run.split(|c: char| !c.is_ascii_alphanumeric()) {
        let kinds: Vec<u8> = word.bytes().map(kind).collect();
        letters += kinds.len();
        changes += kinds.windows(2).filter(|pair| pair[0] != pair[1]).count();
    }
    changes * 4 > letters
}

/// Upper case, lower case or digit.
fn kind(byte: u8) -> u8 {
    match byte {
        b'A'..=b'Z' => 0,
        b'a'..=b'z' => 1,
        _ => 2,
    }
}

fn has_digit(text: &str) -> bool {
    text.contains(|c: char| c.is_ascii_digit())
}

fn has_letter(text: &str) -> bool {
    text.contains(|c: char| c.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_known_by_their_form() {
        use CredentialForm::{Json, Pem, Token};
        for (text, form) in [
            ("ya29.made-up", Token),
            ("Bearer ya29.made-up", Token),
            ("https://a.example/v1?access_token=ya29.made-up", Token),
            ("AIzaMadeUp_1", Token),
            ("GOCSPX-made-up", Token),
            ("GOCSPXMADEUP", Token),
            ("1//0made-up", Token),
            ("./1//0made-up", Token),
            ("eyJhbGciOiJub25lIn0.e30.", Token),
            ("-----BEGIN PRIVATE KEY-----\nMIIE", Pem),
            ("{\"type\":\"service_account\"}", Json),
            ("\n {\"a\":1}", Json),
            ("  \"private_key\": \"made-up\",", Json),
            // Hexadecimal and base64.
            ("0123456789abcdef0123", Token),
            ("bWFkZSB1cCBvbmUgbWFkZSB1cA==", Token),
            ("/9j/4AAQSkZJ+gABAQEAYABgAAD", Token),
            ("wJa1rXU/nFE2I-K7MDE+G_bPx", Token),
        ] {
            assert_eq!(CredentialForm::of(text), Some(form), "{text}");
        }
    }

    #[test]
    fn paths_names_and_hosts_have_no_such_form() {
        for text in [
            "",
            "ya29.",
            "key.json",
            "/home/user1/Projects2024/OperationsGet/v3beta2/keyFile",
            "/tmp/.tmpX9yZ0q/ca.pem",
            "/data/1//names.txt",
            "my-project-123456-a1b2c3d4e5f6.json",
            "3f2b8c1e-9a7d-4e2f-8b1c-2d3e4f5a6b7c",
            "us-central1-aiplatform.googleapis.com/v1beta1",
            "MY_ACCESS_TOKEN_2",
            "internationalization-of-everything",
            "projects/p/locations/us-central1/operations/operation-1700000000000-5f0e",
        ] {
            assert_eq!(CredentialForm::of(text), None, "{text}");
        }
    }

    #[test]
    fn the_id_of_an_operation_may_be_random() {
        for name in [
            "operations/0123456789abcdef0123456789abcdef",
            "operations/eyJhIjoxLCJiIjoyfQ",
            "projects/p/operations/bWFkZSB1cCBvbmUgbWFkZSB1cA==",
        ] {
            assert_eq!(CredentialForm::of_name(name), None, "{name}");
        }
        for name in [
            "operations/ya29.made-up",
            "operations/eyJhbGciOiJub25lIn0.eyJhIjoxfQ.made-up",
            "operations/AIzaMadeUp",
            "1//0made-up",
        ] {
            let form = CredentialForm::of_name(name);
            assert_eq!(form, Some(CredentialForm::Token), "{name}");
        }
    }
}
