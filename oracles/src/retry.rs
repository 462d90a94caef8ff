//! How long to wait. An input has four lines: `Retry-After`, `Date`, `retryDelay` of `RetryInfo`, and
//! the number of an attempt. A missing or empty `Date` line means that there is none.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use operations_get::bindings::{Failure, Reason};
use operations_get::retry::{backoff, duration_ms, is_retried, retry_after_ms};

use crate::choices::{Choices, text_of};

/// Runs one input.
pub fn check(input: &[u8]) {
    let text = text_of(input, make);
    let text = String::from_utf8_lossy(&text);
    let mut lines = text.split('\n');
    let mut line = || lines.next().unwrap_or_default();
    let (after, date, delay, attempt) = (line(), line(), line(), line());
    let date = (!date.is_empty()).then_some(date);

    let read = retry_after_ms(after, date);
    match expected_after(after, date) {
        Wait::Exactly(ms) => assert_eq!(read, ms, "Retry-After {after:?}, Date {date:?}"),
        // A recipient may read more dates than a sender may write, but never one without its clock.
        Wait::Unspecified => assert!(
            read.is_none() || date.is_some(),
            "Retry-After {after:?} without Date is {read:?}"
        ),
    }
    assert_eq!(
        duration_ms(delay),
        expected_delay(delay),
        "Duration {delay:?}"
    );
    check_backoff(attempt.trim().parse().unwrap_or(1), after.len() as u32);
    check_is_retried(attempt.len() as u16);
}

/// How a `Retry-After` must be read.
pub enum Wait {
    /// As so many milliseconds, or as none.
    Exactly(Option<u32>),
    /// As none, or as a date in a form that no sender may write.
    Unspecified,
}

/// What RFC 9110, section 10.2.3, makes of a `Retry-After`, by another parser of dates.
pub fn expected_after(after: &str, date: Option<&str>) -> Wait {
    let after = after.trim_matches([' ', '\t']);
    if !after.is_empty() && after.chars().all(|c| c.is_ascii_digit()) {
        return Wait::Exactly(Some(scaled(after, "")));
    }
    let Some(date) = date else {
        return Wait::Exactly(None);
    };
    match (exact_date(after), exact_date(date)) {
        (Some(after), Some(date)) => {
            let ms = after
                .duration_since(date)
                .map_or(0, |wait| wait.as_millis());
            Wait::Exactly(Some(u32::try_from(ms).unwrap_or(u32::MAX)))
        }
        _ => Wait::Unspecified,
    }
}

/// What a ProtoJSON `Duration` is in milliseconds, rounded up; read character by character.
pub fn expected_delay(delay: &str) -> Option<u32> {
    let mut whole = String::new();
    let mut fraction = None;
    let mut characters = delay.chars().peekable();
    let negative = characters.next_if_eq(&'-').is_some();
    loop {
        match (characters.next()?, &mut fraction) {
            (digit @ '0'..='9', None) => whole.push(digit),
            (digit @ '0'..='9', Some(fraction)) => String::push(fraction, digit),
            ('.', None) => fraction = Some(String::new()),
            ('s', _) => break,
            _ => return None,
        }
    }
    if characters.next().is_some() || whole.is_empty() || fraction.as_deref() == Some("") {
        return None;
    }
    if negative {
        return Some(0);
    }
    Some(scaled(&whole, &fraction.unwrap_or_default()))
}

/// `whole.fraction` times a thousand, rounded up, and at most [`u32::MAX`].
fn scaled(whole: &str, fraction: &str) -> u32 {
    let thousandths: String = fraction.chars().chain("000".chars()).take(3).collect();
    let is_exact = fraction.chars().skip(3).all(|digit| digit == '0');
    let digits = format!("{whole}{thousandths}");
    let digits = digits.trim_start_matches('0');
    if digits.len() > 10 {
        return u32::MAX;
    }
    let ms = digits.chars().fold(0_u64, |ms, digit| {
        ms * 10 + u64::from(digit.to_digit(10).unwrap_or_default())
    });
    u32::try_from(ms + u64::from(!is_exact)).unwrap_or(u32::MAX)
}

fn check_backoff(attempt: u32, random: u32) {
    let mut full: f64 = 1.0;
    for _ in 1..attempt.min(50) {
        full *= 1.3;
    }
    let full = full.min(10.0);
    for random in [0, random, u32::MAX / 2, u32::MAX - random, u32::MAX] {
        let wait = backoff(attempt, random).as_secs_f64();
        let in_range = wait >= full * 0.499_999 && wait <= full * 1.000_001;
        assert!(
            in_range,
            "attempt {attempt}, random {random}: {wait} s of {full} s"
        );
    }
    assert!(backoff(attempt, 0) < backoff(attempt, u32::MAX));
}

fn check_is_retried(status: u16) {
    let status = 495 + status % 15;
    let mut failure = Failure::new(Reason::Unavailable, "");
    failure.http_status = Some(status);
    assert_eq!(is_retried(&failure), status == 503);
    failure.reason = Reason::ServiceFault;
    assert!(!is_retried(&failure));
}

/// Four lines.
fn make(choices: &mut Choices) -> Vec<u8> {
    let now = choices.number() % 253_402_300_800;
    let wait = choices.of(&[0, 1, 30, 3600, 86_400, 4_294_968, 400_000_000]);
    let then = match choices.one_in(4) {
        true => now.saturating_sub(wait),
        false => (now + wait).min(253_402_300_799),
    };
    let after = match choices.up_to(3) {
        0 => choices.digits(),
        1 => choices.words(),
        _ => date(choices, then),
    };
    let date = match choices.up_to(3) {
        0 => String::new(),
        _ => date(choices, now),
    };
    let delay = delay(choices);
    format!("{after}\n{date}\n{delay}\n{}", choices.up_to(30)).into_bytes()
}

/// A `retryDelay`.
pub fn delay(choices: &mut Choices) -> String {
    let sign = choices.of(&["", "", "", "-", "+"]);
    let whole = choices.digits();
    let fraction = match choices.one_in(2) {
        true => format!(".{}", choices.digits()),
        false => String::new(),
    };
    let unit = choices.of(&["s", "s", "s", "", "m", " s", "ss"]);
    format!("{sign}{whole}{fraction}{unit}")
}

/// The seconds since 1970 as an HTTP date in one of its three forms, or close to one.
pub fn date(choices: &mut Choices, seconds: u64) -> String {
    let [fixed, rfc_850, asctime] = forms(UNIX_EPOCH + Duration::from_secs(seconds));
    match choices.up_to(5) {
        0 | 1 => fixed,
        2 => rfc_850,
        3 => asctime,
        4 => fixed.replace(choices.of(&[" ", ":", "GMT", "0", ","]), &choices.words()),
        _ => fixed[..choices.up_to(fixed.len())].to_owned(),
    }
}

/// The three forms of an HTTP date (RFC 9110, section 5.6.7).
fn forms(time: SystemTime) -> [String; 3] {
    const DAYS: [&str; 7] = [
        "Monday",
        "Tuesday",
        "Wednesday",
        "Thursday",
        "Friday",
        "Saturday",
        "Sunday",
    ];
    let fixed = httpdate::fmt_http_date(time);
    // Sun, 06 Nov 1994 08:49:37 GMT
    let (weekday, day, month, year, clock) = (
        &fixed[..3],
        &fixed[5..7],
        &fixed[8..11],
        &fixed[12..16],
        &fixed[17..25],
    );
    let long = DAYS.iter().find(|long| long.starts_with(weekday));
    let long = long.expect("httpdate writes days in English");
    let rfc_850 = format!("{long}, {day}-{month}-{} {clock} GMT", &year[2..]);
    let day = day.trim_start_matches('0');
    let asctime = format!("{weekday} {month} {day:>2} {clock} {year}");
    [fixed, rfc_850, asctime]
}

/// A date that is exactly in one of the three forms; httpdate accepts more.
fn exact_date(text: &str) -> Option<SystemTime> {
    let time = httpdate::parse_http_date(text).ok()?;
    forms(time).iter().any(|form| form == text).then_some(time)
}
