//! A secret that was pasted where its path, or the name of its variable, belongs: it must not be quoted.

use std::env;
use std::ffi::OsStr;
use std::path::Path;

use crate::exit::ExitError;

/// `value` as a path, if it can be shown in messages.
///
/// # Errors
///
/// A usage error without a character of `value`, unless it names something that exists or is plainly a path.
/// `option`: where it was given.
pub fn path<'a>(option: &str, value: &'a OsStr) -> Result<&'a Path, ExitError> {
    let path = Path::new(value);
    let text = value.to_string_lossy();
    if is_plainly_a_path(&text) || path.exists() {
        return Ok(path);
    }
    let what = if text.trim_start().starts_with('{') {
        "it holds the JSON itself; give its path"
    } else if text.contains("-----BEGIN") {
        "it holds the PEM itself; give its path"
    } else {
        "no such file exists, and it is not shown, for it may be a secret; give a path"
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
        && value.starts_with(|c: char| c.is_ascii_uppercase() || c == '_');
    let is_set = !value.is_empty() && !value.contains(['=', '\0']) && env::var_os(value).is_some();
    match is_plainly_a_name || is_set {
        true => Ok(value),
        false => Err(ExitError::usage(format!(
            "{option} is not the name of a variable that is set, and it is not shown, for it may be the token \
             itself; give the variable's name"
        ))),
    }
}

/// Whether it begins or ends as a path does and no key or token.
fn is_plainly_a_path(text: &str) -> bool {
    let begins = ["/", "./", "../", "~/", ".\\", "..\\"];
    let ends = [
        ".json", ".pem", ".crt", ".cer", ".key", ".p12", ".txt", ".wasm",
    ];
    let drive = text.as_bytes().get(1) == Some(&b':');
    text.len() <= 1024
        && !text.contains(['{', '"', '\n', '\r'])
        && (drive
            || begins.iter().any(|begin| text.starts_with(begin))
            || ends.iter().any(|end| text.ends_with(end)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_shown_whether_it_exists_or_not() {
        for path in [
            "/etc/keys/robot",
            "key.json",
            "./robot",
            "C:\\keys\\robot",
            "~/key",
            ".",
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
            ("1//0gsecret-_x", "no such file"),
            ("", "no such file"),
        ] {
            let error = path("--credentials", secret.as_ref()).unwrap_err();
            assert!(error.message.contains(advice), "{}", error.message);
            assert!(
                error.message.starts_with("--credentials "),
                "{}",
                error.message
            );
            assert!(secret.is_empty() || !error.message.contains(secret));
            assert!(!error.message.contains("secret-"), "{}", error.message);
        }
    }

    #[test]
    fn a_variable_is_shown_by_its_name_and_a_token_in_its_place_is_not() {
        for name in ["MY_TOKEN", "_X1", "PATH"] {
            assert_eq!(variable("--access-token-env", name).unwrap(), name);
        }
        for token in ["ya29.a0Af_x", "AIzaSyMadeUp", "1ABC", "", "A=B"] {
            let error = variable("--access-token-env", token).unwrap_err();
            assert!(error.message.contains("give the variable's name"));
            assert!(token.is_empty() || !error.message.contains(token));
        }
    }
}
