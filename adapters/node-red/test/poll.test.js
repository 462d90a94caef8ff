const assert = require('node:assert/strict');
const { test } = require('node:test');
const { failure } = require('../lib/failure.js');
const { untilDone } = require('../lib/poll.js');
const { failureStatus, status } = require('../lib/show.js');

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

test('the deadline by elapsed time, with a last question at it', async () => {
  const time = clock();
  let asked = 0;
  const ask = async () => (asked++, running);
  await assert.rejects(until([], { ask, leftMs: 3000, clock: time, deadline: '0.05 min' }), {
    message: 'operations/o was not seen done within 0.05 min (deadline); it was still running',
    reason: 'timeout', retryable: true,
  });
  assert.deepEqual([time.sleeps, asked], [[1000, 1250, 750], 4]);
});

test('the deadline tells of the failure before it', async () => {
  const gone = failure('unreachable', 'nobody there', { retryable: true, retryAfterMs: null });
  await assert.rejects(until([gone], { leftMs: 500 }), {
    message: 'operations/o was not seen done within 30 min (deadline); the last answer was a failure: nobody there',
    reason: 'unreachable', code: 'unreachable',
  });
});

test('a deadline of nothing asks once', async () => {
  assert.equal(await until([done], { leftMs: -5 }), done);
});

test('a question that does not come back is left at the deadline', async () => {
  const ask = ({ signal }) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  await assert.rejects(until([], { ask, leftMs: 0 }), { reason: 'timeout' });
});

test('the signal ends a question and a pause', async () => {
  const controller = new AbortController();
  const ask = ({ signal }) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  const asking = until([], { ask, signal: controller.signal });
  controller.abort(new Error('closed'));
  await assert.rejects(asking, { message: 'closed' });

  const second = new AbortController();
  const pausing = until([running], { signal: second.signal, clock: undefined, onRunning: () => second.abort() });
  await assert.rejects(pausing, { name: 'AbortError' });
});

test('a status has less than 20 characters', () => {
  const { errors } = require('../block/dist/manifest.json');
  const zeroTouch = (devicesCount, successCount) => ({
    done: true,
    metadata: { '@type': 'type.googleapis.com/x.DevicesLongRunningOperationMetadata', devicesCount },
    response: { successCount },
  });
  const texts = [
    status({ done: false, metadata: { progress: 100 } }).text,
    status({ done: true, error: { code: -2147483648 } }).text,
    status({ done: true }).text,
    status(zeroTouch(123456, 1)).text,
    ...errors.map(({ reason }) => failureStatus({ reason }).text),
  ];
  assert.deepEqual(texts.slice(0, 4), ['running 100 %', 'failed, code -21474', 'succeeded', '123455 failed']);
  for (const text of texts) assert.ok(text.length < 20, text);
  // ProtoJSON leaves a 0 out.
  assert.equal(status(zeroTouch(3, undefined)).text, '3 of 3 failed');
  assert.equal(status(zeroTouch(3, 3)).text, 'succeeded');
});
