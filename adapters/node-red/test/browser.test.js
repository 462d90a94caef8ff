const assert = require('node:assert/strict');
const { test } = require('node:test');
const { emulate } = require('../../testing/emulator.js');
const { openEditor } = require('./support/browser.js');
const { start, userDir } = require('./support/node-red.js');
const { inFormWords } = require('../lib/words.js');
const manifest = require('../block/dist/manifest.json');

const TIME_LIMIT = { timeout: 180_000 };

test('a person does it all in the browser: drag, fill in, wire, deploy, see it succeed', TIME_LIMIT, async (t) => {
  const { endpoint, stop } = await emulate();
  t.after(stop);
  const red = await start(t, userDir(t, [{ id: 'tab', type: 'tab', label: 'Operations' }]));
  const editor = await openEditor(t, red.url);
  const { page } = editor;

  // The palette shows what the manifest says.
  const palette = page.locator('.red-ui-palette-category', { has: page.locator('[data-palette-type="google-operation-get"]') });
  assert.equal(await palette.locator('.red-ui-palette-header').innerText(), manifest.category);
  const labels = await palette.locator('.red-ui-palette-label').allInnerTexts();
  assert.deepEqual(labels.map((label) => label.replace(/\s+/g, ' ')), [
    `${manifest.label.toLowerCase()} operation`, 'wait for operation',
  ]);

  const inject = await editor.add('inject', 140, 120);
  const wait = await editor.add('google-operation-wait', 350, 120);
  const debug = await editor.add('debug', 600, 120);

  await editor.open(wait);
  assert.equal(await page.locator('.google-operation-wait-lost').isVisible(), true);
  assert.equal(await page.locator('.google-operation-wait-kept').isVisible(), false);
  await editor.operation(manifest.inputs[0].example);
  await page.locator('#node-input-btn-connection-add, #node-input-lookup-connection').first().click();
  await page.locator('#node-config-input-OPERATIONS_SERVICE').waitFor();
  await editor.settled();
  await page.locator('#node-config-input-name').fill('Emulator');
  const service = page.locator('#node-config-input-OPERATIONS_SERVICE');
  await service.click();
  await service.pressSequentially('api gateway');
  const options = page.locator('.red-ui-autoComplete-container li');
  await options.first().waitFor();
  await editor.shot('connection');
  assert.match(await options.first().innerText(), /^API Gateway API\s+apigateway\.googleapis\.com \(v1,/);
  await options.first().click();
  assert.equal(await service.inputValue(), 'apigateway.googleapis.com');
  await page.locator('#node-config-input-OPERATIONS_ENDPOINT').fill(endpoint);
  await page.locator('#node-config-input-access').selectOption('GOOGLE_OAUTH_ACCESS_TOKEN');
  assert.equal(await page.locator('#node-config-input-serviceAccountKey').isVisible(), false);
  await page.locator('#node-config-input-GOOGLE_OAUTH_ACCESS_TOKEN').fill('ya29.secret');
  await page.locator('#node-config-dialog-ok').click();
  await page.locator('#node-config-dialog-ok').waitFor({ state: 'detached' });
  await editor.settled();
  await editor.shot('form');
  await editor.done();

  for (const output of [0, 1, 2]) await editor.wire(wait, output, debug);
  await editor.wire(inject, 0, wait);
  await red.whileDeploying(() => editor.deploy());
  await editor.sidebar('debug');
  await editor.press(inject);

  const messages = page.locator('.red-ui-debug-msg .red-ui-debug-msg-payload');
  await messages.first().waitFor();
  assert.match(await messages.first().innerText(), /done: false/);
  const status = wait.locator('.red-ui-flow-node-status-label');
  await page.waitForFunction((id) => document.getElementById(id).querySelector('.red-ui-flow-node-status-label')?.textContent === 'succeeded',
    await wait.getAttribute('id'));
  assert.equal(await status.textContent(), 'succeeded');
  await page.waitForFunction(() => [...document.querySelectorAll('.red-ui-debug-msg-payload')].at(-1)?.innerText.includes('done: true'));
  const shown = await messages.allInnerTexts();
  assert.ok(shown.length >= 3, shown.join('\n'));
  assert.ok(shown.slice(0, -1).every((text) => text.includes('done: false')), shown.join('\n'));
  await messages.last().locator('.red-ui-debug-msg-object-handle, .red-ui-debug-msg-expandable').first().click();
  await editor.shot('succeeded');

  // The secret stays on the server.
  const exported = await page.evaluate(() => JSON.stringify(RED.nodes.createCompleteNodeSet()));
  assert.ok(exported.includes(endpoint) && !exported.includes('ya29'));
  assert.deepEqual(editor.faults, []);
});

test('a bad name shows a red status, and the help tab reads right', TIME_LIMIT, async (t) => {
  const red = await start(t, userDir(t, [
    { id: 'tab', type: 'tab', label: 'Operations' },
    { id: 'connection', type: 'google-operations-connection', name: 'Any service', access: '' },
  ]), { contextStorage: { disk: { module: 'localfilesystem' } } });
  const editor = await openEditor(t, red.url);
  const { page } = editor;
  const inject = await editor.add('inject', 140, 120);
  const get = await editor.add('google-operation-get', 350, 120);

  await editor.open(get);
  await editor.operation('projects/acme/secrets/s');
  await page.locator('#node-input-connection').selectOption({ label: 'Any service' });
  await editor.done();
  await editor.wire(inject, 0, get);
  await red.whileDeploying(() => editor.deploy());
  await editor.press(inject);
  const label = get.locator('.red-ui-flow-node-status-label');
  await page.waitForFunction((id) => document.getElementById(id).querySelector('.red-ui-flow-node-status-label')?.textContent === 'invalid name',
    await get.getAttribute('id'));
  assert.equal(await label.textContent(), 'invalid name');
  assert.match(await get.locator('.red-ui-flow-node-status').getAttribute('class'), /red-ui-flow-node-status-ring-red/);

  await page.mouse.click(...(await editor.center(get.locator('.red-ui-flow-node'))));
  await editor.sidebar('help');
  const help = page.locator('.red-ui-help').last();
  await help.getByText('Reasons').waitFor();
  const text = await help.innerText();
  assert.ok(text.includes(manifest.help), text);
  for (const { reason, whatToDo } of manifest.errors) {
    assert.ok(text.includes(reason) && text.includes(inFormWords(whatToDo, manifest.settings)), reason);
  }
  for (const { variable } of manifest.outputs) assert.ok(text.includes(variable), variable);
  await editor.shot('help');

  // With a store that outlives Node-RED, the form says so.
  const wait = await editor.add('google-operation-wait', 350, 200);
  await editor.open(wait);
  assert.match(await page.locator('.google-operation-wait-kept').innerText(), /waits resume: .* disk\.$/);
  assert.equal(await page.locator('.google-operation-wait-lost').isVisible(), false);
  await page.locator('#node-dialog-cancel').click();
  await page.locator('.red-ui-tray').waitFor({ state: 'detached' });
  assert.deepEqual(editor.faults, []);
});
