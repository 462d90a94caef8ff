// What a person reads is in the words of the form: its labels, and nothing that only a programmer has.
const assert = require('node:assert/strict');
const { readFileSync } = require('node:fs');
const { join } = require('node:path');
const { describe, test } = require('node:test');
const { Connection } = require('../lib/connection.js');
const { inFormWords } = require('../lib/words.js');
const { error, service } = require('../../testing/server.js');
const manifest = require('../block/dist/manifest.json');

const FOREIGN = /OPERATIONS_|GOOGLE_[A-Z]|\b(the|this) host\b|\bhost adds|\bengines?\b/i;
/** Without what is quoted: it is somebody else's. */
const own = (text) => text.replace(/"[^"]*"|“[^”]*”/g, '""');

test('the texts of the manifest', () => {
  const texts = [manifest.help, ...manifest.inputs.map(({ description }) => description),
    ...manifest.settings.map(({ description }) => description), ...manifest.errors.flatMap(({ description, whatToDo }) => [description, whatToDo])];
  for (const text of texts) assert.doesNotMatch(inFormWords(text, manifest.settings), FOREIGN);
});

test('the forms and their help', () => {
  for (const node of ['connection', 'get-operation', 'wait-for-operation']) {
    const html = readFileSync(join(__dirname, `../nodes/${node}.html`), 'utf8');
    const shown = html.replace(/<script type="text\/javascript">[^]*?<\/script>/g, '').replace(/<[^>]*>/g, ' ').replace(/lro services/g, '');
    assert.doesNotMatch(shown, FOREIGN, node);
  }
});

test('what is quoted stays as it is', () => {
  const text = 'OPERATIONS_SERVICE pins a. Unset OPERATIONS_SERVICE or unset OPERATIONS_SERVICE: "the host OPERATIONS_SERVICE", “this host”, /OPERATIONS_SERVICE.';
  assert.equal(inFormWords(text, manifest.settings),
    'Service pins a. Unset Service or clear Service: "the host OPERATIONS_SERVICE", “this host”, /OPERATIONS_SERVICE.');
});

test('a host is Node-RED, or a server', () => {
  const said = (text) => inFormWords(text, manifest.settings);
  assert.equal(said('Check the certificates that the host trusts. The host denies this.'), 'Check the certificates that Node-RED trusts. Node-RED denies this.');
  assert.equal(said('The host h.example, or the host [::1]:80. Allow the host that the message names.'), 'The server h.example, or the server [::1]:80. Allow the server that the message names.');
  assert.equal(said('Set OPERATIONS_ENDPOINT to the host of that location.'), 'Set Endpoint to the server of that location.');
  assert.equal(said("what stands between this host and the service. Check the host's name."), "what stands between Node-RED and the service. Check the server's name.");
});

test('a credential is an access that somebody chooses', () => {
  const said = (text) => inFormWords(text, manifest.settings);
  assert.equal(said('Get a new access token, or have the host add one.'), 'Get a new access token, or choose another Access.');
  assert.equal(said('No credential was sent: set GOOGLE_OAUTH_ACCESS_TOKEN or GOOGLE_API_KEY, or give the host a credential to add.'),
    'No credential was sent: choose an Access.');
  assert.equal(said('The service takes no API key: set GOOGLE_OAUTH_ACCESS_TOKEN instead of GOOGLE_API_KEY, or give the host a credential to add.'),
    'The service takes no API key: choose another Access.');
});

describe('the failures of calls', () => {
  const html = (status) => ({ status, headers: { 'Content-Type': 'text/html' }, body: '<html><title>A page</title></html>' });
  const detailed = (status, code, reason, metadata = {}) => ({
    status,
    body: JSON.stringify({ error: { code: status, message: 'no', status: code, details: [{ '@type': 'type.googleapis.com/google.rpc.ErrorInfo', reason, metadata }] } }),
  });
  for (const [what, answer, message] of [
    ['400', error(400, 'INVALID_ARGUMENT', 'no'), /./],
    ['401', error(401, 'UNAUTHENTICATED', 'no'), /Access/],
    ['403', error(403, 'PERMISSION_DENIED', 'no'), /./],
    ['403 without a credential', error(403, 'PERMISSION_DENIED', "Method doesn't allow unregistered callers"), /./],
    ['403 for a scope', detailed(403, 'PERMISSION_DENIED', 'ACCESS_TOKEN_SCOPE_INSUFFICIENT'), /./],
    ['403 for a service', detailed(403, 'PERMISSION_DENIED', 'SERVICE_DISABLED', { consumer: 'projects/764086051850' }), /./],
    ['403 for a project', detailed(403, 'PERMISSION_DENIED', 'USER_PROJECT_DENIED'), /./],
    ['403 for a perimeter', detailed(403, 'PERMISSION_DENIED', 'SECURITY_POLICY_VIOLATED'), /./],
    ['403 for billing', detailed(403, 'PERMISSION_DENIED', 'BILLING_DISABLED'), /./],
    ['400 for a key', detailed(400, 'INVALID_ARGUMENT', 'API_KEY_INVALID'), /./],
    ['400 for a location', error(400, 'INVALID_ARGUMENT', 'The location europe-west2 does not match'), /./],
    ['403 in HTML', html(403), /./],
    ['404', error(404, 'NOT_FOUND', 'no'), /./],
    ['404 in HTML', html(404), /Endpoint/],
    ['302', { status: 302, body: '' }, /Endpoint/],
    ['408', error(408, 'CANCELLED', 'no'), /./],
    ['409', error(409, 'ABORTED', 'no'), /./],
    ['429', error(429, 'RESOURCE_EXHAUSTED', 'no'), /./],
    ['500', error(500, 'INTERNAL', 'no'), /./],
    ['501', error(501, 'UNIMPLEMENTED', 'no'), /./],
    ['503', error(503, 'UNAVAILABLE', 'no'), /./],
    ['201', { status: 201, body: '{}' }, /./],
    ['no operation', { status: 200, body: '{"a":1}' }, /./],
    ['a page', { ...html(200) }, /./],
    ['an encoding', { status: 200, headers: { 'Content-Encoding': 'br' }, body: '{}' }, /./],
    ['nothing', undefined, /Timeout/],
  ]) {
    test(what, async (t) => {
      const { endpoint } = await service(t, () => answer);
      const connection = new Connection({ OPERATIONS_ENDPOINT: endpoint, OPERATIONS_MAX_ATTEMPTS: '1', OPERATIONS_TIMEOUT_MS: '2000' });
      await assert.rejects(connection.get('operations/o'), (failed) => {
        assert.doesNotMatch(own(failed.message), FOREIGN);
        assert.match(failed.message, message);
        assert.ok(failed.reason, failed.stack);
        return true;
      });
    });
  }

  for (const [settings, name, message, status] of [
    [{ OPERATIONS_ENDPOINT: '127.0.0.1:8080/v1' }, 'operations/o', /^Endpoint does not start with https:\/\/ or http:\/\//, 'invalid endpoint'],
    [{ OPERATIONS_SERVICE: 'API Gateway' }, 'operations/o', /^Service is "API Gateway"/, 'invalid service'],
    [{ OPERATIONS_TIMEOUT_MS: '0' }, 'operations/o', /^Timeout is "0"/, 'invalid timeout'],
    [{ OPERATIONS_MAX_ATTEMPTS: '11' }, 'operations/o', /^Attempts is "11"/, 'invalid attempts'],
    [{ GOOGLE_CLOUD_UNIVERSE_DOMAIN: 'a/b' }, 'operations/o', /^Universe domain is /, 'invalid universe domain'],
    [{ OPERATIONS_SERVICE: 'apigatewai.googleapis.com' }, 'operations/o', /apigateway\.googleapis\.com/, 'unknown service'],
    [{ OPERATIONS_SERVICE: 'nothing.googleapis.com' }, 'operations/o', /Service and Endpoint/, 'unknown service'],
    [{ OPERATIONS_SERVICE: 'apigateway.googleapis.com/v9' }, 'operations/o', /Service/, 'unknown service'],
    [{ OPERATIONS_SERVICE: 'apigateway.googleapis.com' }, '//file.googleapis.com/operations/o', /Service/, 'invalid name'],
    [{ OPERATIONS_ENDPOINT: 'http://127.0.0.1:1/v1' }, '//file.googleapis.com/operations/o', /Endpoint/, 'invalid name'],
    [{ OPERATIONS_ENDPOINT: 'http://127.0.0.1:1/v1' }, 'operations/o', /./, 'unreachable'],
    [{}, 'projects/p/secrets/s', /./, 'invalid name'],
    [{}, '"operations/o"', /./, 'invalid name'],
  ]) {
    test(`${status}: ${JSON.stringify(settings)}`, async () => {
      const connection = new Connection({ OPERATIONS_MAX_ATTEMPTS: '1', ...settings });
      await assert.rejects(connection.get(name), (failed) => {
        assert.doesNotMatch(own(failed.message), FOREIGN);
        assert.match(failed.message, message);
        assert.equal(failed.status, status);
        return true;
      });
    });
  }

  test('a secret over a line that can be read', async () => {
    const connection = new Connection(
      { OPERATIONS_ENDPOINT: 'http://10.0.0.1/v1', access: 'GOOGLE_API_KEY' }, { GOOGLE_API_KEY: 'not-a-real-key' });
    await assert.rejects(connection.get('operations/o'), (failed) => {
      assert.match(failed.message, /^Endpoint is http/);
      assert.doesNotMatch(failed.message, FOREIGN);
      return true;
    });
  });
});
