//! When an operation that is not done is asked for again.

/// The first pause between two questions; each further one is a quarter longer.
const FIRST_MS: u64 = 1000;
const LONGEST_MS: u64 = 60_000;

pub struct Pace {
    current: u64,
    next: u64,
}

impl Pace {
    /// Before the first question.
    pub fn new() -> Pace {
        Pace {
            current: 0,
            next: FIRST_MS,
        }
    }

    /// How long the next pause is, in milliseconds: 1 s × 1.25ⁿ up to 60 s.
    pub fn next(&mut self) -> u64 {
        self.current = self.next;
        self.next = (self.next * 5 / 4).min(LONGEST_MS);
        self.current
    }

    /// How long the pause is that began last.
    pub fn current(&self) -> u64 {
        self.current
    }
}

#[cfg(test)]
mod tests {
    use super::Pace;

    #[test]
    fn grows_by_a_quarter_up_to_a_minute() {
        let mut pace = Pace::new();
        let pauses: Vec<_> = (0..20).map(|_| pace.next()).collect();
        assert_eq!(pauses[..4], [1000, 1250, 1562, 1952]);
        assert_eq!((pauses[19], pace.current()), (60_000, 60_000));
    }
}
