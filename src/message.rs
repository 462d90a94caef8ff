//! How text goes into a message: on one line, and cut to a length that a log can carry.

use crate::secret;

/// `text` on one line: every control character, line separator and text direction mark becomes a
/// space, so that a message can go to a log or a terminal as it is.
pub fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if breaks_a_line(c) { ' ' } else { c })
        .collect()
}

fn breaks_a_line(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A value in double quotes, cut after 100 characters; not if it looks like a credential that was pasted
/// in the wrong place.
pub fn quoted(value: &str) -> String {
    if secret::looks_like_one(value) {
        return "(not shown: it looks like a credential)".to_owned();
    }
    format!("\"{}\"", shortened(value, 100))
}

/// A service's words in quotes, as far as a message can carry them; `service-error` has all of them.
pub fn excerpt(words: &str) -> String {
    format!("“{}”", shortened(words, 500))
}

/// At most `max` characters of `text`, with an ellipsis if there are more.
pub fn shortened(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_and_direction_marks_become_spaces() {
        assert_eq!(
            one_line("a\r\nb\u{1b}[31mc\u{2028}d\u{85}e\u{202e}f"),
            "a  b [31mc d e f"
        );
    }

    #[test]
    fn a_long_value_is_cut_between_characters() {
        assert_eq!(quoted("short"), "\"short\"");
        let longest = "ü".repeat(100);
        assert_eq!(quoted(&longest), format!("\"{longest}\""));
        assert_eq!(quoted(&"ü".repeat(101)), format!("\"{longest}…\""));
    }

    #[test]
    fn what_looks_like_a_credential_is_not_quoted() {
        assert_eq!(
            quoted("ya29.not-a-real-token"),
            "(not shown: it looks like a credential)"
        );
    }
}
