import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once, setMaxListeners } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { get, manifest, operation, PermanentFailure, TransientFailure } from 'google-operations-get';
import { Threads } from '../src/threads.js';
import { emulate } from './emulator.js';

const sample = (label) => manifest.samples.find((sample) => sample.label === label);

/** The failure that a call ends in. */
const failure = (call) =>
  call.then(
    (outputs) => assert.fail(`no failure: ${JSON.stringify(outputs)}`),
    (error) => error,
  );

/** A server on loopback for one test, and the settings that reach it. */
async function serve(t, server, scheme = 'http', more = {}) {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections?.();
    server.close();
  });
  return { OPERATIONS_ENDPOINT: `${scheme}://127.0.0.1:${server.address().port}/v1`, OPERATIONS_MAX_ATTEMPTS: 1, ...more };
}

describe('against the emulator', () => {
  let emulator;
  let settings;
  before(async () => {
    emulator = await emulate();
    settings = { OPERATIONS_ENDPOINT: emulator.endpoint, OPERATIONS_MAX_ATTEMPTS: 1 };
    // An operation of the emulator runs for 3 s from its first request: so they run at the same time.
    await Promise.all(manifest.samples.map(({ inputs }) => get(inputs.name, settings)));
  });
  after(() => emulator.stop());

  test('an operation that runs', async () => {
    const { name, done, ...outputs } = await get(sample('running').inputs.name, settings);
    assert.deepEqual([name, done], [sample('running').inputs.name, false]);
    assert.deepEqual(shown({ name, done, ...outputs }), sample('running').outputs);
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

  test('a name that is none is refused before anything is sent', async () => {
    const error = await failure(get('projects/p', settings));
    assert.ok(error instanceof PermanentFailure);
    assert.deepEqual([error.reason, error.httpStatus, error.serviceError], ['invalid-name', null, null]);
  });
});

describe('what leaves the sandbox', () => {
  test('a host that the manifest does not name is denied', async (t) => {
    const network = { allowedHosts: ['workspaceevents.googleapis.com'], methods: ['GET'] };
    const threads = await Threads.start({ ...manifest, permissions: { network } });
    t.after(() => threads.stop());
    const name = '//apigateway.googleapis.com/projects/p/locations/l/operations/o';
    const { tag, val } = await threads.run({ name, environment: [] });
    assert.deepEqual([tag, val.reason], ['permanent', 'request-denied']);
  });

  test('one GET, with the credential in one header, and in no message', async (t) => {
    const requests = [];
    const settings = await serve(t, createServer((request, response) => {
      requests.push(request);
      response.writeHead(401, { 'Content-Type': 'application/json' }).end('{"error":{"code":401,"message":"no"}}');
    }));
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
    let requests = 0;
    const settings = await serve(t, createServer((request, response) => {
      requests += 1;
      response.writeHead(302, { Location: '/v1/operations/p' }).end();
    }));
    assert.equal((await failure(get('operations/o', settings))).reason, 'redirected');
    assert.equal(requests, 1);
  });

  test("the process's own environment does not reach the block", async (t) => {
    process.env.OPERATIONS_TIMEOUT_MS = 'never';
    t.after(() => delete process.env.OPERATIONS_TIMEOUT_MS);
    const settings = await serve(t, createServer((_, response) => response.end('{"name":"operations/o"}')));
    assert.equal((await get('operations/o', settings)).done, false);
  });
});

describe('settings', () => {
  test('calls at the same time keep theirs apart', async (t) => {
    const settings = await serve(t, createServer((request, response) => {
      response.end(JSON.stringify({ name: 'operations/o', metadata: { token: request.headers.authorization } }));
    }));
    const tokens = Array.from({ length: 50 }, (_, i) => `token-${i}`);
    const seen = await Promise.all(
      tokens.map(async (token) => {
        const outputs = await get('operations/o', { ...settings, GOOGLE_OAUTH_ACCESS_TOKEN: token });
        return operation(outputs).metadata.token;
      }),
    );
    assert.deepEqual(seen, tokens.map((token) => `Bearer ${token}`));
  });

  test('one that the manifest does not name is refused', async () => {
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

  test('an empty one is unset', async (t) => {
    const settings = await serve(t, createServer((_, response) => response.end('{"name":"operations/o"}')));
    const empty = { ...settings, OPERATIONS_TIMEOUT_MS: '', GOOGLE_API_KEY: null, OPERATIONS_SERVICE: undefined };
    assert.equal((await get('operations/o', empty)).name, 'operations/o');
  });
});

describe('keys and numbers', () => {
  test('__proto__ is a key, and members keep their order', async (t) => {
    const metadata = '{"b":1,"2":2,"1":3,"__proto__":{"polluted":true}}';
    const settings = await serve(t, createServer((_, response) => {
      response.end(`{"name":"operations/o","metadata":${metadata},"response":{}}`);
    }));
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

  test('an answer of many MiB comes whole, and the next one is none the worse', async (t) => {
    const text = 'x'.repeat(12 * 2 ** 20);
    const bodies = [`{"name":"operations/o","metadata":{"text":"${text}"}}`, '{"name":"operations/o"}'];
    const settings = await serve(t, createServer((_, response) => response.end(bodies.shift())));
    const outputs = await get('operations/o', settings);
    assert.equal(outputs.metadata.length, text.length + '{"text":""}'.length);
    assert.equal((await get('operations/o', settings)).metadata, null);
  });
});

describe('deadlines', () => {
  for (const [what, answer] of [
    ['says nothing', ''],
    ['stops in its header', 'HTTP/1.1 200 OK\r\nContent-'],
    ['stops in its body', 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"name":'],
  ]) {
    test(`a server that ${what} is given up, and its connection closed`, async (t) => {
      const server = createTcpServer();
      const settings = await serve(t, server, 'http', { OPERATIONS_TIMEOUT_MS: 700 });
      const connection = once(server, 'connection');
      const start = performance.now();
      const call = failure(get('operations/o', settings));
      const [socket] = await connection;
      socket.write(answer);
      socket.resume();
      const closed = once(socket, 'close');
      socket.on('error', () => {});
      const error = await call;
      const elapsed = performance.now() - start;
      assert.deepEqual([error.constructor, error.reason], [TransientFailure, 'timeout']);
      assert.ok(elapsed >= 700 && elapsed < 5000, `${elapsed} ms`);
      await closed;
    });
  }

  test('a signal ends a call that runs, and closes its connection', async (t) => {
    const server = createTcpServer();
    const settings = await serve(t, server);
    const connection = once(server, 'connection');
    const controller = new AbortController();
    const call = failure(get('operations/o', settings, { signal: controller.signal }));
    const [socket] = await connection;
    socket.resume();
    const closed = once(socket, 'close');
    controller.abort(new Error('redeployed'));
    assert.equal((await call).message, 'redeployed');
    await closed;
  });

  test('a signal ends a call that waits for a thread', async (t) => {
    const server = createTcpServer();
    const settings = await serve(t, server);
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
    const server = createTcpServer();
    const settings = await serve(t, server);
    server.close();
    await once(server, 'close');
    const error = await failure(get('operations/o', settings));
    assert.deepEqual([error.constructor, error.reason], [TransientFailure, 'unreachable']);
  });

  for (const [what, answer] of [
    ['at once', ''],
    ['in the header', 'HTTP/1.1 200 OK\r\nContent-'],
    ['in the body', 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"name":"operations/o"}'],
    ['in a chunk', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{"name":"operations/o"}'],
  ]) {
    test(`the connection ends ${what}: connection-lost`, async (t) => {
      const server = createTcpServer((socket) => {
        socket.on('error', () => {});
        socket.once('data', () => socket.end(answer));
      });
      const error = await failure(get('operations/o', await serve(t, server)));
      assert.deepEqual([error.constructor, error.reason], [TransientFailure, 'connection-lost']);
    });
  }

  test('a header over the limit of Node.js: too-large', async (t) => {
    const settings = await serve(t, createServer((_, response) => {
      response.writeHead(200, { 'X-Long': 'x'.repeat(100_000) }).end('{}');
    }));
    const error = await failure(get('operations/o', settings));
    assert.deepEqual([error.constructor, error.reason], [PermanentFailure, 'too-large']);
  });

  test('a certificate that nobody trusts: certificate', async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'certificate-'));
    t.after(() => rmSync(folder, { recursive: true }));
    const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
    execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes',
      '-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key, '-out', cert], { stdio: 'ignore' });
    const server = createTlsServer({ key: readFileSync(key), cert: readFileSync(cert) }, (_, response) => response.end('{}'));
    const error = await failure(get('operations/o', await serve(t, server, 'https')));
    assert.deepEqual([error.constructor, error.reason], [PermanentFailure, 'certificate']);
  });

  test('a server that does not speak TLS: certificate', async (t) => {
    const error = await failure(get('operations/o', await serve(t, createServer(), 'https')));
    assert.deepEqual([error.constructor, error.reason], [PermanentFailure, 'certificate']);
  });
});
