//! A secret that was pasted where something else belongs: it must not be quoted.

use std::env;
use std::ffi::OsStr;
use std::path::Path;

use crate::credential_form::{CredentialForm, TELLS_NOTHING};
use crate::exit::ExitError;

/// `value` as the path of what is there already, if it can be shown in messages.
///
/// # Errors
///
/// A usage error without a character of `value`, unless it names something that exists or is plainly a path.
/// `option`: where it was given.
pub fn path<'a>(option: &str, value: &'a OsStr) -> Result<&'a Path, ExitError> {
    let path = Path::new(value);
    if is_quotable(value) || path.exists() {
        return Ok(path);
    }
    let what = match CredentialForm::of(&value.to_string_lossy()) {
        Some(CredentialForm::Json) => "it holds the JSON itself; give its path",
        Some(CredentialForm::Pem) => "it holds the PEM itself; give its path",
        _ => "no such file exists, and it is not shown, for it may be a secret; give a path",
    };
    Err(ExitError::usage(format!("{option} is not a path: {what}")))
}

/// `value` as the name of an environment variable, if it can be shown in messages.
///
/// # Errors
///
/// A usage error without a character of `value`, unless such a variable is set or it is plainly such a name.
pub fn variable<'a>(option: &str, value: &'a str) -> Result<&'a str, ExitError> {
    let is_name = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    let is_plainly_a_name = value.len() <= 64
        && value.bytes().all(is_name)
        && value.starts_with(|c: char| c.is_ascii_uppercase() || c == '_')
        && CredentialForm::of(value).is_none();
    let is_set = !value.is_empty() && !value.contains(['=', '\0']) && env::var_os(value).is_some();
    match is_plainly_a_name || is_set {
        true => Ok(value),
        false => Err(ExitError::usage(format!(
            "{option} is not the name of a variable that is set, and it is not shown, for it may be the token \
             itself; give the variable's name"
        ))),
    }
}

/// Refuses what looks like a credential where none belongs.
///
/// # Errors
///
/// A usage error without a character of `value`. `option`: where it was given.
pub fn refuse(option: &str, value: &OsStr) -> Result<(), ExitError> {
    match CredentialForm::of(&value.to_string_lossy()) {
        None => Ok(()),
        Some(_) => Err(looks_like_a_credential(option)),
    }
}

/// Says so of the text that was given there.
pub fn looks_like_a_credential(option: &str) -> ExitError {
    ExitError::usage(format!(
        "{option} looks like a credential, and it is not shown: give what belongs there, and the credential by \
         --credentials or in GOOGLE_OAUTH_ACCESS_TOKEN"
    ))
}

/// Whether a message may quote this: it is plainly a path, or too short to tell anything.
pub fn is_quotable(value: &OsStr) -> bool {
    let text = value.to_string_lossy();
    is_short(&text) || (is_plainly_a_path(&text) && tells_nothing(Path::new(value)))
}

/// Whether neither the path nor its last part looks like a credential. A folder that exists is none, whatever it is
/// called.
fn tells_nothing(path: &Path) -> bool {
    let has_no_form = |part: &OsStr| CredentialForm::of(&part.to_string_lossy()).is_none();
    let folder = path
        .parent()
        .filter(|folder| folder.is_absolute() && folder.exists());
    match (folder, path.file_name()) {
        (Some(_), Some(file)) => has_no_form(file),
        _ => has_no_form(path.as_os_str()),
    }
}

/// Whether this is too short to tell anything of a secret.
pub fn is_short(text: &str) -> bool {
    text.chars().count() < TELLS_NOTHING
}

/// Whether it begins or ends as a path does.
fn is_plainly_a_path(text: &str) -> bool {
    let begins = ["/", "./", "../", "~/", ".\\", "..\\"];
    let ends = [
        ".json", ".jsonl", ".pem", ".crt", ".cer", ".key", ".p12", ".txt", ".wasm",
    ];
    let drive = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && (text[1..].starts_with(":\\") || text[1..].starts_with(":/"));
    text.len() <= 1024
        && !text.contains(['{', '"', '\n', '\r'])
        && (drive
            || matches!(text, "." | "..")
            || begins.iter().any(|begin| text.starts_with(begin))
            || ends.iter().any(|end| text.ends_with(end)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_path_is_shown_whether_it_exists_or_not() {
        for path in [
            "/nowhere/key.json",
            "/nowhere/a secret place",
            "key.json",
            "results.jsonl",
            "./robot",
            "C:\\keys\\robot",
            "~/key",
            ".",
            "results",
        ] {
            assert!(
                super::path("--credentials", path.as_ref()).is_ok(),
                "{path}"
            );
        }
    }

    #[test]
    fn a_secret_in_place_of_its_path_is_not() {
        for (secret, advice) in [
            (
                "{\"type\":\"service_account\"}",
                "it holds the JSON itself; give its path",
            ),
            (
                "\n {\"a\":\"/x.json",
                "it holds the JSON itself; give its path",
            ),
            (
                "-----BEGIN PRIVATE KEY-----\nMIIE",
                "it holds the PEM itself; give its path",
            ),
            ("ya29.a0AfH6SMB-secret", "no such file"),
            ("/ya29.a0AfH6SMB-secret.json", "no such file"),
            ("/9j/4AAQSkZJ+gABAQEAYABgAAD", "no such file"),
            ("1//0gsecret-_x", "no such file"),
            ("a made-up secret", "no such file"),
        ] {
            let error = path("--credentials", secret.as_ref()).unwrap_err();
            assert!(error.message.contains(advice), "{}", error.message);
            assert!(
                error.message.starts_with("--credentials "),
                "{}",
                error.message
            );
            assert!(!error.message.contains(secret), "{}", error.message);
            assert!(!error.message.contains("secret-"), "{}", error.message);
        }
    }

    #[test]
    fn a_variable_is_shown_by_its_name_and_a_token_in_its_place_is_not() {
        for name in ["MY_TOKEN", "_X1", "PATH"] {
            assert_eq!(variable("--access-token-env", name).unwrap(), name);
        }
        for token in [
            "ya29.a0Af_x",
            "AIzaSyMadeUp",
            "GOCSPXMADEUP",
            "A1B2C3D4E5F6A7B8C9D0",
            "1ABC",
            "",
            "A=B",
        ] {
            let error = variable("--access-token-env", token).unwrap_err();
            assert!(error.message.contains("give the variable's name"));
            assert!(token.is_empty() || !error.message.contains(token));
        }
    }

    /// A made-up secret of each form.
    fn secret() -> impl Strategy<Value = String> {
        let base64 = "[A-Za-z0-9+/]{10}[0-9][a-z][A-Z][0-9][A-Za-z0-9+/]{30}={0,2}";
        prop_oneof![
            "ya29\\.[A-Za-z0-9_-]{20,60}",
            "AIza[A-Za-z0-9_-]{35}",
            "GOCSPX-[A-Za-z0-9_-]{28}",
            "1//0[A-Za-z0-9_-]{20,60}",
            "eyJ[A-Za-z0-9_-]{20}\\.eyJ[A-Za-z0-9_-]{20}\\.[A-Za-z0-9_-]{20}",
            "[0-9a-f]{8}[a-f][0-9][0-9a-f]{20}",
            "[A-Za-z0-9]{9}[0-9][a-z][A-Za-z0-9]{20}",
            base64.prop_filter("random", |text| CredentialForm::of(text).is_some()),
            base64.prop_map(|text| format!("-----BEGIN PRIVATE KEY-----\n{text}\n")),
            base64.prop_map(|text| format!("{{\"private_key\":\"{text}\"}}")),
        ]
    }

    proptest! {
        #[test]
        fn no_error_quotes_a_secret(
            secret in secret(),
            before in prop_oneof![Just(""), Just("/"), Just("./"), Just(" ")],
            behind in prop_oneof![Just(""), Just(".json"), Just("\n")],
        ) {
            let value = format!("{before}{secret}{behind}");
            let errors = [
                path("--block", value.as_ref()).unwrap_err(),
                variable("--access-token-env", &value).unwrap_err(),
                refuse("--service", value.as_ref()).unwrap_err(),
            ];
            let secret: Vec<char> = secret.chars().collect();
            for error in errors {
                for piece in secret.windows(TELLS_NOTHING) {
                    let piece: String = piece.iter().collect();
                    prop_assert!(!error.message.contains(&piece), "{}", error.message);
                }
            }
        }
    }
}
