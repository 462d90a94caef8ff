const { failure } = require('./failure.js');

/** What to do about a name that is none: the same for every node. */
const WHAT_TO_DO = 'Set it to the name of an operation, such as operations/abc.';

/**
 * The name of the operation, from the typed input of a node's form.
 *
 * @throws `invalid-name` where there is none: whether a name is one of an operation says the block.
 */
async function operationName(RED, node, { operation, operationType = 'str' }, msg) {
  const where = operationType === 'str' ? 'the operation name' : `${operationType} ${operation}`;
  let name;
  try {
    name = await new Promise((resolve, reject) => {
      RED.util.evaluateNodeProperty(operation, operationType, node, msg, (error, value) => {
        error ? reject(error) : resolve(value);
      });
    });
  } catch (error) {
    throw failure('invalid-name', `${where} could not be read: ${error.message}. ${WHAT_TO_DO}`);
  }
  if (typeof name === 'string') name = name.trim();
  if (name === undefined || name === null || name === '') {
    throw failure('invalid-name', `${where} is empty. ${WHAT_TO_DO}`);
  }
  if (typeof name !== 'string') {
    const type = Array.isArray(name) ? 'an array' : `a value of type ${typeof name}`;
    throw failure('invalid-name', `${where} is ${type}, and not text. ${WHAT_TO_DO}`);
  }
  return name;
}

module.exports = { operationName };
