const { failure } = require('./failure.js');

/** What to do about a name that is none: the same for every node. */
const WHAT_TO_DO = 'Set it to the name of an operation, such as operations/abc.';

/**
 * The name of the operation, from the field Operation of a node's form.
 *
 * @throws `invalid-name` if there is none. Whether a name is that of an operation, the block says.
 */
async function operationName(RED, node, { operation, operationType = 'str' }, msg) {
  const field = written(RED, operation, operationType);
  let name;
  try {
    name = await new Promise((resolve, reject) => {
      RED.util.evaluateNodeProperty(operation, operationType, node, msg, (error, value) => {
        error ? reject(error) : resolve(value);
      });
    });
  } catch (error) {
    // A property of what is not there.
    if (!(error instanceof TypeError && operationType === 'msg')) {
      throw failure('invalid-name', `${field} cannot be read: ${sentence(error.message)} ${WHAT_TO_DO}`);
    }
  }
  if (typeof name === 'string') name = name.trim();
  if (name === undefined || name === null || name === '') {
    throw failure('invalid-name', `${field} is empty. ${WHAT_TO_DO}`, { status: 'no operation name' });
  }
  if (typeof name !== 'string') {
    const type = typeof name === 'object' ? kindOf(name) : `a ${typeof name}`;
    throw failure('invalid-name', `${field} is ${type}, not text. ${WHAT_TO_DO}`);
  }
  return name;
}

/** The field, as its author would write where it points. */
function written(RED, operation, type) {
  switch (type) {
    case 'str':
      return 'Operation';
    case 'flow':
    case 'global': {
      const { store, key } = RED.util.parseContextStore(operation);
      return `${type}.${key}${store ? ` (store ${store})` : ''}`;
    }
    case 'env':
      return `The environment variable ${operation}`;
    case 'jsonata':
      return `The expression ${operation}`;
    default:
      return `${type}.${operation}`;
  }
}

function kindOf(value) {
  if (Array.isArray(value)) return 'an array';
  return Buffer.isBuffer(value) ? 'a buffer' : 'an object';
}

const sentence = (text) => (/[.!?]$/.test(text) ? text : `${text}.`);

module.exports = { operationName };
