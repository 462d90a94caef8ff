//! When an operation that is not done is asked for again.

/// The first pause between two questions; each further one is a quarter longer.
const FIRST_MS: u64 = 1000;
const LONGEST_MS: u64 = 60_000;

pub struct Pace {
    pause: u64,
}

impl Pace {
    /// Before the first question.
    pub fn new() -> Pace {
        Pace { pause: FIRST_MS }
    }

    /// How long to wait after a question, in milliseconds: 1 s × 1.25ⁿ up to 60 s, or what the service asked
    /// for where that is longer.
    pub fn next(&mut self, asked_for: u64) -> u64 {
        let pause = self.pause.max(asked_for);
        self.pause = (self.pause * 5 / 4).min(LONGEST_MS);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::Pace;

    #[test]
    fn grows_by_a_quarter_up_to_a_minute() {
        let mut pace = Pace::new();
        let pauses: Vec<_> = (0..20).map(|_| pace.next(0)).collect();
        assert_eq!(pauses[..4], [1000, 1250, 1562, 1952]);
        assert_eq!(pauses[19], 60_000);
    }

    #[test]
    fn a_service_that_asks_for_more_gets_it_once() {
        let mut pace = Pace::new();
        assert_eq!(
            [pace.next(90_000), pace.next(0), pace.next(5)],
            [90_000, 1250, 1562]
        );
    }
}
