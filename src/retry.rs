//! Whether another attempt may help, and how long to wait before it.

use std::time::Duration;

use crate::bindings::{Failure, Reason};

/// How long to wait after this failure of attempt number `attempt`, counted from 1, before the next
/// one: as long as the service asked, otherwise [`backoff`]. None if another attempt would not help.
///
/// `random` is any number, each time another one.
pub fn delay(failure: &Failure, attempt: u32, random: u32) -> Option<Duration> {
    if !is_retried(failure) {
        return None;
    }
    Some(match failure.retry_after_ms {
        Some(ms) => Duration::from_millis(ms.into()),
        None => backoff(attempt, random),
    })
}

/// Whether the block itself tries again: on what AIP-194 calls UNAVAILABLE, and if no service was
/// reached. Everything else is for the engine to decide.
pub fn is_retried(failure: &Failure) -> bool {
    match failure.reason {
        Reason::Unreachable => true,
        Reason::Unavailable => failure.http_status == Some(503),
        _ => false,
    }
}

/// The delay after attempt number `attempt`, counted from 1: 1 s × 1.3ⁿ up to 10 s, times a jitter
/// between a half and one, which `random` chooses. (The services' own published policy for
/// `GetOperation`.)
pub fn backoff(attempt: u32, random: u32) -> Duration {
    let full = 1.3_f64.powi(attempt.clamp(1, 20) as i32 - 1).min(10.0);
    let jitter = 0.5 + 0.5 * (f64::from(random) / f64::from(u32::MAX));
    Duration::from_secs_f64(full * jitter)
}

/// What a service asks for with the header field `Retry-After` (RFC 9110, section 10.2.3), in
/// milliseconds: a number of seconds, or a date. A date counts from `date`, the `Date` of the same
/// answer, because the same clock set both.
pub fn retry_after_ms(retry_after: &str, date: Option<&str>) -> Option<u32> {
    let retry_after = retry_after.trim_matches([' ', '\t']);
    if !retry_after.is_empty() && retry_after.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit are more than any deadline.
        let seconds = retry_after.parse::<u64>().unwrap_or(u64::MAX);
        return Some(milliseconds(seconds.saturating_mul(1000)));
    }
    let seconds = http_date(retry_after)?.saturating_sub(http_date(date?)?);
    Some(milliseconds(
        u64::try_from(seconds).unwrap_or(0).saturating_mul(1000),
    ))
}

/// A ProtoJSON `Duration` (`33.75s`) in milliseconds, rounded up; zero if it is negative.
pub fn duration_ms(duration: &str) -> Option<u32> {
    let number = duration.strip_suffix('s')?;
    let (number, negative) = match number.strip_prefix('-') {
        Some(number) => (number, true),
        None => (number, false),
    };
    let (seconds, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(seconds) || !digits(fraction) {
        return None;
    }
    if negative {
        return Some(0);
    }
    let seconds = seconds.parse::<u64>().unwrap_or(u64::MAX);
    let (thousandths, rest) = fraction.split_at(fraction.len().min(3));
    let mut ms = format!("{thousandths:0<3}").parse::<u64>().ok()?;
    ms += u64::from(rest.bytes().any(|digit| digit != b'0'));
    Some(milliseconds(
        seconds.saturating_mul(1000).saturating_add(ms),
    ))
}

fn milliseconds(ms: u64) -> u32 {
    u32::try_from(ms).unwrap_or(u32::MAX)
}

/// An HTTP date in seconds since 1970, in any of the three forms that a recipient must accept
/// (RFC 9110, section 5.6.7).
fn http_date(text: &str) -> Option<i64> {
    let mut words = text.split([' ', ',', '-']).filter(|word| !word.is_empty());
    words.next()?; // the day of the week
    let first = words.next()?;
    let (day, month, year, time);
    if first.bytes().all(|byte| byte.is_ascii_digit()) {
        // Sun, 06 Nov 1994 08:49:37 GMT; Sunday, 06-Nov-94 08:49:37 GMT
        day = first.parse::<i64>().ok()?;
        month = month_number(words.next()?)?;
        let written = words.next()?;
        let number = written.parse::<i64>().ok()?;
        year = match written.len() {
            2 if number >= 70 => 1900 + number,
            2 => 2000 + number,
            _ => number,
        };
        time = words.next()?;
    } else {
        // Sun Nov  6 08:49:37 1994
        month = month_number(first)?;
        day = words.next()?.parse().ok()?;
        time = words.next()?;
        year = words.next()?.parse().ok()?;
    }
    let mut clock = time.split(':').map(|part| part.parse::<i64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let in_range = (1..=31).contains(&day)
        && (1970..=9999).contains(&year)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..=60).contains(&second);
    in_range.then(|| ((days_since_1970(year, month, day) * 24 + hour) * 60 + minute) * 60 + second)
}

fn month_number(name: &str) -> Option<i64> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    MONTHS
        .iter()
        .position(|month| *month == name)
        .map(|at| at as i64 + 1)
}

/// Days in the Gregorian calendar, with years that begin in March so that a leap day ends one.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let months_since_march = (month + 9) % 12;
    let day_of_year = (153 * months_since_march + 2) / 5 + day - 1;
    year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unreachable_and_503_are_retried() {
        let failure = |reason, http_status| Failure {
            http_status,
            ..Failure::new(reason, "")
        };
        assert!(is_retried(&failure(Reason::Unreachable, None)));
        assert!(is_retried(&failure(Reason::Unavailable, Some(503))));
        assert!(!is_retried(&failure(Reason::Unavailable, Some(502))));
        assert!(!is_retried(&failure(Reason::Unavailable, Some(504))));
        assert!(!is_retried(&failure(Reason::QuotaExceeded, Some(429))));
        assert!(!is_retried(&failure(Reason::ConnectionLost, None)));
    }

    #[test]
    fn the_delay_is_what_the_service_asks_for_or_the_backoff() {
        let mut failure = Failure::new(Reason::Unreachable, "");
        let backoff_of_2 = Duration::from_millis(1300);
        assert_eq!(delay(&failure, 2, u32::MAX), Some(backoff_of_2));
        failure.retry_after_ms = Some(70);
        let asked = Duration::from_millis(70);
        assert_eq!(delay(&failure, 2, u32::MAX), Some(asked));
        failure.reason = Reason::Timeout;
        assert_eq!(delay(&failure, 2, u32::MAX), None);
    }

    #[test]
    fn the_backoff_grows_to_ten_seconds_and_is_jittered_down_to_half() {
        let ms = |attempt, random| backoff(attempt, random).as_millis();
        assert_eq!((ms(1, u32::MAX), ms(1, 0)), (1000, 500));
        assert_eq!(ms(2, u32::MAX), 1300);
        assert_eq!(ms(3, u32::MAX), 1690);
        assert_eq!(ms(9, u32::MAX), 8157);
        assert_eq!((ms(10, u32::MAX), ms(10, 0)), (10_000, 5000));
        assert_eq!(ms(u32::MAX, u32::MAX), 10_000);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(retry_after_ms("0", None), Some(0));
        assert_eq!(retry_after_ms(" 120 ", None), Some(120_000));
        assert_eq!(retry_after_ms("99999999999999999999", None), Some(u32::MAX));
        let date = Some("Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(
            retry_after_ms("Sun, 06 Nov 1994 08:50:00 GMT", date),
            Some(23_000)
        );
        assert_eq!(
            retry_after_ms("Sunday, 06-Nov-94 08:50:00 GMT", date),
            Some(23_000)
        );
        assert_eq!(
            retry_after_ms("Sun Nov  6 08:50:00 1994", date),
            Some(23_000)
        );
        assert_eq!(
            retry_after_ms("Sun, 06 Nov 1994 08:00:00 GMT", date),
            Some(0)
        );
        for odd in [
            "",
            "-1",
            "1.5",
            "soon",
            "Sun, 06 Nov 1994",
            "Sun, 99 Nov 1994 08:50:00 GMT",
        ] {
            assert_eq!(retry_after_ms(odd, date), None, "{odd}");
        }
        assert_eq!(retry_after_ms("Sun, 06 Nov 1994 08:50:00 GMT", None), None);
    }

    #[test]
    fn dates_are_counted_across_leap_days() {
        assert_eq!(http_date("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(
            http_date("Sun, 06 Nov 1994 08:49:37 GMT"),
            Some(784_111_777)
        );
        assert_eq!(
            http_date("Thu, 29 Feb 2024 23:59:59 GMT"),
            Some(1_709_251_199)
        );
        assert_eq!(
            http_date("Fri, 01 Mar 2024 00:00:00 GMT"),
            Some(1_709_251_200)
        );
    }

    #[test]
    fn durations_are_rounded_up_to_milliseconds() {
        for (text, ms) in [
            ("33s", Some(33_000)),
            ("0.5s", Some(500)),
            ("33.752348711s", Some(33_753)),
            ("1.0010s", Some(1001)),
            ("-5s", Some(0)),
            ("99999999999999999999s", Some(u32::MAX)),
            ("5", None),
            ("s", None),
            (".5s", None),
            ("1.s", None),
            ("1e3s", None),
        ] {
            assert_eq!(duration_ms(text), ms, "{text}");
        }
    }
}
