// Asks until an operation is done. The block asks once; this is the engine's part, with the policy of `lro wait`:
// at once, then after 1 s × 1.25ⁿ up to 60 s, or as long as the service asks to wait.
const { setTimeout: sleep } = require('node:timers/promises');
const { failure } = require('./failure.js');

const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 60_000;
const GROWTH = 1.25;

/** The longest that a service's wish to be left alone is followed. */
const LONGEST_RETRY_AFTER_MS = 3_600_000;

/** The least time that a call gets, so that also a deadline that has passed gets one. */
const SHORTEST_CALL_MS = 1000;

/** What a timer of Node.js takes at most. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

const realClock = {
  now: () => performance.now(),
  sleep: (ms, signal) => sleep(Math.min(ms, LONGEST_TIMER_MS), undefined, { signal }),
};

/**
 * The latest state of an operation once it is done.
 *
 * @param ask one call: gets `{ signal }`, and gives `{ outputs, operation }`.
 * @param leftMs the time that is left for all of it; `deadline` is what was given for it, as text.
 * @param onRunning told of each state on the way, `onTransient` of each failure that may pass.
 * @throws a permanent failure, the deadline, or the signal's reason.
 */
async function untilDone({ name, ask, leftMs, deadline, onRunning, onTransient, signal, clock = realClock }) {
  const end = clock.now() + leftMs;
  let wait = FIRST_WAIT_MS;
  for (;;) {
    let pause = wait;
    let last;
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), Math.min(LONGEST_TIMER_MS, Math.max(end - clock.now(), SHORTEST_CALL_MS)));
    try {
      const latest = await ask({ signal: AbortSignal.any([signal, late.signal]) });
      if (latest.operation.done) return latest;
      onRunning(latest);
    } catch (error) {
      signal.throwIfAborted();
      if (late.signal.aborted) throw pastDeadline(name, deadline, 'the last request was not answered');
      if (!error.retryable) throw error;
      last = error;
      pause = Math.max(pause, Math.min(error.retryAfterMs ?? 0, LONGEST_RETRY_AFTER_MS));
      onTransient(error);
    } finally {
      clearTimeout(timer);
    }
    const left = end - clock.now();
    if (left <= 0) {
      if (!last) throw pastDeadline(name, deadline, 'it was still running');
      throw pastDeadline(name, deadline, `the last request failed: ${last.message}`, last);
    }
    await clock.sleep(Math.min(pause, left), signal);
    wait = Math.min(wait * GROWTH, LONGEST_WAIT_MS);
  }
}

function pastDeadline(name, deadline, why, last) {
  const message = `${name} did not finish within ${deadline} (Deadline); ${why}`;
  return failure(last?.reason ?? 'timeout', message, {
    ...last,
    retryable: true,
    status: last ? `timed out, ${last.status}` : 'timed out',
  });
}

module.exports = { untilDone };
