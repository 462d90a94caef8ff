/**
 * Why a node has no operation to send. Of an error, Node-RED passes two members on to Catch nodes: `msg.error.code`
 * is the reason, and `msg.error.cause` the rest.
 */
function failure(reason, message, { retryable = false, retryAfterMs = null, httpStatus = null, serviceError = null } = {}) {
  const details = { reason, retryable, retryAfterMs, httpStatus, serviceError };
  return Object.assign(new Error(message), details, { code: reason, cause: details });
}

/** A failed call. Each who hears of it gets its own: flows may change `msg.error.cause`. */
function failureOfCall(error, { TransientFailure }) {
  if (error.reason === undefined) return error;
  const { reason, message, retryable = error instanceof TransientFailure, retryAfterMs, httpStatus, serviceError } = error;
  return failure(reason, message, structuredClone({ retryable, retryAfterMs, httpStatus, serviceError }));
}

module.exports = { failure, failureOfCall };
