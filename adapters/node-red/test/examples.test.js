const assert = require('node:assert/strict');
const { readFileSync, readdirSync } = require('node:fs');
const { join } = require('node:path');
const { test } = require('node:test');
const helper = require('node-red-node-test-helper');
const { emulate } = require('../../testing/emulator.js');
const { service } = require('../../testing/server.js');

const folder = join(__dirname, '../examples');
const CORE = ['common/20-inject', 'common/25-catch', 'common/90-comment', 'function/10-switch', 'function/15-change', 'function/89-delay'];
const TYPES = [
  ...['connection', 'get-operation', 'wait-for-operation'].map((node) => require(`../nodes/${node}.js`)),
  ...CORE.map((node) => require(`@node-red/nodes/core/${node}.js`)),
];
const ENDPOINT = 'http://127.0.0.1:8080/v1';

helper.init(require.resolve('node-red'));

/** An example, against an endpoint: gives what its Debug nodes get, by their names, as it comes. */
async function run(t, name, endpoint) {
  const text = readFileSync(join(folder, `${name}.json`), 'utf8');
  assert.ok(text.includes(ENDPOINT));
  const flow = JSON.parse(text.replaceAll(ENDPOINT, endpoint));
  await new Promise((resolve) => helper.startServer(resolve));
  t.after(async () => {
    await helper.unload();
    await new Promise((resolve) => helper.stopServer(resolve));
  });
  await helper.load(TYPES, flow.map((node) => (node.type === 'debug' ? { ...node, type: 'helper' } : node)));
  const waiting = [];
  const came = [];
  for (const { id, type, name: of } of flow) {
    if (type !== 'debug') continue;
    helper.getNode(id).on('input', (msg) => {
      came.push([of, msg]);
      waiting.shift()?.();
    });
  }
  return {
    press: (label) => helper.getNode(flow.find((node) => node.type === 'inject' && node.name === label).id).receive({}),
    /** The next message, and the Debug node that got it. */
    async next() {
      while (came.length === 0) await new Promise((resolve) => waiting.push(resolve));
      return came.shift();
    },
  };
}

/** The endpoint of an emulator of the test's own. */
async function emulated(t) {
  const { endpoint, stop } = await emulate();
  t.after(stop);
  return endpoint;
}

test('every example says what to do, and shows both nodes together with the others', () => {
  const files = readdirSync(folder);
  assert.deepEqual(files.sort(), ['Fail branch.json', 'Poll until done.json', 'Zero-touch batch.json']);
  const flows = files.map((file) => JSON.parse(readFileSync(join(folder, file), 'utf8')));
  for (const flow of flows) assert.ok(flow.some(({ type }) => type === 'comment'));
  const types = new Set(flows.flat().map(({ type }) => type));
  assert.ok(types.has('google-operation-get') && types.has('google-operation-wait'));
});

test('poll until done', async (t) => {
  const example = await run(t, 'Poll until done', await emulated(t));
  example.press('create-api');
  const [where, msg] = await example.next();
  assert.deepEqual([where, msg.payload.done, msg.payload.response.displayName], ['succeeded', true, 'Orders']);
});

test('fail branch', async (t) => {
  const example = await run(t, 'Fail branch', await emulated(t));
  example.press('no permission');
  let [where, msg] = await example.next();
  assert.deepEqual([where, msg.error.code], ['needs attention', 'permission-denied']);
  example.press('too many requests');
  [where, msg] = await example.next();
  assert.deepEqual([where, msg.error.cause.retryAfterMs], ['retry later', 1000]);
  example.press('an operation that fails');
  [where, msg] = await example.next();
  assert.equal(where, 'the operation failed');
  assert.match(msg.payload, /^Permission 'pubsub\.topics\.publish' denied/);
});

test('zero-touch batch', async (t) => {
  const example = await run(t, 'Zero-touch batch', await emulated(t));
  example.press('claim devices');
  let [where, msg] = await example.next();
  assert.deepEqual([where, msg.payload.metadata.progress], ['progress', 0]);
  while (where === 'progress') [where, msg] = await example.next();
  assert.equal(where, 'devices that failed');
  assert.deepEqual(msg.payload, [{
    imei: '490154203237519',
    status: 'SINGLE_DEVICE_STATUS_INVALID_DEVICE_IDENTIFIER',
    why: 'The IMEI 490154203237519 has a wrong check digit.',
  }]);
});

test('zero-touch batch without a failed device', async (t) => {
  const metadata = { '@type': 'type.googleapis.com/google.android.device.provisioning.v1.DevicesLongRunningOperationMetadata', devicesCount: 2 };
  const { endpoint } = await service(t, () => ({ name: 'operations/o', done: true, metadata, response: { successCount: 2 } }));
  const example = await run(t, 'Zero-touch batch', endpoint);
  example.press('claim devices');
  const [where, msg] = await example.next();
  assert.deepEqual([where, msg.failedDevices], ['all devices claimed', 0]);
});
