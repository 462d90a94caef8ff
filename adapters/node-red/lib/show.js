// What a node shows of an operation. A status has less than 20 characters: more is cut off under a node.
const { progress } = require('./progress.js');

/** The three outputs of the nodes. */
const RUNNING = 0;
const SUCCEEDED = 1;
const FAILED = 2;

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
  const outcomeOf = outcome(operation);
  if (outcomeOf === RUNNING) {
    const percent = progress(operation.metadata);
    return { fill: 'blue', shape: 'dot', text: percent === undefined ? 'running' : `running ${percent} %` };
  }
  if (outcomeOf === FAILED) return { fill: 'red', shape: 'dot', text: `failed, code ${operation.error.code ?? 0}`.slice(0, 19) };
  const batch = failedDevices(operation);
  if (batch?.failed > 0) {
    const { failed, devices } = batch;
    const text = `${failed} of ${devices} failed`;
    return { fill: 'yellow', shape: 'dot', text: text.length < 20 ? text : `${failed} failed` };
  }
  return { fill: 'green', shape: 'dot', text: 'succeeded' };
}

/** A call that failed: red where only a person can help, yellow where asking again may. */
function failureStatus(error) {
  return { fill: error.retryable ? 'yellow' : 'red', shape: 'ring', text: error.reason ?? 'error' };
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

module.exports = { failureStatus, outcome, status, toOutput };
