//! Waits for a long-running operation. The block asks once; this is the engine's part, with the policy of
//! `lro wait`. The engine records each step, and runs this again from its records where it has to: so nothing
//! here may depend on anything but what the engine answers.

mod bindings;
mod pace;

use bindings::blocks::google_longrunning::operations::GetError;
use bindings::blocks::google_longrunning_obelisk_ext::operations::{get_get, get_submit};
use bindings::exports::blocks::google_longrunning_wait::operations::{Guest, Outputs, WaitError};
use bindings::obelisk::types::execution::{ExecutionId, ResponseId};
use bindings::obelisk::types::time::{Duration, ScheduleAt};
use bindings::obelisk::workflow::workflow_support::{join_next, join_set_create, submit_delay};
use pace::Pace;

/// The least time that a wait gets, so that also a deadline of nothing asks once.
const SHORTEST_WAIT_MS: u64 = 1000;

/// How often a wait looks at what it has. On PostgreSQL an answer that comes in the moment in which a workflow starts
/// to wait for it does not wake it; whatever comes next does, and what came before is then there too.
const LOOK_AGAIN_MS: u64 = 60_000;

struct Workflow;

impl Guest for Workflow {
    fn wait(name: String, deadline_ms: u64) -> Result<Outputs, WaitError> {
        // Questions, pauses and the deadline are of one set: whichever comes next is what happens next.
        // What is left of it when this returns is cancelled by the engine.
        let set = join_set_create();
        let deadline = submit_delay(&set, within(deadline_ms.max(SHORTEST_WAIT_MS)));
        let mut look_again = submit_delay(&set, within(LOOK_AGAIN_MS));
        let mut pace = Pace::new();
        let mut failure = None;
        get_submit(&set, &name);
        // A pause begins with its question, so that it also wakes a wait that its answer did not wake.
        let mut pause = submit_delay(&set, within(pace.next()));
        let mut answered = false;
        loop {
            // What it says, `get-get` says with its type.
            let _ = join_next(&set).expect("the deadline is in the set until it comes");
            match set.last_id().expect("something came") {
                ResponseId::DelayId(id) if id.id == deadline.id => {
                    return Err(WaitError::Deadline(failure));
                }
                ResponseId::DelayId(id) if id.id == look_again.id => {
                    look_again = submit_delay(&set, within(LOOK_AGAIN_MS));
                }
                ResponseId::DelayId(id) if id.id == pause.id => {
                    if answered {
                        get_submit(&set, &name);
                        answered = false;
                    }
                    pause = submit_delay(&set, within(pace.next()));
                }
                // A pause that became a longer one.
                ResponseId::DelayId(_) => {}
                ResponseId::ExecutionId(id) => {
                    answered = true;
                    failure = match answer(&id) {
                        Ok(outputs) if outputs.done => return Ok(outputs),
                        Ok(_) => None,
                        Err(GetError::Permanent(failure)) => {
                            return Err(WaitError::Permanent(failure));
                        }
                        Err(GetError::Transient(failure)) => Some(failure),
                        // The engine lost the answer, or cut the question short: it is asked again.
                        Err(GetError::ExecutionFailed) => None,
                    };
                    let asked_for = failure.as_ref().and_then(|failure| failure.retry_after_ms);
                    if let Some(asked_for) = asked_for {
                        pause = submit_delay(&set, within(pace.current().max(asked_for.into())));
                    }
                }
            }
        }
    }
}

/// What the block answered to a question.
fn answer(id: &ExecutionId) -> Result<Outputs, GetError> {
    get_get(id).expect("the question was answered, and by the block")
}

fn within(milliseconds: u64) -> ScheduleAt {
    ScheduleAt::In(Duration::Milliseconds(milliseconds))
}

bindings::export!(Workflow with_types_in bindings);
