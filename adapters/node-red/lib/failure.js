const { inFormWords, statusOf, statusOfSetting } = require('./words.js');

/**
 * Why a node has no operation to send. Of an error, Node-RED passes two members on to Catch nodes: `msg.error.code`
 * is the reason, and `msg.error.cause` the rest. `status` is what the node shows.
 */
function failure(reason, message, { retryable = false, retryAfterMs = null, httpStatus = null, serviceError = null, status } = {}) {
  const details = { reason, retryable, retryAfterMs, httpStatus, serviceError };
  return Object.assign(new Error(message), details, { code: reason, cause: details, status: status ?? statusOf(reason) });
}

/** A failed call, in the words of the form. Each who hears of it gets its own: flows may change `msg.error.cause`. */
function failureOfCall(error, { TransientFailure, manifest: { settings } }) {
  if (error.reason === undefined) return error;
  const { reason, message, retryable = error instanceof TransientFailure, retryAfterMs, httpStatus, serviceError } = error;
  const status = error.status ?? (reason === 'invalid-setting' ? statusOfSetting(message, settings) : undefined);
  return failure(reason, inFormWords(message, settings), {
    ...structuredClone({ retryable, retryAfterMs, httpStatus, serviceError }),
    status,
  });
}

module.exports = { failure, failureOfCall };
