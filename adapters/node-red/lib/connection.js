const { accessToken, serviceAccount } = require('./access.js');
const block = require('./block.js');
const { failure, failureOfCall } = require('./failure.js');

/**
 * What a connection node is for the nodes that use it: calls of the block with its settings and its credential.
 */
class Connection {
  #access;
  #secrets;
  #settings;
  #client;
  #polls = new Map();

  /** `access` names the credential that is used: the others may be kept in the form, and are not sent. */
  constructor(config, credentials = {}) {
    this.#access = config.access;
    this.#secrets = credentials;
    this.#settings = config;
  }

  /** The outputs of the block, and the operation in its natural nesting. */
  get(name, { signal } = {}) {
    return ownResult(this.#call(name, signal));
  }

  /** The same for a node that polls: nodes that ask for one operation at the same time share one call. */
  poll(name, { signal }) {
    let shared = this.#polls.get(name);
    if (!shared) {
      const controller = new AbortController();
      // A node that polls tries again by itself.
      shared = { controller, users: 0, call: this.#call(name, controller.signal, { OPERATIONS_MAX_ATTEMPTS: 1 }) };
      shared.over = () => {
        if (this.#polls.get(name) === shared) this.#polls.delete(name);
      };
      shared.call.then(shared.over, shared.over);
      this.#polls.set(name, shared);
    }
    shared.users += 1;
    return new Promise((resolve, reject) => {
      const leave = () => {
        shared.users -= 1;
        if (shared.users === 0) {
          shared.over();
          shared.controller.abort(signal.reason);
        }
        reject(signal.reason);
      };
      signal.addEventListener('abort', leave, { once: true });
      ownResult(shared.call).then(resolve, reject).finally(() => signal.removeEventListener('abort', leave));
    });
  }

  async #call(name, signal, settings = {}) {
    const { get, manifest } = await block;
    return get(name, { ...(await this.#ready(manifest, signal)), ...settings }, { signal });
  }

  /** The settings of a call, its credential among them. White space around what was pasted is none of it. */
  async #ready(manifest, signal) {
    const settings = {};
    for (const { variable, secret } of manifest.settings) {
      const value = secret ? '' : String(this.#settings[variable] ?? '').trim();
      if (value !== '') settings[variable] = value;
    }
    switch (this.#access || 'none') {
      case 'none':
        break;
      case 'serviceAccountKey':
        this.#client ??= serviceAccount(this.#secrets.serviceAccountKey, settings, manifest);
        settings.GOOGLE_OAUTH_ACCESS_TOKEN = await accessToken(this.#client, settings, signal);
        break;
      default: {
        const { variable, label } = manifest.settings.find(({ variable, secret }) => secret && variable === this.#access) ?? {};
        if (!variable) {
          throw failure('invalid-setting', 'The Access of the connection is not one of the list: open the connection, and choose one.', {
            status: 'no access',
          });
        }
        const secret = this.#secrets[variable]?.trim();
        if (!secret) {
          throw failure('invalid-setting', `The connection has no ${label}: open it, and enter one or choose another Access.`, {
            status: `no ${label}`,
          });
        }
        settings[variable] = secret;
      }
    }
    return settings;
  }
}

/** What came of a call, as a copy for one of those who share it: its flow may change what it is sent. */
async function ownResult(call) {
  let outputs;
  try {
    outputs = structuredClone(await call);
  } catch (error) {
    throw failureOfCall(error, await block);
  }
  const { operation } = await block;
  return { outputs, operation: operation(outputs) };
}

/** The connection of a node. */
function connectionOf(RED, id) {
  const node = RED.nodes.getNode(id);
  if (!node?.connection) {
    throw failure('invalid-setting', 'The node has no Connection: open the node, and choose or add one.', { status: 'no connection' });
  }
  return node.connection;
}

module.exports = { Connection, connectionOf };
