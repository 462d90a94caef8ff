import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { manifest } from 'google-operations-get';

const component = new URL('../dist/component/', import.meta.url);
const modules = Object.fromEntries(
  readdirSync(component).filter((name) => name.endsWith('.wasm'))
    .map((name) => [name, new WebAssembly.Module(readFileSync(new URL(name, component)))]),
);

/** Calls in one thread, and tells after each how many core instances there were. */
const THREAD = `
  const { parentPort, workerData } = require('node:worker_threads');
  let made = 0;
  const Instance = WebAssembly.Instance;
  WebAssembly.Instance = function (...given) {
    made += 1;
    return new Instance(...given);
  };
  import(workerData.call).then(({ default: call }) => {
    const counts = workerData.environments.map((environment) => {
      const { tag, val } = call({ name: '', environment });
      return [tag, val.reason, made];
    });
    parentPort.postMessage(counts);
  });
`;

test('calls follow each other in an instance with the same settings alone', async () => {
  const of = (token) => [['GOOGLE_OAUTH_ACCESS_TOKEN', token]];
  const environments = [of('a'), of('a'), of('b'), of('a'), [], []];
  const call = new URL('../src/call.js', import.meta.url).href;
  const worker = new Worker(THREAD, { eval: true, workerData: { modules, manifest, call, environments } });
  const [counts] = await once(worker, 'message');
  await worker.terminate();
  for (const [tag, reason] of counts) assert.deepEqual([tag, reason], ['permanent', 'invalid-name']);
  const each = counts[0][2];
  assert.ok(each > 0);
  assert.deepEqual(counts.map(([, , made]) => made / each), [1, 1, 2, 3, 4, 4]);
});

test('the types name every setting and every reason of the manifest', () => {
  const types = readFileSync(new URL('../src/index.d.ts', import.meta.url), 'utf8');
  const [, settings] = /interface Settings \{(.*?)\n\}/s.exec(types);
  assert.deepEqual(
    [...settings.matchAll(/^  (\w+)\?:/gm)].map(([, name]) => name).sort(),
    manifest.settings.map(({ variable }) => variable).sort(),
  );
  const [, reasons] = /type Reason =(.*?);/s.exec(types);
  assert.deepEqual(
    [...reasons.matchAll(/'([\w-]+)'/g)].map(([, reason]) => reason).sort(),
    manifest.errors.map(({ reason }) => reason).sort(),
  );
});
