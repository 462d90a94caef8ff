const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { load: loadFlow, redeploy, helper } = require('./support/flow.js');
const { error, service } = require('../../testing/server.js');

const load = (t, options) => loadFlow(t, { type: 'google-operation-wait', ...options });
const over = { name: 'operations/o', done: true, response: {} };
const at = (percent) => ({ name: 'operations/o', metadata: { progress: percent } });

test('from running to succeeded, asking again until it is done', async (t) => {
  const { endpoint, requests } = await service(t, (_, count) => [at(40), over][count - 1]);
  const flow = await load(t, { connection: { OPERATIONS_ENDPOINT: endpoint } });
  flow.node.receive({ name: 'operations/o', topic: 'kept' });
  const first = await flow.running.next();
  assert.deepEqual([first.payload.metadata.progress, first.topic], [40, 'kept']);
  const last = await flow.succeeded.next();
  assert.deepEqual([last.payload, last.topic], [{ ...over }, 'kept']);
  assert.deepEqual(await flow.untilStatus('succeeded'), [
    'blue ring requesting', 'blue dot running 40 %', 'green dot succeeded',
  ]);
  assert.equal(requests.length, 2);
});

test('a failed operation goes to the output failed', async (t) => {
  const { endpoint } = await service(t, () => ({ name: 'operations/o', done: true, error: { code: 5 } }));
  const flow = await load(t, { connection: { OPERATIONS_ENDPOINT: endpoint } });
  flow.node.receive({ name: 'operations/o' });
  assert.equal((await flow.failed.next()).payload.error.code, 5);
  assert.equal(await flow.untilOver(), 'red dot NOT_FOUND');
});

test('a transient failure is waited out, as long as the service asks', async (t) => {
  const { endpoint } = await service(t, (_, count) =>
    count === 1 ? error(503, 'UNAVAILABLE', 'later', { 'Retry-After': '1' }) : over);
  const flow = await load(t, { connection: { OPERATIONS_ENDPOINT: endpoint } });
  flow.node.receive({ name: 'operations/o' });
  await flow.succeeded.next();
  assert.equal(flow.caught.came.length, 0);
  assert.deepEqual((await flow.untilStatus('succeeded')).slice(-2), ['yellow ring unavailable', 'green dot succeeded']);
});

test('a service that stops meanwhile: the deadline ends the wait, and a Catch node gets the reason', async (t) => {
  const stopped = await service(t, () => at(1));
  const flow = await load(t, { config: { deadline: 0.1 }, connection: { OPERATIONS_ENDPOINT: stopped.endpoint } });
  flow.node.receive({ name: 'operations/o' });
  await flow.running.next();
  await stopped.stop();
  const { error: { message, code, cause } } = await flow.caught.next();
  assert.match(message, /operations\/o did not finish within 0\.1 min \(Deadline\); the last request failed: GET /);
  assert.deepEqual([code, cause.retryable], ['unreachable', true]);
  const statuses = await flow.untilStatus('timed out, unreachable');
  assert.deepEqual([statuses.at(-2), statuses.at(-1)], ['yellow ring unreachable', 'yellow ring timed out, unreachable']);
});

test('a permanent failure ends the wait at once', async (t) => {
  const { endpoint, requests } = await service(t, () => error(404, 'NOT_FOUND', 'gone'));
  const flow = await load(t, { connection: { OPERATIONS_ENDPOINT: endpoint } });
  flow.node.receive({ name: 'operations/o' });
  assert.equal((await flow.caught.next()).error.code, 'not-found');
  assert.equal(await flow.untilOver(), 'red ring not found');
  assert.equal(requests.length, 1);
});

for (const [what, config, msg, code, text] of [
  ['a name that is missing', {}, {}, 'invalid-name', 'no operation name'],
  ['a name of another type', {}, { name: {} }, 'invalid-name', 'invalid name'],
  ['no connection', { connection: '' }, { name: 'operations/o' }, 'invalid-setting', 'no connection'],
  ['an invalid deadline', { deadline: 'soon' }, { name: 'operations/o' }, 'invalid-setting', 'invalid deadline'],
]) {
  test(`bad input: ${what}`, async (t) => {
    const flow = await load(t, { config });
    flow.node.receive(msg);
    assert.equal((await flow.caught.next()).error.code, code);
    assert.equal(await flow.untilOver(), `red ring ${text}`);
  });
}

test('the status of a node with several waits says how many', async (t) => {
  const answers = new Map();
  const { endpoint } = await service(t, ({ url }) => answers.get(/operations\/(\w)/.exec(url)[1]));
  answers.set('a', at(1)).set('b', at(2));
  const flow = await load(t, { connection: { OPERATIONS_ENDPOINT: endpoint } });
  flow.node.receive({ name: 'operations/a' });
  flow.node.receive({ name: 'operations/b' });
  await flow.running.next();
  await flow.running.next();
  assert.ok((await flow.untilStatus('2 waiting')).includes('blue dot 2 waiting'));
  answers.set('a', over).set('b', over);
  await flow.succeeded.next();
  await flow.succeeded.next();
  await flow.untilStatus('succeeded');
});

test('the status of several waits says when their service is gone, and when it is back', async (t) => {
  let answer = () => at(1);
  const served = await service(t, () => answer());
  const flow = await load(t, { connection: { OPERATIONS_ENDPOINT: served.endpoint } });
  flow.node.receive({ name: 'operations/a' });
  flow.node.receive({ name: 'operations/b' });
  await flow.untilStatus('2 waiting');
  answer = () => error(503, 'UNAVAILABLE', 'later');
  assert.equal((await flow.untilStatus('2 waiting, unavailable')).at(-1), 'yellow ring 2 waiting, unavailable');
  answer = () => at(2);
  const back = await flow.untilStatus('2 waiting');
  assert.equal(back.at(-1), 'blue dot 2 waiting');
  answer = () => over;
  await flow.untilStatus('succeeded');
});

test('waits for one operation share its request', async (t) => {
  let release;
  const held = new Promise((resolve) => (release = resolve));
  const shared = await service(t, () => held);
  const flow = await load(t, { connection: { OPERATIONS_ENDPOINT: shared.endpoint } });
  for (let i = 0; i < 5; i++) flow.node.receive({ name: 'operations/o', topic: i });
  await shared.asked(1);
  release(over);
  const topics = [];
  for (let i = 0; i < 5; i++) topics.push((await flow.succeeded.next()).topic);
  assert.deepEqual(topics.sort(), [0, 1, 2, 3, 4]);
  assert.deepEqual([shared.requests.length, shared.maxInFlight], [1, 1]);
});

test('what a flow does to its message, no other sees', async (t) => {
  const operation = { name: 'operations/o', metadata: { verb: 'create', list: [{ a: 1 }] } };
  const { endpoint } = await service(t, (_, count) => (count === 1 ? operation : { ...operation, done: true, response: { list: [1] } }));
  const flow = await load(t, { connection: { OPERATIONS_ENDPOINT: endpoint } });
  const sent = { name: 'operations/o', headers: { accept: 'json' }, rows: [[1]] };
  for (let i = 0; i < 2; i++) flow.node.receive(structuredClone(sent));
  for (const output of [flow.running, flow.succeeded]) {
    const [first, second] = [await output.next(), await output.next()];
    const untouched = structuredClone(second);
    first.payload.metadata.list[0].a = 2;
    first.payload.metadata.verb = 'changed';
    first.payload.extra = true;
    first.operation['metadata.customKey.value'].push({ key: 'b', value: '2' });
    first.operation.name = 'changed';
    first.headers.accept = 'changed';
    first.rows[0].push(2);
    assert.deepEqual(second, untouched);
    assert.deepEqual([second.headers, second.rows], [sent.headers, sent.rows]);
    assert.deepEqual(second.payload.metadata, operation.metadata);
  }
});

test('what a flow does to an error, no other sees', async (t) => {
  const { endpoint } = await service(t, () => error(403, 'PERMISSION_DENIED', 'no'));
  const flow = await load(t, { connection: { OPERATIONS_ENDPOINT: endpoint } });
  for (let i = 0; i < 2; i++) flow.node.receive({ name: 'operations/o' });
  const [first, second] = [await flow.caught.next(), await flow.caught.next()];
  first.error.cause.serviceError.status = 'changed';
  first.error.cause.serviceError.details.push('changed');
  first.error.cause.retryable = 'changed';
  const { retryable, serviceError: { status, details } } = second.error.cause;
  assert.deepEqual([retryable, status, details], [false, 'PERMISSION_DENIED', []]);
});

test('a name is read without the white space around it', async (t) => {
  const { endpoint, requests } = await service(t, () => over);
  const flow = await load(t, { connection: { OPERATIONS_ENDPOINT: ` ${endpoint}\n` } });
  for (const name of ['operations/o\n', '\toperations/o\r\n', ' operations/o']) {
    flow.node.receive({ name });
    await flow.succeeded.next();
  }
  assert.deepEqual(new Set(requests.map(({ url }) => url.split('?')[0])), new Set(['/v1/operations/o']));
});

test('metadata of any shape does not end a wait', async (t) => {
  const shapes = ['{"progress":{"toString":1}}', '{"@type":{"toString":1},"progress":{"valueOf":1}}', '{"__proto__":{"progress":1}}'];
  const { endpoint } = await service(t, (_, count) => ({
    body: `{"name":"operations/o","metadata":${shapes[count - 1] ?? shapes[1]},"done":${count > shapes.length}}`,
  }));
  const flow = await load(t, { connection: { OPERATIONS_ENDPOINT: endpoint } });
  flow.node.receive({ name: 'operations/o' });
  await flow.succeeded.next();
  assert.deepEqual(new Set(await flow.untilStatus('succeeded')), new Set(['blue ring requesting', 'blue dot running', 'green dot succeeded']));
  assert.equal(flow.caught.came.length, 0);
});

test('leaving a shared request does not end it for the others', async (t) => {
  const { Connection } = require('../lib/connection.js');
  let release;
  const held = new Promise((resolve) => (release = resolve));
  const shared = await service(t, () => held);
  const connection = new Connection({ OPERATIONS_ENDPOINT: shared.endpoint });
  const [leaves, stays] = [new AbortController(), new AbortController()];
  const left = connection.poll('operations/o', { signal: leaves.signal });
  const stayed = connection.poll('operations/o', { signal: stays.signal });
  await shared.asked(1);
  leaves.abort(new Error('left'));
  await assert.rejects(left, { message: 'left' });
  release(over);
  assert.equal((await stayed).operation.done, true);
  assert.equal(shared.requests.length, 1);
});

describe('redeploy', () => {
  for (const [what, answer] of [['a call', () => undefined], ['a pause', () => ({ ...at(1) })]]) {
    test(`in the middle of ${what}: nothing runs on, and a Catch node of the new flow hears of it`, async (t) => {
      const asked = await service(t, answer);
      const options = { type: 'google-operation-wait', connection: { OPERATIONS_ENDPOINT: asked.endpoint } };
      const flow = await load(t, options);
      flow.node.receive({ name: 'operations/o', topic: 'kept' });
      if (what === 'a pause') await flow.running.next();
      else await asked.asked(1);
      const next = await redeploy(options);
      const { error: { code }, topic } = await next.caught.next();
      assert.deepEqual([code, topic], ['interrupted', 'kept']);
      await asked.quiet();
      assert.equal(asked.requests.length, 1);
    });
  }

  test('with a persistent store too: the waits are not taken up again', async (t) => {
    const store = require('@node-red/runtime/lib/nodes/context/memory');
    const silent = await service(t, () => undefined);
    const options = {
      type: 'google-operation-wait',
      connection: { OPERATIONS_ENDPOINT: silent.endpoint },
      settings: { contextStorage: { default: { module: store } } },
    };
    const flow = await load(t, options);
    flow.node.receive({ name: 'operations/o' });
    await silent.asked(1);
    const kept = () => new Promise((resolve, reject) =>
      helper.getNode('n').context().get('waits', 'default', (error, waits) => (error ? reject(error) : resolve(waits))));
    assert.deepEqual(Object.values(await kept()).map(({ name }) => name), ['operations/o']);
    const next = await redeploy(options);
    assert.equal((await next.caught.next()).error.code, 'interrupted');
    await silent.quiet();
    assert.equal(silent.requests.length, 1);
    while (Object.keys((await kept()) ?? {}).length > 0) await new Promise(setImmediate);
  });
});

test('a wait for a message that no store can keep succeeds, and the log says what a restart would lose', async (t) => {
  const store = require('@node-red/runtime/lib/nodes/context/memory');
  const { endpoint } = await service(t, () => over);
  const flow = await load(t, {
    connection: { OPERATIONS_ENDPOINT: endpoint },
    settings: { contextStorage: { default: { module: store } } },
  });
  flow.node.receive({ name: 'operations/o', big: 1n });
  assert.equal((await flow.succeeded.next()).big, 1n);
  const warnings = flow.log.args.map(([{ msg }]) => msg);
  assert.ok(warnings.includes('The message for operations/o cannot be written as JSON: if Node-RED restarts, only its topic is kept.'));
});
