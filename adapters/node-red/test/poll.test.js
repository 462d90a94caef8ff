const assert = require('node:assert/strict');
const { test } = require('node:test');
const { failure } = require('../lib/failure.js');
const { untilDone } = require('../lib/poll.js');

/** A clock that goes on by what is slept. */
function clock() {
  const sleeps = [];
  let now = 0;
  return { sleeps, now: () => now, sleep: async (ms) => void (sleeps.push(ms), (now += ms)) };
}

const running = { operation: { name: 'operations/o', done: false } };
const done = { operation: { name: 'operations/o', done: true } };
const until = (answers, options = {}) =>
  untilDone({
    name: 'operations/o',
    ask: async () => {
      const answer = answers.length > 1 ? answers.shift() : answers[0];
      if (answer instanceof Error) throw answer;
      return answer;
    },
    leftMs: 1_800_000, deadline: '30 min', onRunning() {}, onTransient() {}, signal: new AbortController().signal,
    clock: clock(), ...options,
  });

test('at once, then after 1 s and a quarter more each time, up to 60 s', async () => {
  const time = clock();
  assert.equal(await until([...Array(22).fill(running), done], { clock: time }), done);
  const rounded = time.sleeps.map((ms) => Math.round(ms));
  assert.deepEqual(rounded.slice(0, 5), [1000, 1250, 1563, 1953, 2441]);
  assert.deepEqual(rounded.slice(-4), [55511, 60000, 60000, 60000]);
});

test('as long as the service asks to wait, where that is longer', async () => {
  const time = clock();
  const busy = failure('quota-exceeded', 'slow down', { retryable: true, retryAfterMs: 7000 });
  const seen = [];
  await until([busy, busy, running, done], { clock: time, onTransient: (error) => seen.push(error.reason) });
  assert.deepEqual(time.sleeps, [7000, 7000, 1562.5]);
  assert.deepEqual(seen, ['quota-exceeded', 'quota-exceeded']);
});

test('at most an hour, however long the service asks to wait', async () => {
  const time = clock();
  const busy = failure('unavailable', 'come back in 49 days', { retryable: true, retryAfterMs: 49 * 86_400_000 });
  await until([busy, done], { clock: time, leftMs: Infinity });
  assert.deepEqual(time.sleeps, [3_600_000]);
});

test('a permanent failure ends it', async () => {
  const denied = failure('permission-denied', 'no');
  await assert.rejects(until([running, denied]), denied);
});

test('the deadline by elapsed time, with a last call at it', async () => {
  const time = clock();
  let asked = 0;
  const ask = async () => (asked++, running);
  await assert.rejects(until([], { ask, leftMs: 3000, clock: time, deadline: '0.05 min' }), {
    message: 'operations/o did not finish within 0.05 min (Deadline); it was still running',
    reason: 'timeout', retryable: true, status: 'timed out',
  });
  assert.deepEqual([time.sleeps, asked], [[1000, 1250, 750], 4]);
});

test('the deadline tells of the failure before it', async () => {
  const gone = failure('unreachable', 'nobody there', { retryable: true, retryAfterMs: null });
  await assert.rejects(until([gone], { leftMs: 500 }), {
    message: 'operations/o did not finish within 30 min (Deadline); the last request failed: nobody there',
    reason: 'unreachable', code: 'unreachable', status: 'timed out, unreachable',
  });
});

test('a deadline of nothing asks once', async () => {
  assert.equal(await until([done], { leftMs: -5 }), done);
});

test('a call that does not come back is left at the deadline', async () => {
  const ask = ({ signal }) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  await assert.rejects(until([], { ask, leftMs: 0 }), {
    message: 'operations/o did not finish within 30 min (Deadline); the last request was not answered', reason: 'timeout',
  });
});

test('the signal ends a call and a pause', async () => {
  const controller = new AbortController();
  const ask = ({ signal }) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  const asking = until([], { ask, signal: controller.signal });
  controller.abort(new Error('closed'));
  await assert.rejects(asking, { message: 'closed' });

  const second = new AbortController();
  const pausing = until([running], { signal: second.signal, clock: undefined, onRunning: () => second.abort() });
  await assert.rejects(pausing, { name: 'AbortError' });
});
