//! Every call, as the server saw it and as it was reported.

use std::fmt::{self, Display, Formatter};

use crate::outcome::{Case, Outcome};
use crate::plan::{Plan, Planned};

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
    /// Calls that were reported differently from the server's record, or that it saw too often.
    pub wrong: u64,
    /// Requests that are of no call.
    pub foreign: u64,
    /// Calls that the slowness of the machine ended. They are shown, and not judged.
    pub late: u64,
    rows: Vec<Row>,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Row {
    planned: String,
    outcome: String,
    calls: u64,
    requests: u64,
    late: u64,
}

impl Ledger {
    /// A request of a call came in.
    pub fn requested(&mut self, call: u32) {
        let entry = self.entry(call);
        entry.requests = entry.requests.saturating_add(1);
    }

    /// The server gave its answer, or the fault in its place.
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

    /// Compares each call with what was planned for it.
    pub fn verdict(&self, plan: Plan) -> Verdict {
        let mut rows: Vec<(Planned, Row)> = Planned::all()
            .map(|planned| (planned, Row::new(planned)))
            .collect();
        let mut verdict = Verdict {
            sent: self.calls.len() as u64,
            foreign: self.foreign,
            ..Verdict::default()
        };
        for (call, entry) in (0..).zip(&self.calls) {
            let planned = Planned::of(plan, call);
            let row = rows.iter_mut().find(|(of, _)| *of == planned);
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
            let is_late = outcome == Outcome::Late;
            row.late += u64::from(is_late);
            verdict.late += u64::from(is_late);
            // The deadline of a call that gets no answer may pass before its request is sent.
            let is_as_planned =
                outcome == planned.outcome() && (entry.answers > 0 || planned == Planned::Silence);
            let is_too_often = entry.requests > planned.max_requests();
            verdict.wrong += u64::from(is_too_often || !(is_as_planned || is_late));
        }
        verdict.rows = rows.into_iter().map(|(_, row)| row).collect();
        verdict
    }
}

impl Row {
    fn new(planned: Planned) -> Row {
        Row {
            planned: format!("{planned:?}"),
            outcome: format!("{:?}", planned.outcome()),
            ..Row::default()
        }
    }
}

impl Verdict {
    /// Whether each call was reported once, and as the server recorded it, and some calls of each kind were not late.
    pub fn is_well(&self) -> bool {
        let judged = self.ok + self.permanent + self.transient;
        judged + self.late == self.sent
            && judged > 0
            && self
                .rows
                .iter()
                .all(|row| row.late == 0 || row.late < row.calls)
            && self.missing + self.twice + self.wrong + self.foreign == 0
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
                row.planned, row.outcome, row.calls, row.requests, row.late
            )?;
        }
        write!(
            f,
            "\nsent {} = ok {} + permanent {} + transient {} + late {}; missing {}, twice {}, wrong {}, foreign {}: {}",
            self.sent,
            self.ok,
            self.permanent,
            self.transient,
            self.late,
            self.missing,
            self.twice,
            self.wrong,
            self.foreign,
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

    /// A run without a fault.
    fn whole() -> Ledger {
        let mut ledger = Ledger::default();
        for call in 0..CALLS {
            let planned = Planned::of(PLAN, call);
            ledger.requested(call);
            if planned != Planned::Silence {
                ledger.answered(call);
            }
            ledger.reported(report(call, planned.outcome()));
        }
        ledger
    }

    fn first(planned: Planned) -> u32 {
        let mut calls = 0..CALLS;
        let call = calls.find(|call| Planned::of(PLAN, *call) == planned);
        call.expect("there is one")
    }

    #[test]
    fn a_run_without_a_fault_is_well() {
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
    fn a_call_with_two_reports_is_counted_twice() {
        let mut ledger = whole();
        ledger.reported(report(5, Planned::of(PLAN, 5).outcome()));
        let verdict = ledger.verdict(PLAN);
        assert_eq!((verdict.twice, verdict.wrong), (1, 0));
        assert!(!verdict.is_well());
    }

    #[test]
    fn a_report_of_another_answer_is_wrong() {
        let mut ledger = Ledger::default();
        ledger.requested(0);
        ledger.answered(0);
        let other = Planned::all().find(|planned| *planned != Planned::of(PLAN, 0));
        ledger.reported(report(0, other.expect("there are several").outcome()));
        assert_eq!(ledger.verdict(PLAN).wrong, 1);
    }

    #[test]
    fn an_answer_that_was_not_given_is_wrong() {
        let mut ledger = Ledger::default();
        ledger.requested(0);
        ledger.reported(report(0, Planned::of(PLAN, 0).outcome()));
        assert_eq!(ledger.verdict(PLAN).wrong, 1);
    }

    #[test]
    fn only_a_reset_may_be_requested_twice() {
        let mut ledger = whole();
        ledger.requested(first(Planned::Reset));
        assert!(ledger.verdict(PLAN).is_well());
        ledger.requested(first(Planned::Unavailable));
        assert_eq!(ledger.verdict(PLAN).wrong, 1);
    }

    #[test]
    fn a_silent_call_may_end_before_it_is_sent() {
        let mut ledger = Ledger::default();
        let silent = first(Planned::Silence);
        for call in 0..=silent {
            let planned = Planned::of(PLAN, call);
            if call != silent {
                ledger.requested(call);
                ledger.answered(call);
            }
            ledger.reported(report(call, planned.outcome()));
        }
        assert!(ledger.verdict(PLAN).is_well());
    }

    #[test]
    fn a_deadline_that_passes_for_any_other_call_is_wrong() {
        let mut ledger = whole();
        let running = first(Planned::Running);
        ledger.calls[running as usize].outcome = Outcome::Timeout as u8;
        assert_eq!(ledger.verdict(PLAN).wrong, 1);
    }

    #[test]
    fn late_calls_are_not_judged_unless_all_of_a_kind_are_late() {
        let mut ledger = whole();
        let resets = (0..CALLS).filter(|call| Planned::of(PLAN, *call) == Planned::Reset);
        let resets: Vec<u32> = resets.collect();
        for call in &resets[1..] {
            ledger.calls[*call as usize].outcome = Outcome::Late as u8;
        }
        let verdict = ledger.verdict(PLAN);
        assert_eq!((verdict.late, verdict.wrong), (resets.len() as u64 - 1, 0));
        assert!(verdict.is_well());
        ledger.calls[resets[0] as usize].outcome = Outcome::Late as u8;
        assert!(!ledger.verdict(PLAN).is_well());
    }
}
