//! Every call, as the server saw it and as it was reported.

use std::fmt::{self, Display, Formatter};

use crate::answer::{Answer, Plan};
use crate::outcome::{Case, Outcome};

/// A report is the number of a call and its outcome.
pub const REPORT_BYTES: usize = 5;

/// The calls by their number, which are given out from 0 without a gap.
#[derive(Default)]
pub struct Ledger {
    calls: Vec<Entry>,
    /// Requests that are of no call.
    foreign: u64,
}

#[derive(Clone, Copy, Default)]
struct Entry {
    requests: u8,
    answers: u8,
    reports: u8,
    outcome: u8,
}

/// What the ledger comes to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    pub sent: u64,
    pub ok: u64,
    pub permanent: u64,
    pub transient: u64,
    /// Calls that were never reported.
    pub missing: u64,
    /// Calls that were reported more than once.
    pub twice: u64,
    /// Calls that were reported other than the server has it, or that it saw too often.
    pub wrong: u64,
    /// Requests that are of no call.
    pub foreign: u64,
    /// Calls that ended at their deadline though they were to be answered: the machine's slowness.
    pub late: u64,
    rows: Vec<Row>,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Row {
    answer: String,
    outcome: String,
    calls: u64,
    requests: u64,
    late: u64,
}

/// Of 1,000 calls, so many may be late.
const MOST_LATE: u64 = 10;

impl Ledger {
    /// A request of a call came in.
    pub fn requested(&mut self, call: u32) {
        let entry = self.entry(call);
        entry.requests = entry.requests.saturating_add(1);
    }

    /// Its answer went out, whole or as far as the fault lets it.
    pub fn answered(&mut self, call: u32) {
        let entry = self.entry(call);
        entry.answers = entry.answers.saturating_add(1);
    }

    /// A request came in that is of no call.
    pub fn foreign(&mut self) {
        self.foreign += 1;
    }

    /// A call was reported.
    pub fn reported(&mut self, report: [u8; REPORT_BYTES]) {
        let [a, b, c, d, outcome] = report;
        let entry = self.entry(u32::from_le_bytes([a, b, c, d]));
        entry.reports = entry.reports.saturating_add(1);
        entry.outcome = outcome;
    }

    fn entry(&mut self, call: u32) -> &mut Entry {
        let at = call as usize;
        if at >= self.calls.len() {
            self.calls.resize(at + 1, Entry::default());
        }
        &mut self.calls[at]
    }

    /// Holds each call against what the plan had for it.
    pub fn verdict(&self, plan: Plan) -> Verdict {
        let mut rows: Vec<(Answer, Row)> = Answer::all()
            .map(|answer| (answer, Row::new(answer)))
            .collect();
        let mut verdict = Verdict {
            sent: self.calls.len() as u64,
            foreign: self.foreign,
            ..Verdict::default()
        };
        for (call, entry) in (0..).zip(&self.calls) {
            let answer = Answer::of(plan, call);
            let row = rows.iter_mut().find(|(of, _)| *of == answer);
            let row = &mut row.expect("all of them have one").1;
            row.calls += 1;
            row.requests += u64::from(entry.requests);
            match entry.reports {
                0 => {
                    verdict.missing += 1;
                    continue;
                }
                1 => {}
                _ => verdict.twice += 1,
            }
            let outcome = Outcome::from_byte(entry.outcome);
            match outcome.case() {
                Some(Case::Ok) => verdict.ok += 1,
                Some(Case::Permanent) => verdict.permanent += 1,
                Some(Case::Transient) => verdict.transient += 1,
                None => {}
            }
            let is_late = outcome.is_late(answer);
            row.late += u64::from(is_late);
            verdict.late += u64::from(is_late);
            let is_as_answered = outcome == answer.outcome()
                && entry.requests > 0
                && (entry.answers > 0 || answer == Answer::Silence);
            let is_as_often = entry.requests <= answer.most_requests();
            verdict.wrong += u64::from(!(is_late || is_as_answered) || !is_as_often);
        }
        verdict.rows = rows.into_iter().map(|(_, row)| row).collect();
        verdict
    }
}

impl Row {
    fn new(answer: Answer) -> Row {
        Row {
            answer: format!("{answer:?}"),
            outcome: format!("{:?}", answer.outcome()),
            ..Row::default()
        }
    }
}

impl Verdict {
    /// Whether each call is there once, as the server has it.
    pub fn is_well(&self) -> bool {
        self.sent > 0
            && self.ok + self.permanent + self.transient == self.sent
            && self.missing + self.twice + self.wrong + self.foreign == 0
            && self.late * 1000 <= self.sent * MOST_LATE
    }
}

impl Display for Verdict {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        writeln!(
            f,
            "{:12} {:15} {:>10} {:>10} {:>6}",
            "answer", "reported as", "calls", "requests", "late"
        )?;
        for row in &self.rows {
            writeln!(
                f,
                "{:12} {:15} {:>10} {:>10} {:>6}",
                row.answer, row.outcome, row.calls, row.requests, row.late
            )?;
        }
        write!(
            f,
            "\nsent {} = ok {} + permanent {} + transient {}; missing {}, twice {}, wrong {}, foreign {}, late {}: {}",
            self.sent,
            self.ok,
            self.permanent,
            self.transient,
            self.missing,
            self.twice,
            self.wrong,
            self.foreign,
            self.late,
            if self.is_well() { "well" } else { "NOT WELL" }
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: Plan = Plan {
        seed: 1,
        has_large: true,
    };
    const CALLS: u32 = 1000;

    fn report(call: u32, outcome: Outcome) -> [u8; REPORT_BYTES] {
        let [a, b, c, d] = call.to_le_bytes();
        [a, b, c, d, outcome as u8]
    }

    /// A run as it should be.
    fn whole() -> Ledger {
        let mut ledger = Ledger::default();
        for call in 0..CALLS {
            let answer = Answer::of(PLAN, call);
            ledger.requested(call);
            if answer != Answer::Silence {
                ledger.answered(call);
            }
            ledger.reported(report(call, answer.outcome()));
        }
        ledger
    }

    fn first(answer: Answer) -> u32 {
        let mut calls = 0..CALLS;
        let call = calls.find(|call| Answer::of(PLAN, *call) == answer);
        call.expect("there is one")
    }

    #[test]
    fn a_whole_run_is_well() {
        let verdict = whole().verdict(PLAN);
        assert_eq!(verdict.sent, u64::from(CALLS));
        assert_eq!(
            verdict.ok + verdict.permanent + verdict.transient,
            verdict.sent
        );
        assert!(verdict.is_well(), "{verdict}");
        assert!(!Ledger::default().verdict(PLAN).is_well());
    }

    #[test]
    fn a_call_without_a_report_is_missing() {
        let mut ledger = whole();
        ledger.requested(CALLS);
        let verdict = ledger.verdict(PLAN);
        assert_eq!((verdict.missing, verdict.sent), (1, 1001));
        assert!(!verdict.is_well());
    }

    #[test]
    fn a_call_with_two_reports_is_there_twice() {
        let mut ledger = whole();
        ledger.reported(report(5, Answer::of(PLAN, 5).outcome()));
        let verdict = ledger.verdict(PLAN);
        assert_eq!((verdict.twice, verdict.wrong), (1, 0));
        assert!(!verdict.is_well());
    }

    #[test]
    fn a_report_of_another_answer_is_wrong() {
        let mut ledger = Ledger::default();
        ledger.requested(0);
        ledger.answered(0);
        let other = Answer::all().find(|answer| *answer != Answer::of(PLAN, 0));
        ledger.reported(report(0, other.expect("there are several").outcome()));
        assert_eq!(ledger.verdict(PLAN).wrong, 1);
    }

    #[test]
    fn an_answer_that_was_not_given_is_wrong() {
        let mut ledger = Ledger::default();
        ledger.requested(0);
        ledger.reported(report(0, Answer::of(PLAN, 0).outcome()));
        assert_eq!(ledger.verdict(PLAN).wrong, 1);
    }

    #[test]
    fn only_a_reset_may_be_asked_twice() {
        let mut ledger = whole();
        ledger.requested(first(Answer::Reset));
        assert!(ledger.verdict(PLAN).is_well());
        ledger.requested(first(Answer::Unavailable));
        assert_eq!(ledger.verdict(PLAN).wrong, 1);
    }

    #[test]
    fn few_calls_may_be_late() {
        let mut ledger = whole();
        let calls: Vec<u32> = (0..CALLS)
            .filter(|call| Answer::of(PLAN, *call) == Answer::Running)
            .collect();
        let late = |ledger: &mut Ledger, calls: &[u32]| {
            for call in calls {
                ledger.calls[*call as usize].outcome = Outcome::Timeout as u8;
            }
            ledger.verdict(PLAN)
        };
        let verdict = late(&mut ledger, &calls[..10]);
        assert_eq!((verdict.late, verdict.wrong), (10, 0));
        assert!(verdict.is_well());
        assert!(!late(&mut ledger, &calls[..11]).is_well());
    }
}
