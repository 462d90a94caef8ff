// What a node shows of an operation. A status is short: it stands under the node, in a flow full of others.
const { progress } = require('./progress.js');

/** The three outputs of the nodes. */
const RUNNING = 0;
const SUCCEEDED = 1;
const FAILED = 2;

/** The names of google.rpc.Code, each at its number. */
const CODES = [
  'OK', 'CANCELLED', 'UNKNOWN', 'INVALID_ARGUMENT', 'DEADLINE_EXCEEDED', 'NOT_FOUND', 'ALREADY_EXISTS', 'PERMISSION_DENIED',
  'RESOURCE_EXHAUSTED', 'FAILED_PRECONDITION', 'ABORTED', 'OUT_OF_RANGE', 'UNIMPLEMENTED', 'INTERNAL', 'UNAVAILABLE',
  'DATA_LOSS', 'UNAUTHENTICATED',
];

/** Which output an operation goes to. */
function outcome({ done, error }) {
  if (!done) return RUNNING;
  return error === undefined ? SUCCEEDED : FAILED;
}

/** A number of an answer: ProtoJSON may write it as text, and leaves a 0 out. Anything else counts as left out. */
function count(value) {
  const number = ['number', 'string'].includes(typeof value) ? Number(value) : 0;
  return Number.isFinite(number) ? number : 0;
}

/**
 * How many devices of a zero-touch batch failed, and of how many. Its operations never set `error`: they end, and
 * tell in `response` how many devices were served. `undefined` for any other operation, and while it runs.
 */
function failedDevices({ done, metadata, response }) {
  const type = metadata?.['@type'] ?? response?.['@type'];
  if (!done || typeof type !== 'string' || !/\.DevicesLongRunningOperation(Metadata|Response)$/.test(type)) return undefined;
  const devices = count(metadata?.devicesCount ?? response?.perDeviceStatus?.length);
  return { failed: Math.max(0, devices - count(response?.successCount)), devices };
}

function status(operation) {
  switch (outcome(operation)) {
    case RUNNING: {
      const percent = progress(operation.metadata);
      return { fill: 'blue', shape: 'dot', text: percent === undefined ? 'running' : `running ${percent} %` };
    }
    case FAILED:
      return { fill: 'red', shape: 'dot', text: CODES[count(operation.error.code) || undefined] ?? 'failed' };
    default: {
      const { failed, devices } = failedDevices(operation) ?? {};
      return failed > 0
        ? { fill: 'yellow', shape: 'dot', text: `${failed} of ${devices} failed` }
        : { fill: 'green', shape: 'dot', text: 'succeeded' };
    }
  }
}

/** A call that failed: red if only a person can help, yellow if asking again may. */
function failureStatus(error) {
  return { fill: error.retryable ? 'yellow' : 'red', shape: 'ring', text: error.status ?? 'error' };
}

/** What a node shows whose waits have these statuses: the only one, or how many there are and what is wrong. */
function statusOfWaits(statuses) {
  if (statuses.length === 1) return statuses[0];
  const failing = statuses.filter(({ fill }) => fill === 'yellow').map(({ text }) => text);
  const waiting = `${statuses.length} waiting`;
  if (failing.length === 0) return { fill: 'blue', shape: 'dot', text: waiting };
  const what = new Set(failing).size === 1 ? failing[0] : 'failing';
  const how = failing.length === statuses.length ? what : `${failing.length} ${what}`;
  return { fill: 'yellow', shape: 'ring', text: `${waiting}, ${how}` };
}

/** The message with an operation in it, in the place of the output that it goes to. */
function toOutput(msg, { outputs, operation }) {
  const sent = [null, null, null];
  msg.payload = operation;
  msg.operation = outputs;
  const batch = failedDevices(operation);
  if (batch) msg.failedDevices = batch.failed;
  else delete msg.failedDevices;
  sent[outcome(operation)] = msg;
  return sent;
}

module.exports = { failureStatus, outcome, status, statusOfWaits, toOutput };
