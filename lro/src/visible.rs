//! Text that does not act on the terminal that shows it: names, messages and outputs are others' text.

use std::borrow::Cow;

/// `text` with each character that a terminal would obey, or that would reorder or hide what stands around it, as
/// its escape in JSON. So JSON text stays the same JSON.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_invisible) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_invisible(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                shown.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

/// Control characters (Cc), the format characters (Cf) and separators that change how others are shown (UAX #9), and
/// those that take no room (Default_Ignorable_Code_Point of Unicode 16), but for the variation selectors of emoji.
pub fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_is_shown_as_its_escape_in_json() {
        assert_eq!(visible("a\u{1b}]0;x\u{7}b"), r"a\u001b]0;x\u0007b");
        assert_eq!(visible("\u{9b}31m\u{7f}"), r"\u009b31m\u007f");
        assert_eq!(visible("a\u{202e}b\u{2066}"), r"a\u202eb\u2066");
        assert_eq!(visible("\u{e0041}"), r"\udb40\udc41");
        assert_eq!(visible("\u{feff}\u{200b}\n"), r"\ufeff\u200b\u000a");
        assert_eq!(
            visible("\u{61c}\u{200c}\u{200f}\u{85}"),
            r"\u061c\u200c\u200f\u0085"
        );
    }

    #[test]
    fn json_means_the_same_afterwards() {
        let json = "{\"a\u{202e}\":\"\u{9b}\u{e0041}é👩\u{200d}💻❤\u{fe0f}\"}";
        let read = |json: &str| serde_json::from_str::<serde_json::Value>(json).unwrap();
        assert_eq!(read(&visible(json)), read(json));
        assert!(visible(json).contains("é👩\\u200d💻❤\u{fe0f}"));
    }
}
