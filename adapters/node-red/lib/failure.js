/**
 * What `done(err)` hands to Catch nodes. `msg.error.code` is the reason, and `msg.error.cause` the rest: Node-RED
 * passes on these two members of an error, and no others.
 */
function forCatch(error) {
  if (error.reason === undefined) return error;
  const { reason, retryable, retryAfterMs, httpStatus, serviceError } = error;
  error.code = reason;
  error.cause = { reason, retryable, retryAfterMs, httpStatus, serviceError };
  return error;
}

/** A failure of the nodes' own, in the form of the block's. */
function failure(reason, message, { retryable = false, retryAfterMs = null, httpStatus = null, serviceError = null } = {}) {
  return forCatch(Object.assign(new Error(message), { reason, retryable, retryAfterMs, httpStatus, serviceError }));
}

/** A failure of the block, with what Catch nodes need. */
function fromBlock(error, { TransientFailure }) {
  if (error.reason === undefined) return error;
  error.retryable = error instanceof TransientFailure;
  return forCatch(error);
}

module.exports = { failure, fromBlock };
