import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { setMaxListeners } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { get, manifest, operation, PermanentFailure, TransientFailure } from 'google-operations-get';
import { emulate } from '../../testing/emulator.js';
import { error as answerOf, rawService, service } from '../../testing/server.js';
import { Threads } from '../src/threads.js';

const sample = (label) => manifest.samples.find((sample) => sample.label === label);

/** The failure that a call ends in. */
const failure = (call) =>
  call.then(
    (outputs) => assert.fail(`no failure: ${JSON.stringify(outputs)}`),
    (error) => error,
  );

const running = () => ({ name: 'operations/o' });

describe('against the emulator', () => {
  let emulator;
  let settings;
  let first;
  before(async () => {
    emulator = await emulate();
    settings = { OPERATIONS_ENDPOINT: emulator.endpoint, OPERATIONS_MAX_ATTEMPTS: 1 };
    // An operation of the emulator runs for 3 s from its first request: so they run at the same time.
    const outputs = manifest.samples.map(async ({ label, inputs }) => [label, await get(inputs.name, settings)]);
    first = Object.fromEntries(await Promise.all(outputs));
  });
  after(() => emulator.stop());

  test('an operation that runs', () => {
    assert.deepEqual(shown(first.running), sample('running').outputs);
  });

  /** Asks until the operation is done. */
  async function ended(name) {
    for (;;) {
      const outputs = await get(name, settings);
      if (outputs.done) return outputs;
    }
  }

  /** JSON text as the manifest's samples show it: a number that a double does not hold is rounded there too. */
  const shown = (outputs) => {
    const value = (json) => (json === null ? null : JSON.parse(json));
    const members = (list) => list && Object.fromEntries(list.map(({ key, value }) => [key, JSON.parse(value)]));
    return {
      ...outputs,
      error: value(outputs.error),
      'error.details[]': outputs['error.details[]'].map(value),
      'error.details[].customKey.value': outputs['error.details[].customKey.value'].map(members),
      metadata: value(outputs.metadata),
      'metadata.customKey.value': members(outputs['metadata.customKey.value']),
      response: value(outputs.response),
      'response.customKey.value': members(outputs['response.customKey.value']),
    };
  };

  for (const label of ['succeeded', 'failed', 'zero-touch batch with failed devices']) {
    test(`the eleven outputs of an operation: ${label}`, async () => {
      const { inputs, outputs: expected } = sample(label);
      const outputs = await ended(inputs.name);
      assert.deepEqual(Object.keys(outputs), manifest.outputs.map(({ variable }) => variable));
      assert.deepEqual(shown(outputs), expected);
    });
  }

  test('JSON text is exact: no number loses a digit', async () => {
    const outputs = await ended(sample('zero-touch batch with failed devices').inputs.name);
    const member = outputs['metadata.customKey.value'].find(({ key }) => key === 'batchNumber');
    assert.equal(member.value, '9007199254740993');
    assert.match(outputs.metadata, /"batchNumber": 9007199254740993\n/);
  });

  test('the natural nesting', async () => {
    const { inputs, answer } = sample('failed');
    assert.deepEqual(operation(await ended(inputs.name)), answer);
  });

  test('a permanent failure', async () => {
    const error = await failure(get('operations/error-403', settings));
    assert.ok(error instanceof PermanentFailure);
    assert.equal(error.name, 'PermanentFailure');
    assert.equal(error.reason, 'permission-denied');
    assert.equal(error.httpStatus, 403);
    assert.equal(error.retryAfterMs, null);
    assert.equal(error.serviceError.code, 7);
    assert.equal(error.serviceError.status, 'PERMISSION_DENIED');
    assert.equal(JSON.parse(error.serviceError.details[0]).reason, 'SERVICE_DISABLED');
    assert.equal(JSON.parse(error.serviceError.error).message, error.serviceError.message);
    assert.match(error.message, /^GET http:\/\/127\.0\.0\.1:\d+\/v1\/operations\/error-403 was answered with 403/);
  });

  test('a transient failure', async () => {
    const error = await failure(get('operations/error-503', settings));
    assert.ok(error instanceof TransientFailure);
    assert.equal(error.name, 'TransientFailure');
    assert.equal(error.reason, 'unavailable');
    assert.equal(error.httpStatus, 503);
    assert.equal(error.retryAfterMs, 1000);
  });

  test('an invalid name is refused before anything is sent', async () => {
    const error = await failure(get('projects/p', settings));
    assert.ok(error instanceof PermanentFailure);
    assert.deepEqual([error.reason, error.httpStatus, error.serviceError], ['invalid-name', null, null]);
  });
});

describe('what leaves the sandbox', () => {
  test('a host that the manifest does not list is denied', async (t) => {
    const network = { allowedHosts: ['workspaceevents.googleapis.com'], methods: ['GET'] };
    const threads = await Threads.start({ ...manifest, permissions: { network } });
    t.after(() => threads.stop());
    const name = '//apigateway.googleapis.com/projects/p/locations/l/operations/o';
    const { tag, val } = await threads.run({ name, environment: [] });
    assert.deepEqual([tag, val.reason], ['permanent', 'request-denied']);
  });

  test('one GET, with the credential in one header, and in no message', async (t) => {
    const { settings, requests } = await service(t, () => answerOf(401, 'UNAUTHENTICATED', 'no'));
    const error = await failure(get('operations/o', { ...settings, GOOGLE_OAUTH_ACCESS_TOKEN: 'ya29.secret' }));
    assert.equal(error.reason, 'unauthenticated');
    assert.ok(!JSON.stringify([error, error.message, error.stack]).includes('ya29'));
    assert.deepEqual(requests.map(({ method, url }) => [method, url]), [
      ['GET', '/v1/operations/o?$.xgafv=2&prettyPrint=false'],
    ]);
    const headers = Object.entries(requests[0].headers).filter(([, value]) => value.includes('ya29'));
    assert.deepEqual(headers, [['authorization', 'Bearer ya29.secret']]);
  });

  test('a redirect is not followed', async (t) => {
    const elsewhere = { status: 302, headers: { Location: '/v1/operations/p' }, body: '' };
    const { settings, requests } = await service(t, () => elsewhere);
    assert.equal((await failure(get('operations/o', settings))).reason, 'redirected');
    assert.equal(requests.length, 1);
  });

  test("the process's own environment does not reach the block", async (t) => {
    process.env.OPERATIONS_TIMEOUT_MS = 'never';
    t.after(() => delete process.env.OPERATIONS_TIMEOUT_MS);
    const { settings } = await service(t, running);
    assert.equal((await get('operations/o', settings)).done, false);
  });
});

describe('settings', () => {
  test('calls at the same time keep theirs apart', async (t) => {
    const echo = ({ headers }) => ({ name: 'operations/o', metadata: { token: headers.authorization } });
    const { settings } = await service(t, echo);
    const tokens = Array.from({ length: 50 }, (_, i) => `token-${i}`);
    const seen = await Promise.all(
      tokens.map(async (token) => {
        const outputs = await get('operations/o', { ...settings, GOOGLE_OAUTH_ACCESS_TOKEN: token });
        return operation(outputs).metadata.token;
      }),
    );
    assert.deepEqual(seen, tokens.map((token) => `Bearer ${token}`));
  });

  test('one that the manifest does not list is refused', async () => {
    await assert.rejects(get('operations/o', { OPERATIONS_SERVICES: 'x' }), {
      name: 'TypeError',
      message: 'the block has no setting OPERATIONS_SERVICES: its manifest lists them',
    });
  });

  test('a value of another type is refused, and not shown', async () => {
    await assert.rejects(get('operations/o', { GOOGLE_OAUTH_ACCESS_TOKEN: { token: 'ya29' } }), {
      name: 'TypeError',
      message: 'the setting GOOGLE_OAUTH_ACCESS_TOKEN is a string or a number, not object',
    });
  });

  test('a name of another type is refused', async () => {
    await assert.rejects(get(undefined), {
      name: 'TypeError',
      message: 'the name of an operation is a string, not undefined',
    });
  });

  test('an empty setting is unset', async (t) => {
    const { settings } = await service(t, running);
    const empty = { ...settings, OPERATIONS_TIMEOUT_MS: '', GOOGLE_API_KEY: null, OPERATIONS_SERVICE: undefined };
    assert.equal((await get('operations/o', empty)).name, 'operations/o');
  });
});

describe('keys and numbers', () => {
  test('__proto__ is a key, and members keep their order', async (t) => {
    const metadata = '{"b":1,"2":2,"1":3,"__proto__":{"polluted":true}}';
    const body = `{"name":"operations/o","metadata":${metadata},"response":{}}`;
    const { settings } = await service(t, () => ({ body }));
    const outputs = await get('operations/o', settings);
    assert.equal(outputs.metadata, metadata);
    assert.deepEqual(outputs['metadata.customKey.value'], [
      { key: 'b', value: '1' },
      { key: '2', value: '2' },
      { key: '1', value: '3' },
      { key: '__proto__', value: '{"polluted":true}' },
    ]);
    assert.deepEqual([outputs.response, outputs['response.customKey.value']], ['{}', []]);
    const nested = operation(outputs);
    assert.ok(Object.hasOwn(nested.metadata, '__proto__'));
    assert.equal(nested.metadata.polluted, undefined);
    assert.equal({}.polluted, undefined);
  });

  test('an answer of many MiB arrives complete, and so does the next one', async (t) => {
    const text = 'x'.repeat(12 * 2 ** 20);
    const large = { ...running(), metadata: { text } };
    const { settings } = await service(t, (_, count) => (count === 1 ? large : running()));
    const outputs = await get('operations/o', settings);
    assert.equal(outputs.metadata.length, text.length + '{"text":""}'.length);
    assert.equal((await get('operations/o', settings)).metadata, null);
  });
});

describe('deadlines', () => {
  for (const [what, sent] of [
    ['says nothing', ''],
    ['stops in its header', 'HTTP/1.1 200 OK\r\nContent-'],
    ['stops in its body', 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"name":'],
  ]) {
    test(`a call to a server that ${what} ends at the deadline, and closes its connection`, async (t) => {
      const { settings, closed } = await rawService(t, sent);
      const start = performance.now();
      const error = await failure(get('operations/o', { ...settings, OPERATIONS_TIMEOUT_MS: 700 }));
      assert.ok(performance.now() - start >= 700);
      assert.deepEqual([error.constructor, error.reason], [TransientFailure, 'timeout']);
      assert.match(error.message, / within 700 ms/);
      await closed;
    });
  }

  test('a signal ends a running call, and closes its connection', async (t) => {
    const { settings, connected, closed } = await rawService(t, '');
    const controller = new AbortController();
    const call = failure(get('operations/o', settings, { signal: controller.signal }));
    await connected;
    controller.abort(new Error('redeployed'));
    assert.equal((await call).message, 'redeployed');
    await closed;
  });

  test('a signal ends a call that waits for a thread', async (t) => {
    const { settings } = await rawService(t, '');
    const running = new AbortController();
    setMaxListeners(0, running.signal);
    const calls = Array.from({ length: 20 }, () => failure(get('operations/o', settings, { signal: running.signal })));
    const waiting = new AbortController();
    const last = failure(get('operations/o', settings, { signal: waiting.signal }));
    waiting.abort(new Error('not any more'));
    assert.equal((await last).message, 'not any more');
    running.abort(new Error('enough'));
    assert.deepEqual((await Promise.all(calls)).map(({ message }) => message), Array(20).fill('enough'));
    await assert.rejects(get('operations/o', settings, { signal: running.signal }), { message: 'enough' });
  });
});

describe('faults of the connection', () => {
  test('nobody listens: unreachable', async (t) => {
    const { settings, stop } = await service(t, running);
    await stop();
    const error = await failure(get('operations/o', settings));
    assert.deepEqual([error.constructor, error.reason], [TransientFailure, 'unreachable']);
  });

  for (const [what, sent] of [
    ['at once', ''],
    ['in the header', 'HTTP/1.1 200 OK\r\nContent-'],
    ['in the body', 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"name":"operations/o"}'],
    ['in a chunk', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{"name":"operations/o"}'],
  ]) {
    test(`the connection ends ${what}: connection-lost`, async (t) => {
      const { settings } = await rawService(t, sent, { close: true });
      const error = await failure(get('operations/o', settings));
      assert.deepEqual([error.constructor, error.reason], [TransientFailure, 'connection-lost']);
    });
  }

  test('a header over the limit of Node.js: too-large', async (t) => {
    const { settings } = await service(t, () => ({ headers: { 'X-Long': 'x'.repeat(100_000) }, body: '{}' }));
    const error = await failure(get('operations/o', settings));
    assert.deepEqual([error.constructor, error.reason], [PermanentFailure, 'too-large']);
  });

  test('a certificate that nobody trusts: certificate', async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'certificate-'));
    t.after(() => rmSync(folder, { recursive: true }));
    const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
    execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes',
      '-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key, '-out', cert], { stdio: 'ignore' });
    const { settings } = await service(t, running, { key: readFileSync(key), cert: readFileSync(cert) });
    const error = await failure(get('operations/o', settings));
    assert.deepEqual([error.constructor, error.reason], [PermanentFailure, 'certificate']);
  });

  test('a server that does not speak TLS: certificate', async (t) => {
    const { settings, endpoint } = await service(t, running);
    const error = await failure(get('operations/o', { ...settings, OPERATIONS_ENDPOINT: endpoint.replace('http:', 'https:') }));
    assert.deepEqual([error.constructor, error.reason], [PermanentFailure, 'certificate']);
  });
});
