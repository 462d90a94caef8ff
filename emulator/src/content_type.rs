//! The media types of the answers, as Google's front end writes them.

pub const JSON: &str = "application/json; charset=UTF-8";

pub const HTML: &str = "text/html; charset=UTF-8";
