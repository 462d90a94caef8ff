const assert = require('node:assert/strict');
const { generateKeyPairSync } = require('node:crypto');
const { describe, test } = require('node:test');
const { Gaxios } = require('gaxios');
const { accessToken, serviceAccount } = require('../lib/access.js');
const { Connection } = require('../lib/connection.js');
const { service } = require('../../testing/server.js');
const manifest = require('../block/dist/manifest.json');

const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048, privateKeyEncoding: { type: 'pkcs8', format: 'pem' }, publicKeyEncoding: { type: 'spki', format: 'pem' } });
const KEY = { type: 'service_account', client_email: 'robot@demo.iam.gserviceaccount.com', private_key_id: 'k', private_key: privateKey };
const SETTINGS = { OPERATIONS_SERVICE: 'apigateway.googleapis.com/v1' };

/** Plays the token endpoint: `answer` is what comes of a request. */
function tokens(t, answer) {
  const requests = [];
  t.mock.method(Gaxios.prototype, 'request', async (options) => {
    requests.push(options);
    return answer(requests.length);
  });
  return requests;
}

const granted = (token) => ({ data: { access_token: token, expires_in: 3600, token_type: 'Bearer' } });

/** The claims of the assertion that a request for a token holds. */
const claims = ({ data, body }) => {
  const assertion = new URLSearchParams(data ?? body).get('assertion');
  return JSON.parse(Buffer.from(assertion.split('.')[1], 'base64url'));
};

test('a token is made of the key, with the scope of the service, and kept until it expires', async (t) => {
  const requests = tokens(t, (count) => granted(`ya29.${count}`));
  const { endpoint, requests: asked } = await service(t, () => ({ name: 'operations/o' }));
  const connection = new Connection(
    { ...SETTINGS, OPERATIONS_ENDPOINT: endpoint, access: 'serviceAccountKey' }, { serviceAccountKey: JSON.stringify(KEY) });
  await connection.get('operations/o');
  await connection.get('operations/o');
  assert.deepEqual(asked.map(({ headers }) => headers.authorization), ['Bearer ya29.1', 'Bearer ya29.1']);
  assert.equal(requests.length, 1);
  const { iss, scope } = claims(requests[0]);
  assert.deepEqual([iss, scope], [KEY.client_email, 'https://www.googleapis.com/auth/cloud-platform']);
});

test('a service with several scopes gets the widest alone', async (t) => {
  const requests = tokens(t, () => granted('ya29'));
  const settings = { OPERATIONS_SERVICE: 'agentregistry.googleapis.com/v1' };
  await accessToken(serviceAccount(JSON.stringify(KEY), settings, manifest), settings);
  assert.equal(claims(requests[0]).scope, 'https://www.googleapis.com/auth/cloud-platform');
});

test('a service without the widest scope gets its own', async (t) => {
  const requests = tokens(t, () => granted('ya29'));
  const settings = { OPERATIONS_SERVICE: 'androiddeviceprovisioning.googleapis.com' };
  await accessToken(serviceAccount(JSON.stringify(KEY), settings, manifest), settings);
  const { options } = manifest.settings.find(({ type }) => type === 'service');
  const { scopes } = options.find(({ value }) => value === settings.OPERATIONS_SERVICE);
  assert.equal(claims(requests[0]).scope, scopes.join(' '));
});

describe('what can go wrong', () => {
  for (const [what, text] of [['no JSON', '{"type":"service_account", "private_key":"-----BEGIN'], ['another kind', '{"type":"authorized_user"}'], ['missing', undefined]]) {
    test(`a key that is ${what}`, () => {
      assert.throws(() => serviceAccount(text, SETTINGS, manifest), {
        reason: 'invalid-setting', retryable: false,
        message: 'The connection has no valid service account key: open it, and paste the whole JSON file that was downloaded for the account.',
      });
    });
  }

  test('a key without a service', () => {
    assert.throws(() => serviceAccount(JSON.stringify(KEY), {}, manifest), { reason: 'invalid-setting', message: /^A service account key needs a Service,/, status: 'no service' });
  });

  test('a private key that is none', () => {
    const key = JSON.stringify({ ...KEY, private_key: 'none' });
    assert.throws(() => serviceAccount(key, SETTINGS, manifest), {
      reason: 'invalid-setting', retryable: false, message: /^The private key in the service account key cannot be used/,
    });
  });

  test('a call that has ended asks for no token', async (t) => {
    const requests = tokens(t, () => granted('ya29'));
    const ended = AbortSignal.abort(new Error('redeployed'));
    await assert.rejects(accessToken(serviceAccount(JSON.stringify(KEY), SETTINGS, manifest), SETTINGS, ended), { message: 'redeployed' });
    assert.equal(requests.length, 0);
  });

  const failing = (error) => () => {
    throw error;
  };
  const answered = (status) => Object.assign(new Error('invalid_grant: assertion eyJ…'), { response: { status, data: { error: 'invalid_grant' } } });
  for (const [what, error, reason, retryable, httpStatus] of [
    ['refused', answered(400), 'unauthenticated', false, 400],
    ['a server that fails', answered(503), 'unreachable', true, 503],
    ['no network', Object.assign(new Error('getaddrinfo ENOTFOUND'), { code: 'ENOTFOUND' }), 'unreachable', true, null],
    ['a certificate that is not trusted', Object.assign(new Error('self-signed'), { code: 'SELF_SIGNED_CERT_IN_CHAIN' }), 'unreachable', true, null],
    ['an answer that is cut short', Object.assign(new Error('assertion eyJ…'), { code: 'ERR_STREAM_PREMATURE_CLOSE' }), 'unreachable', true, null],
    ['an answer that is no JSON', new SyntaxError('Unexpected token'), 'unreachable', true, null],
  ]) {
    test(`the token endpoint: ${what}`, async (t) => {
      tokens(t, failing(error));
      const client = serviceAccount(JSON.stringify(KEY), SETTINGS, manifest);
      await assert.rejects(accessToken(client, SETTINGS), (thrown) => {
        assert.deepEqual([thrown.reason, thrown.retryable, thrown.cause.httpStatus], [reason, retryable, httpStatus]);
        assert.ok(!/eyJ|PRIVATE|assertion/.test(`${thrown.message} ${JSON.stringify(thrown.cause)}`), thrown.message);
        return true;
      });
    });
  }

  test('a token endpoint that says nothing', async (t) => {
    tokens(t, () => new Promise(() => {}));
    const settings = { ...SETTINGS, OPERATIONS_TIMEOUT_MS: '50' };
    const alive = setInterval(() => {}, 1000);
    await assert.rejects(accessToken(serviceAccount(JSON.stringify(KEY), settings, manifest), settings), { reason: 'timeout', retryable: true });
    clearInterval(alive);
  });
});
