const assert = require('node:assert/strict');
const { readdirSync, readFileSync } = require('node:fs');
const { join } = require('node:path');
const { test } = require('node:test');
const { start, userDir } = require('./support/node-red.js');
const { service } = require('../../testing/server.js');

const FILE = { contextStorage: { default: { module: 'localfilesystem' } } };
const DEADLINE_MINUTES = 30;

/** `GET /start?name=…` waits for an operation; a request to the service tells the result. `more` is added to it. */
function flow(endpoint, { wait, more = [] } = {}) {
  const at = { x: 100, y: 100, z: 'tab' };
  const tell = (id, path) => ({ ...at, id, type: 'http request', method: 'GET', ret: 'txt', url: endpoint.replace('/v1', path), wires: [[]] });
  return [
    { id: 'tab', type: 'tab', label: 'Restart' },
    { id: 'connection', type: 'google-operations-connection', OPERATIONS_ENDPOINT: endpoint, access: 'GOOGLE_OAUTH_ACCESS_TOKEN' },
    { ...at, id: 'start', type: 'http in', url: '/start', method: 'get', wires: [['wait', 'answer']] },
    { ...at, id: 'answer', type: 'http response', statusCode: '202', wires: [] },
    {
      ...at, id: 'wait', type: 'google-operation-wait', operation: 'payload.name', operationType: 'msg', deadline: DEADLINE_MINUTES,
      connection: 'connection', wires: [[], ['succeeded'], []], ...wait,
    },
    tell('succeeded', '/told/succeeded/{{{payload.name}}}'),
    { ...at, id: 'catcher', type: 'catch', wires: [['caught']] },
    tell('caught', '/told/{{error.code}}'),
    ...more,
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
  // It asks once more, unless this machine is too busy for that in the time that is left.
  assert.deepEqual(served.tellings, ['/told/timeout']);
  assert.ok(served.polls - polls <= 1, `${served.polls - polls} polls`);
});

const comment = (id, z) => ({ id, z, type: 'comment', name: id, info: '', x: 300, y: 300, wires: [] });
const otherTab = (...nodes) => [{ id: 'other', type: 'tab', label: 'Other' }, ...nodes];

/** What is done to the flows while a wait is under way, and whether it ends the wait. */
const DEPLOYS = {
  'a full deploy of a comment': [(red, endpoint) => red.deploy(flow(endpoint, { more: [comment('c', 'tab')] })), true],
  'a deploy of the modified node': [(red, endpoint) => red.deploy(flow(endpoint, { wait: { deadline: 31 } }), 'nodes'), true],
  'a deploy of another node': [(red, endpoint) => red.deploy(flow(endpoint, { more: [comment('c', 'tab')] }), 'nodes'), false],
  'a deploy of the modified flow': [(red, endpoint) => red.deploy(flow(endpoint, { wait: { deadline: 31 } }), 'flows'), true],
  'a deploy of another flow': [(red, endpoint) => red.deploy(flow(endpoint, { more: otherTab(comment('c', 'other')) }), 'flows'), false],
  'a restart of the flows': [(red) => red.deploy({}, 'reload'), true],
  'a stop and a start of the flows': [async (red) => {
    await red.stopFlows();
    await red.startFlows();
  }, true],
};

for (const [store, options] of [['persistent', FILE], ['memory', {}]]) {
  test(`with a ${store} store, a deploy of any kind interrupts and ends a wait, or does neither`, async (t) => {
    const served = await told(t);
    let { red, path } = await waiting(t, served, options);
    const restart = async () => {
      await red.stop();
      red = await start(t, path, options);
    };
    // A restart of Node-RED in between makes no difference.
    for (const resumed of store === 'persistent' ? [false, true] : [false]) {
      for (const [what, [deploy, ends]] of Object.entries(DEPLOYS)) {
        if (resumed) {
          const before = served.polls;
          await restart();
          while (served.polls === before) await served.asked(served.requests.length + 1);
        }
        const { polls } = served;
        await deploy(red, served.endpoint);
        served.over = !ends;
        await served.toldOf(1);
        assert.deepEqual(served.tellings, [ends ? '/told/interrupted' : '/told/succeeded/operations/o'], what);

        // It was told once, and nothing goes on: also not after the next deploy and the next start.
        const { polls: last } = served;
        await red.deploy(flow(served.endpoint));
        await another(red, served);
        if (resumed) {
          await restart();
          await another(red, served);
        }
        assert.deepEqual([served.polls - last, served.tellings.length], [0, 1], what);
        if (ends) assert.equal(last, polls, what);

        served.over = false;
        served.tellings.length = 0;
        await ask(red, 'operations/o');
        while (served.polls === last) await served.asked(served.requests.length + 1);
      }
    }
  });
}

test('a node that is disabled ends its waits, and does not resume them once it is enabled', async (t) => {
  const served = await told(t);
  const { red, path } = await waiting(t, served, FILE);
  await red.deploy(flow(served.endpoint, { wait: { d: true } }), 'nodes');
  const { polls } = served;
  await red.stop();
  assert.ok(red.log.some((line) => /\[warn\] .*operations\/o\.$/.test(line)), red.log.join('\n'));
  const again = await start(t, path, FILE);
  await again.deploy(flow(served.endpoint), 'nodes');
  await another(again, served);
  await again.stop();
  assert.deepEqual([served.polls, served.tellings], [polls, []]);
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

test('many nodes write nothing to standard error', async (t) => {
  const served = await told(t);
  const nodes = flow(served.endpoint);
  const wait = nodes.find(({ id }) => id === 'wait');
  for (let i = 0; i < 20; i++) nodes.push({ ...wait, id: `wait${i}`, wires: [[], [], []] });
  const red = await start(t, userDir(t, nodes), FILE);
  await red.deploy(withToken(nodes));
  await another(red, served);
  await red.stop();
  assert.deepEqual(red.errors, []);
});
