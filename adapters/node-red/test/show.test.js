const assert = require('node:assert/strict');
const { test } = require('node:test');
const { failure } = require('../lib/failure.js');
const { failureStatus, status, statusOfWaits, toOutput } = require('../lib/show.js');
const { errors } = require('../block/dist/manifest.json');

const text = (operation) => status(operation).text;

test('a failed operation shows the name of its code', () => {
  const failed = (error) => text({ done: true, error });
  assert.equal(failed({ code: 7 }), 'PERMISSION_DENIED');
  assert.equal(failed({ code: '5' }), 'NOT_FOUND');
  assert.equal(failed({ code: 16 }), 'UNAUTHENTICATED');
  assert.equal(failed({ code: 1 }), 'CANCELLED');
  for (const error of [{}, { code: 0 }, { code: 17 }, { code: -1 }, { code: 1.5 }, { code: -2147483648 }, { code: { valueOf: 1 } }, { code: 'length' }]) {
    assert.equal(failed(error), 'failed', JSON.stringify(error));
  }
});

const zeroTouch = (members, response) => ({
  done: true,
  metadata: { '@type': 'type.googleapis.com/x.DevicesLongRunningOperationMetadata', ...members },
  response,
});

test('a zero-touch batch shows how many of its devices failed', () => {
  assert.equal(text(zeroTouch({ devicesCount: 3 }, { successCount: 2 })), '1 of 3 failed');
  // ProtoJSON leaves a 0 out, and may write a number as text.
  assert.equal(text(zeroTouch({ devicesCount: '3' }, {})), '3 of 3 failed');
  assert.equal(text(zeroTouch({ devicesCount: 3 }, { successCount: '3' })), 'succeeded');
  assert.equal(text(zeroTouch({}, { perDeviceStatus: [{}, {}], successCount: 1 })), '1 of 2 failed');
});

test('an operation of any shape has a status', () => {
  const odd = JSON.parse('{"toString":1,"valueOf":1}');
  for (const operation of [
    { done: true, metadata: { '@type': odd } },
    { done: true, metadata: { '@type': ['x.DevicesLongRunningOperationMetadata'] } },
    { done: true, response: { '@type': odd } },
    zeroTouch({ devicesCount: odd }, { successCount: odd }),
    zeroTouch({ devicesCount: [3] }, { perDeviceStatus: { length: odd } }),
    zeroTouch({}, { perDeviceStatus: { length: odd } }),
    zeroTouch({ devicesCount: 1 }, { successCount: 5 }),
    zeroTouch({ devicesCount: 'many' }, null),
  ]) {
    assert.equal(text(operation), 'succeeded');
    assert.deepEqual(toOutput({}, { outputs: {}, operation })[1].payload, operation);
  }
});

test('each reason is shown in words, and the colour says whether trying again may help', () => {
  const shown = Object.fromEntries(errors.map(({ reason, case: kind }) => {
    const { fill, shape, text } = failureStatus(failure(reason, '', { retryable: kind === 'transient' }));
    assert.equal(shape, 'ring');
    return [text, fill];
  }));
  assert.deepEqual(shown, {
    'invalid name': 'red', 'unknown service': 'red', 'invalid setting': 'red', 'request denied': 'red', unreachable: 'yellow',
    'certificate error': 'red', 'connection lost': 'yellow', 'timed out': 'yellow', unauthenticated: 'red', 'permission denied': 'red',
    'not found': 'red', 'wrong address': 'red', redirected: 'red', rejected: 'red', 'quota exceeded': 'yellow', aborted: 'yellow',
    unavailable: 'yellow', 'service error': 'yellow', 'not an operation': 'red', 'too large': 'red',
  });
  assert.deepEqual(failureStatus(new TypeError('a fault')), { fill: 'red', shape: 'ring', text: 'error' });
});

test('several waits show how many they are, and what is wrong', () => {
  const running = { fill: 'blue', shape: 'dot', text: 'running 40 %' };
  const unreachable = { fill: 'yellow', shape: 'ring', text: 'unreachable' };
  const busy = { fill: 'yellow', shape: 'ring', text: 'quota exceeded' };
  const shown = (...statuses) => {
    const { fill, text } = statusOfWaits(statuses);
    return `${fill} ${text}`;
  };
  assert.equal(shown(running), 'blue running 40 %');
  assert.equal(shown(unreachable), 'yellow unreachable');
  assert.equal(shown(running, running), 'blue 2 waiting');
  assert.equal(shown(unreachable, unreachable), 'yellow 2 waiting, unreachable');
  assert.equal(shown(running, unreachable, running), 'yellow 3 waiting, 1 unreachable');
  assert.equal(shown(running, unreachable, busy), 'yellow 3 waiting, 2 failing');
});
