// What a node shows of an operation. A status has less than 20 characters: more is cut off under a node.

/** The three outputs of the nodes. */
const RUNNING = 0;
const SUCCEEDED = 1;
const FAILED = 2;

/** Which output an operation goes to. */
function outcome({ done, error }) {
  if (!done) return RUNNING;
  return error === undefined ? SUCCEEDED : FAILED;
}

/**
 * How many devices of a zero-touch batch failed, and of how many. Its operations never set `error`: they end, and
 * tell in `response` how many devices were served. `undefined` for any other operation, and while it runs.
 */
function failedDevices({ done, metadata, response }) {
  if (!done || !/\.DevicesLongRunningOperation(Metadata|Response)$/.test(metadata?.['@type'] ?? response?.['@type'])) {
    return undefined;
  }
  const devices = Number(metadata?.devicesCount ?? response?.perDeviceStatus?.length ?? 0);
  // ProtoJSON leaves a 0 out.
  return { failed: devices - Number(response?.successCount ?? 0), devices };
}

/**
 * The first member of `metadata` whose key begins with `progress` and whose value is a number, as a whole percentage:
 * services write `progress`, `progressPercent`, `progressPercentage`.
 */
function progress({ metadata }) {
  for (const [key, value] of Object.entries(metadata ?? {})) {
    if (!key.startsWith('progress')) continue;
    const text = String(value).replace(/%$/, '').trim();
    if (!['number', 'string'].includes(typeof value) || text === '' || !Number.isFinite(Number(text))) continue;
    return Math.trunc(Math.min(100, Math.max(0, Number(text))));
  }
  return undefined;
}

function status(operation) {
  const outcomeOf = outcome(operation);
  if (outcomeOf === RUNNING) {
    const percent = progress(operation);
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

module.exports = { failureStatus, outcome, progress, status, toOutput };
