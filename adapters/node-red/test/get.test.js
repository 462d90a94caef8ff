const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { helper, load, redeploy } = require('./support/flow.js');
const { error, service } = require('../../testing/server.js');
const manifest = require('../block/dist/manifest.json');

const sample = (label) => manifest.samples.find((sample) => sample.label === label);
const answering = (t, operation) => service(t, () => operation);

describe('the three outputs', () => {
  test('running, with its progress in the status', async (t) => {
    const { endpoint } = await answering(t, { name: 'operations/o', metadata: { progressPercent: 40.7 } });
    const flow = await load(t, { connection: { OPERATIONS_ENDPOINT: endpoint } });
    flow.node.receive({ name: 'operations/o', topic: 'kept' });
    const msg = await flow.running.next();
    assert.deepEqual(msg.payload, { name: 'operations/o', done: false, metadata: { progressPercent: 40.7 } });
    assert.equal(msg.topic, 'kept');
    assert.deepEqual(await flow.untilStatus('running 40 %'), ['blue ring requesting', 'blue dot running 40 %']);
  });

  test('succeeded', async (t) => {
    const { endpoint } = await answering(t, sample('succeeded').answer);
    const flow = await load(t, { connection: { OPERATIONS_ENDPOINT: endpoint } });
    flow.node.receive({ name: sample('succeeded').inputs.name });
    const msg = await flow.succeeded.next();
    assert.deepEqual(msg.payload, sample('succeeded').answer);
    assert.deepEqual(Object.keys(msg.operation), manifest.outputs.map(({ variable }) => variable));
    assert.equal(msg.operation.response, JSON.stringify(sample('succeeded').answer.response));
    assert.ok((await flow.untilStatus('succeeded')).includes('green dot succeeded'));
  });

  test('failed', async (t) => {
    const { endpoint } = await answering(t, sample('failed').answer);
    const flow = await load(t, { connection: { OPERATIONS_ENDPOINT: endpoint } });
    flow.node.receive({ name: sample('failed').inputs.name });
    const msg = await flow.failed.next();
    assert.equal(msg.payload.error.code, 7);
    assert.equal(msg.operation['error.code'], 7);
    assert.ok((await flow.untilStatus('PERMISSION_DENIED')).includes('red dot PERMISSION_DENIED'));
  });

  test('a zero-touch batch with failed devices says so', async (t) => {
    const { endpoint } = await answering(t, sample('zero-touch batch with failed devices').answer);
    const flow = await load(t, { connection: { OPERATIONS_ENDPOINT: endpoint } });
    flow.node.receive({ name: 'operations/apibatchoperation/claim-devices' });
    const msg = await flow.succeeded.next();
    assert.equal(msg.failedDevices, 1);
    assert.ok((await flow.untilStatus('1 of 3 failed')).includes('yellow dot 1 of 3 failed'));
  });

  test('no digit is lost in msg.operation, and __proto__ is a key in msg.payload', async (t) => {
    const body = '{"name":"operations/o","metadata":{"n":9007199254740993,"__proto__":{"polluted":true}}}';
    const { endpoint } = await service(t, () => ({ body }));
    const flow = await load(t, { connection: { OPERATIONS_ENDPOINT: endpoint } });
    flow.node.receive({ name: 'operations/o' });
    const msg = await flow.running.next();
    assert.equal(msg.operation.metadata, '{"n":9007199254740993,"__proto__":{"polluted":true}}');
    assert.deepEqual(msg.operation['metadata.customKey.value'][0], { key: 'n', value: '9007199254740993' });
    assert.ok(Object.hasOwn(msg.payload.metadata, '__proto__'));
    assert.equal({}.polluted, undefined);
  });
});

describe('where the name comes from', () => {
  for (const [operationType, operation, prepare] of [
    ['str', 'operations/o', () => {}],
    ['msg', 'job.name', () => {}],
    ['flow', 'job', (node) => node.context().flow.set('job', 'operations/o')],
    ['global', 'job', (node) => node.context().global.set('job', 'operations/o')],
    ['env', 'OPERATION_FOR_A_TEST', () => (process.env.OPERATION_FOR_A_TEST = 'operations/o')],
    ['jsonata', '"operations/" & job.id', () => {}],
  ]) {
    test(operationType, async (t) => {
      const { endpoint, requests } = await answering(t, { name: 'operations/o', done: true });
      const flow = await load(t, { config: { operation, operationType }, connection: { OPERATIONS_ENDPOINT: endpoint } });
      prepare(flow.node);
      flow.node.receive({ job: { name: 'operations/o', id: 'o' } });
      await flow.succeeded.next();
      assert.match(requests[0].url, /^\/v1\/operations\/o\?/);
    });
  }
});

describe('errors go to Catch nodes', () => {
  /** What a Catch node gets, and the last status, for one message. */
  async function caught(t, options, msg) {
    const flow = await load(t, options);
    flow.node.receive(msg);
    const { error } = await flow.caught.next();
    return { error, status: await flow.untilOver() };
  }

  test('a permanent failure', async (t) => {
    const { endpoint } = await service(t, () => error(403, 'PERMISSION_DENIED', 'no'));
    const { error: { message, code, cause, source }, status } = await caught(t, { connection: { OPERATIONS_ENDPOINT: endpoint } }, { name: 'operations/o' });
    assert.equal(code, 'permission-denied');
    assert.deepEqual(
      [cause.reason, cause.retryable, cause.retryAfterMs, cause.httpStatus, cause.serviceError.status],
      ['permission-denied', false, null, 403, 'PERMISSION_DENIED'],
    );
    assert.match(message, /^Error: GET http:.*operations\/o was answered with 403/);
    assert.equal(source.name, 'tested');
    assert.equal(status, 'red ring permission denied');
  });

  test('a transient failure', async (t) => {
    const { endpoint } = await service(t, () => error(429, 'RESOURCE_EXHAUSTED', 'slow down', { 'Retry-After': '7' }));
    const { error: { code, cause }, status } = await caught(t, { connection: { OPERATIONS_ENDPOINT: endpoint } }, { name: 'operations/o' });
    assert.deepEqual([code, cause.retryable, cause.retryAfterMs], ['quota-exceeded', true, 7000]);
    assert.equal(status, 'yellow ring quota exceeded');
  });

  test('a token that expired, and it is in no message and no log', async (t) => {
    const { endpoint, requests } = await service(t, () => error(401, 'UNAUTHENTICATED', 'expired'));
    const flow = await load(t, {
      connection: { OPERATIONS_ENDPOINT: endpoint, access: 'GOOGLE_OAUTH_ACCESS_TOKEN' },
      credentials: { GOOGLE_OAUTH_ACCESS_TOKEN: 'ya29.secret', GOOGLE_API_KEY: 'not-this-one' },
    });
    flow.node.receive({ name: 'operations/o' });
    const msg = await flow.caught.next();
    assert.equal(msg.error.code, 'unauthenticated');
    assert.deepEqual(await flow.untilStatus('unauthenticated'), ['blue ring requesting', 'red ring unauthenticated']);
    assert.equal(requests[0].headers.authorization, 'Bearer ya29.secret');
    assert.equal(requests[0].headers['x-goog-api-key'], undefined);
    const seen = JSON.stringify([msg, flow.log.args, msg.error.stack]);
    assert.ok(!seen.includes('ya29') && !seen.includes('not-this-one'));
  });

  test('the other settings of the connection, and its API key', async (t) => {
    const { endpoint, requests } = await answering(t, { name: 'operations/o', done: true });
    const flow = await load(t, {
      connection: { OPERATIONS_ENDPOINT: endpoint, GOOGLE_CLOUD_QUOTA_PROJECT: 'billed', OPERATIONS_TIMEOUT_MS: '', access: 'GOOGLE_API_KEY' },
      credentials: { GOOGLE_API_KEY: 'AIza' },
    });
    flow.node.receive({ name: 'operations/o' });
    await flow.succeeded.next();
    const { headers } = requests[0];
    assert.deepEqual([headers['x-goog-api-key'], headers['x-goog-user-project'], headers.authorization], ['AIza', 'billed', undefined]);
  });

  test('an access without its credential', async (t) => {
    const { error: { message }, status } = await caught(t, { connection: { access: 'GOOGLE_API_KEY' } }, { name: 'operations/o' });
    assert.equal(message, 'Error: The connection has no API key: open it, and enter one or choose another Access.');
    assert.equal(status, 'red ring no API key');
  });

  test('no connection', async (t) => {
    const { error: { message }, status } = await caught(t, { config: { connection: '' } }, { name: 'operations/o' });
    assert.equal(message, 'Error: The node has no Connection: open the node, and choose or add one.');
    assert.equal(status, 'red ring no connection');
  });

  const EMPTY = 'is empty. Set it to the name of an operation, such as operations/abc.';
  for (const [what, config, msg, expected] of [
    ['missing', {}, {}, `msg.name ${EMPTY}`],
    ['not entered', { operation: '', operationType: 'str' }, {}, `Operation ${EMPTY}`],
    ['white space alone', {}, { name: ' \r\n' }, `msg.name ${EMPTY}`],
    ['in a property of nothing', { operation: 'a.b.c' }, {}, `msg.a.b.c ${EMPTY}`],
    ['missing in the flow', { operation: '#:(default)::job', operationType: 'flow' }, {}, `flow.job (store default) ${EMPTY}`],
    ['missing in the global context', { operation: 'job', operationType: 'global' }, {}, `global.job ${EMPTY}`],
    ['in no environment variable', { operation: 'NOT_THERE', operationType: 'env' }, {}, `The environment variable NOT_THERE ${EMPTY}`],
    ['an expression of nothing', { operation: 'nothing', operationType: 'jsonata' }, {}, `The expression nothing ${EMPTY}`],
  ]) {
    test(`a name that is ${what}`, async (t) => {
      const { error: { message, code, cause }, status } = await caught(t, { config }, msg);
      assert.equal(message, `Error: ${expected}`);
      assert.deepEqual([code, cause.retryable, status], ['invalid-name', false, 'red ring no operation name']);
    });
  }

  for (const [what, config, msg, expected] of [
    ['a number', {}, { name: 7 }, 'msg.name is a number, not text. Set it to the name of an operation, such as operations/abc.'],
    ['an array', {}, { name: ['operations/o'] }, 'msg.name is an array, not text. Set it to the name of an operation, such as operations/abc.'],
    ['a buffer', {}, { name: Buffer.from('operations/o') }, 'msg.name is a buffer, not text. Set it to the name of an operation, such as operations/abc.'],
    ['an object', {}, { name: JSON.parse('{"toString":1}') }, 'msg.name is an object, not text. Set it to the name of an operation, such as operations/abc.'],
    ['a bad property', { operation: 'a[' }, {}, 'msg.a[ cannot be read: Invalid property expression: unterminated expression. Set it to the name of an operation, such as operations/abc.'],
    ['a bad expression', { operation: '$nothing(', operationType: 'jsonata' }, {}, 'The expression $nothing( cannot be read: Expected ")" before end of expression. Set it to the name of an operation, such as operations/abc.'],
  ]) {
    test(`a name that is ${what}`, async (t) => {
      const { error: { message, code, cause }, status } = await caught(t, { config }, msg);
      assert.equal(message, `Error: ${expected}`);
      assert.deepEqual([code, cause.retryable, status], ['invalid-name', false, 'red ring invalid name']);
    });
  }

  test('a name of something else', async (t) => {
    const { error: { message }, status } = await caught(t, {}, { name: 'projects/p/secrets/s' });
    assert.match(message, /^Error: The name "projects\/p\/secrets\/s" names no operation/);
    assert.equal(status, 'red ring invalid name');
  });

  test('a service that is stopped', async (t) => {
    const stopped = await answering(t, {});
    await stopped.stop();
    const { error: { code, cause }, status } = await caught(
      t, { connection: { OPERATIONS_ENDPOINT: stopped.endpoint, OPERATIONS_MAX_ATTEMPTS: '1' } }, { name: 'operations/o' });
    assert.deepEqual([code, cause.retryable, status], ['unreachable', true, 'yellow ring unreachable']);
  });

  test('a deadline', async (t) => {
    const { endpoint, quiet } = await service(t, () => undefined);
    const { error: { code }, status } = await caught(
      t, { connection: { OPERATIONS_ENDPOINT: endpoint, OPERATIONS_TIMEOUT_MS: '300' } }, { name: 'operations/o' });
    assert.deepEqual([code, status], ['timeout', 'yellow ring timed out']);
    await quiet();
  });
});

describe('redeploy', () => {
  test('in the middle of a call: nothing runs on, and a Catch node of the new flow hears of it', async (t) => {
    const silent = await service(t, () => undefined);
    const options = { connection: { OPERATIONS_ENDPOINT: silent.endpoint } };
    const flow = await load(t, options);
    flow.node.receive({ name: 'operations/o', topic: 'kept' });
    await silent.asked(1);
    const next = await redeploy(options);
    const { error: { message, code, cause }, topic } = await next.caught.next();
    assert.equal(message, 'Error: The node was restarted before it was done with operations/o. Send the message again.');
    assert.deepEqual([code, cause.retryable, topic], ['interrupted', true, 'kept']);
    assert.ok((await next.untilStatus('interrupted')).includes('grey ring interrupted'));
    await silent.quiet();
    assert.equal(silent.requests.length, 1);
  });

  test('that removes the node in the middle of a call: nothing runs on, and the log says so', async (t) => {
    const silent = await service(t, () => undefined);
    const flow = await load(t, { connection: { OPERATIONS_ENDPOINT: silent.endpoint } });
    flow.node.receive({ name: 'operations/o' });
    await silent.asked(1);
    await helper.setFlows([{ id: 'tab', type: 'tab' }], 'full');
    await silent.quiet();
    const warnings = helper.log().args.map(([{ msg }]) => msg);
    assert.ok(warnings.includes('The node was removed or disabled before it was done with operations/o.'), warnings.join('\n'));
  });
});
