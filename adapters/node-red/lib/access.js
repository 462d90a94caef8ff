const { createPrivateKey } = require('node:crypto');
const { JWT } = require('google-auth-library');
const { failure } = require('./failure.js');

/** The scope for services that the catalogue does not know, behind an endpoint of their own. */
const CLOUD_PLATFORM = 'https://www.googleapis.com/auth/cloud-platform';

/** How long a token may take to get if the connection sets no timeout. */
const TOKEN_TIMEOUT_MS = 60_000;

/**
 * Makes access tokens from a service account key: a client that gets a token when it is first asked, and another one
 * shortly before it expires.
 *
 * @throws `invalid-setting` if the key is none, or the settings do not say for which service the token is.
 */
function serviceAccount(text, settings, manifest) {
  const key = parsed(text);
  const service = settings.OPERATIONS_SERVICE?.split('/')[0];
  if (!service) {
    throw failure(
      'invalid-setting',
      'A service account key needs a Service, which says what its tokens are for: open the connection, and choose one.',
      { status: 'no service' },
    );
  }
  return new JWT({
    email: key.client_email,
    key: key.private_key,
    keyId: key.private_key_id,
    scopes: scopes(service, manifest),
    // A question that nobody waits for any more ends by itself.
    transporterOptions: { timeout: TOKEN_TIMEOUT_MS },
    ...(settings.GOOGLE_CLOUD_UNIVERSE_DOMAIN && { universeDomain: settings.GOOGLE_CLOUD_UNIVERSE_DOMAIN }),
  });
}

function parsed(text) {
  let key;
  try {
    key = JSON.parse(text);
  } catch {
    // The text of the error quotes the key.
  }
  if (key?.type !== 'service_account' || !key.client_email || !key.private_key) {
    throw failure(
      'invalid-setting',
      'The connection has no valid service account key: open it, and paste the whole JSON file that was downloaded for the account.',
      { status: text ? 'invalid key' : 'no key' },
    );
  }
  try {
    createPrivateKey(key.private_key);
  } catch {
    throw failure('invalid-setting', 'The private key in the service account key cannot be used: download a new key.', {
      status: 'invalid key',
    });
  }
  return key;
}

/** A token needs one of a service's scopes. Where the widest is among them it stands for all. */
function scopes(service, manifest) {
  const { options } = manifest.settings.find(({ variable }) => variable === 'OPERATIONS_SERVICE');
  const listed = options.find(({ value }) => value === service)?.scopes ?? [];
  return listed.length === 0 || listed.includes(CLOUD_PLATFORM) ? [CLOUD_PLATFORM] : listed;
}

/** An access token. What goes wrong is told without the key, the assertion or the token. */
async function accessToken(client, settings, signal) {
  const timeout = AbortSignal.timeout(Number(settings.OPERATIONS_TIMEOUT_MS) || TOKEN_TIMEOUT_MS);
  const ended = AbortSignal.any([timeout, ...(signal ? [signal] : [])]);
  try {
    ended.throwIfAborted();
    const headers = await Promise.race([client.getRequestHeaders(), rejection(ended)]);
    return headers.get('authorization').replace(/^Bearer /, '');
  } catch (error) {
    signal?.throwIfAborted();
    if (timeout.aborted) {
      throw failure('timeout', 'Google sent no access token for the service account key in time. Try again later.', {
        retryable: true,
      });
    }
    const status = error.response?.status;
    if (status >= 400 && status < 500 && status !== 408 && status !== 429) {
      throw failure(
        'unauthenticated',
        `Google refused the service account key (HTTP ${status}). Check that neither the key nor its account was deleted or ` +
          "disabled, and that this computer's clock is right.",
        { httpStatus: status },
      );
    }
    const code = /^\w+$/.test(error.code) ? error.code : 'its answer cannot be read';
    throw failure(
      'unreachable',
      `Google sent no access token for the service account key (${status ? `HTTP ${status}` : code}). Check the network, or try again later.`,
      { retryable: true, httpStatus: status ?? null },
    );
  }
}

function rejection(signal) {
  return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }));
}

module.exports = { accessToken, serviceAccount };
