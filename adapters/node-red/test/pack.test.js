const assert = require('node:assert/strict');
const { test } = require('node:test');
const { folder, pack } = require('./support/node-red.js');
const manifest = require('../block/dist/manifest.json');

test('the package holds what runs, and nothing else', (t) => {
  const { paths, size } = pack(folder(t));
  assert.deepEqual(paths, [
    'LICENSE',
    'README.md',
    'block/dist/component/operations_get.core.wasm',
    'block/dist/component/operations_get.core2.wasm',
    'block/dist/component/operations_get.core3.wasm',
    'block/dist/component/operations_get.js',
    'block/dist/manifest.json',
    'block/package.json',
    ...['call', 'egress', 'failure', 'fault', 'index', 'operation', 'outputs', 'threads'].map((name) => `block/src/${name}.js`),
    ...['Fail branch', 'Poll until done', 'Zero-touch batch'].map((name) => `examples/${name}.json`),
    ...['access', 'block', 'connection', 'failure', 'interrupted', 'name', 'pending', 'poll', 'progress', 'show', 'words'].map((name) => `lib/${name}.js`),
    ...['connection', 'get-operation', 'wait-for-operation'].flatMap((name) => [`nodes/${name}.html`, `nodes/${name}.js`]),
    'nodes/icons/operation.svg',
    'package.json',
  ].sort());
  assert.ok(size < 300_000, `${size} bytes`);
});

test('its version is that of the block', () => {
  assert.equal(require('../package.json').version, manifest.version);
  assert.equal(require('../block/package.json').version, manifest.version);
});
