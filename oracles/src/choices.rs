//! Texts made from choices: how the structured half of each target gets its input.

use std::borrow::Cow;

use arbitrary::Unstructured;

use crate::message::TOKEN;

/// The first byte of an input that is choices and not text.
pub const MARK: u8 = 1;

/// The input as text of the target's form: as it is, or made from the choices in it.
pub fn text_of(input: &[u8], make: fn(&mut Choices) -> Vec<u8>) -> Cow<'_, [u8]> {
    match input.split_first() {
        Some((&MARK, choices)) => Cow::Owned(make(&mut Choices(Unstructured::new(choices)))),
        _ => Cow::Borrowed(input),
    }
}

/// Choices that the bytes of an input make. After the last byte each choice is the first there is, so
/// that everything that repeats on a choice stops.
pub struct Choices<'a>(Unstructured<'a>);

impl<'a> Choices<'a> {
    /// A number up to `most`.
    pub fn up_to(&mut self, most: usize) -> usize {
        // Errors are only those of empty ranges.
        self.0.int_in_range(0..=most).unwrap_or_default()
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0.arbitrary().unwrap_or_default()
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.up_to(n - 1) == n - 1
    }

    /// One of several.
    pub fn of<T: Copy>(&mut self, several: &[T]) -> T {
        several[self.up_to(several.len() - 1)]
    }

    /// A short text, made of words that mean something somewhere and of any characters.
    pub fn words(&mut self) -> String {
        const WORDS: [&str; 18] = [
            "",
            "a",
            "operations/o",
            "x y",
            "/",
            "%2F",
            "\n",
            "\u{1b}[31m",
            "\u{202e}",
            "\u{2028}",
            "\u{0}",
            "é😀",
            "\"\\",
            "RESOURCE_EXHAUSTED",
            "..",
            "null",
            "5",
            TOKEN,
        ];
        let mut words = String::new();
        loop {
            match self.up_to(20) {
                0 => return words,
                1 => words.push(self.0.arbitrary().unwrap_or(' ')),
                2 => words.push_str(&"long ".repeat(self.up_to(130))),
                n => words.push_str(WORDS[n - 3]),
            }
            if words.len() > 4096 {
                return words;
            }
        }
    }

    /// A number in decimal digits, sometimes of many.
    pub fn digits(&mut self) -> String {
        match self.up_to(5) {
            0 => self.up_to(9).to_string(),
            1 => self.up_to(100_000).to_string(),
            2 => self.number().to_string(),
            3 => format!("{}{}", self.number(), self.number()),
            4 => format!("{}{}", self.number(), "0".repeat(self.up_to(300))),
            _ => format!("{}{}", "0".repeat(self.up_to(20)), self.up_to(9_999)),
        }
    }
}
