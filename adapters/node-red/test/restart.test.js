const assert = require('node:assert/strict');
const { readdirSync, readFileSync } = require('node:fs');
const { join } = require('node:path');
const { test } = require('node:test');
const { start, userDir } = require('./support/node-red.js');
const { service } = require('../../testing/server.js');

const FILE = { contextStorage: { default: { module: 'localfilesystem' } } };
const DEADLINE_MINUTES = 30;

/** `GET /start?name=…` waits for an operation; a request to the service tells the result. */
function flow(endpoint) {
  const at = { x: 100, y: 100, z: 'tab' };
  const tell = (id, path) => ({ ...at, id, type: 'http request', method: 'GET', ret: 'txt', url: endpoint.replace('/v1', path), wires: [[]] });
  return [
    { id: 'tab', type: 'tab', label: 'Restart' },
    { id: 'connection', type: 'google-operations-connection', OPERATIONS_ENDPOINT: endpoint, access: 'GOOGLE_OAUTH_ACCESS_TOKEN' },
    { ...at, id: 'start', type: 'http in', url: '/start', method: 'get', wires: [['wait', 'answer']] },
    { ...at, id: 'answer', type: 'http response', statusCode: '202', wires: [] },
    {
      ...at, id: 'wait', type: 'google-operation-wait', operation: 'payload.name', operationType: 'msg', deadline: DEADLINE_MINUTES,
      connection: 'connection', wires: [[], ['succeeded'], []],
    },
    tell('succeeded', '/told/succeeded/{{{payload.name}}}'),
    { ...at, id: 'catcher', type: 'catch', wires: [['caught']] },
    tell('caught', '/told/{{error.code}}'),
  ];
}

/** A service whose operation ends when the test says so, and that hears what a flow has to tell. */
async function told(t) {
  const told = { over: false, tellings: [], polls: 0 };
  const served = await service(t, ({ url, headers }) => {
    if (url.startsWith('/told/')) {
      told.tellings.push(url);
      return {};
    }
    if (url.includes('operations/other')) return { name: 'operations/other', done: true };
    told.polls += 1;
    told.authorization = headers.authorization;
    return { name: 'operations/o', done: told.over };
  });
  /** Resolves once so many results were told. */
  told.toldOf = async (count) => {
    while (told.tellings.length < count) await served.asked(served.requests.length + 1);
  };
  return Object.assign(told, { endpoint: served.endpoint, requests: served.requests, asked: served.asked });
}

async function ask(red, name) {
  assert.equal((await fetch(`${red.url}/start?name=${name}`)).status, 202);
}

/** One more wait, which ends after those that Node-RED resumed at its start have asked. */
async function another(red, served) {
  const before = served.tellings.length;
  await ask(red, 'operations/other');
  await served.toldOf(before + 1);
  assert.equal(served.tellings.pop(), '/told/succeeded/operations/other');
}

const withToken = (nodes) =>
  nodes.map((node) => (node.id === 'connection' ? { ...node, credentials: { GOOGLE_OAUTH_ACCESS_TOKEN: 'ya29.secret' } } : node));

/** Node-RED in which a wait for the operation is under way, and its user's folder. */
async function waiting(t, served, options) {
  const path = userDir(t, flow(served.endpoint));
  const red = await start(t, path, options);
  await red.deploy(withToken(flow(served.endpoint)));
  await ask(red, 'operations/o');
  await served.asked(1);
  return { red, path };
}

test('a wait survives a restart of Node-RED, and its secret is in no file in the clear', async (t) => {
  const served = await told(t);
  const { red: before, path } = await waiting(t, served, FILE);
  const exported = await (await fetch(`${before.url}/flows`)).text();
  await before.stop();
  const polls = served.polls;
  assert.deepEqual(served.tellings, []);

  served.over = true;
  const after = await start(t, path, FILE);
  await served.toldOf(1);
  assert.deepEqual(served.tellings, ['/told/succeeded/operations/o']);
  assert.deepEqual([served.polls - polls, served.authorization], [1, 'Bearer ya29.secret']);
  await after.stop();

  const files = readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.parentPath.includes('node_modules/node-red-contrib'))
    .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'latin1'));
  for (const text of [exported, ...before.log, ...after.log, ...files]) assert.ok(!text.includes('ya29'), text);

  // It was told once: another start has nothing to resume.
  const last = await start(t, path, FILE);
  await another(last, served);
  await last.stop();
  assert.deepEqual([served.tellings.length, served.polls - polls], [1, 1]);
});

test('the deadline of a wait keeps running while Node-RED is down', async (t) => {
  const served = await told(t);
  const { red: before, path } = await waiting(t, served, FILE);
  await before.stop();
  const { polls } = served;
  assert.deepEqual(served.tellings, []);
  const after = await start(t, path, { ...FILE, aheadMs: DEADLINE_MINUTES * 60_000 });
  await served.toldOf(1);
  await after.stop();
  assert.deepEqual([served.tellings, served.polls - polls], [['/told/timeout'], 1]);
});

test('a redeploy ends a stored wait: it is reported, and does not resume', async (t) => {
  const served = await told(t);
  const { red, path } = await waiting(t, served, FILE);
  await red.deploy(flow(served.endpoint));
  await served.toldOf(1);
  const { polls } = served;
  assert.deepEqual(served.tellings, ['/told/interrupted']);
  await red.stop();
  const again = await start(t, path, FILE);
  await another(again, served);
  await again.stop();
  assert.deepEqual([served.polls, served.tellings.length], [polls, 1]);
});

test('with the memory store alone a wait does not survive a restart', async (t) => {
  const served = await told(t);
  const { red: before, path } = await waiting(t, served);
  await before.stop();
  const { polls } = served;
  const after = await start(t, path);
  await another(after, served);
  await after.stop();
  assert.deepEqual([polls, served.polls, served.tellings], [1, 1, []]);
});
