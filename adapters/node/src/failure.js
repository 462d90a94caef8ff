/** Why a call gave no outputs, as the contract's `failure` says it. What is absent is `null`. */
class Failure extends Error {
  constructor({ reason, message, httpStatus = null, serviceError = null, retryAfterMs = null }) {
    super(message);
    this.reason = reason;
    this.httpStatus = httpStatus;
    this.serviceError = serviceError;
    this.retryAfterMs = retryAfterMs;
  }
}

export class PermanentFailure extends Failure {
  get name() {
    return 'PermanentFailure';
  }
}

export class TransientFailure extends Failure {
  get name() {
    return 'TransientFailure';
  }
}
