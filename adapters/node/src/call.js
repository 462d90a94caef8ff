// One call, in a thread of the pool. It blocks until the answer is there.
import { workerData } from 'node:worker_threads';
import { WASIShim } from '@bytecodealliance/preview2-shim/instantiation';
import { instantiate } from '../dist/component/operations_get.js';
import { egress } from './egress.js';
import { outputs } from './outputs.js';

const ERRORS = new Set(['permanent', 'transient', 'execution-failed']);

// A large answer leaves an instance with as much memory for good: it is not used again then.
const MOST_MEMORY = 8 * 2 ** 20;

const { modules, manifest } = workerData;

/** The environment and the egress policy of the call that runs. */
let current;
/** The instance of the component, and the environment that it is of: calls with other settings never share it. */
let instance;

export default function call({ name, environment }) {
  current = { environment, handle: egress(manifest, Object.fromEntries(environment)) };
  const settings = JSON.stringify(environment);
  if (instance?.settings !== settings) instance = { settings, ...instantiated() };
  const { get, memory } = instance;
  try {
    return { tag: 'ok', val: outputs(manifest, get(name)) };
  } catch (error) {
    // An error that the component returns is thrown as its payload.
    if (ERRORS.has(error?.tag)) return error;
    // Anything else is a trap, after which an instance is not to be entered again.
    instance = undefined;
    throw error;
  } finally {
    if (memory.buffer.byteLength > MOST_MEMORY) instance = undefined;
  }
}

function instantiated() {
  const imports = {
    ...new WASIShim().getImportObject(),
    'wasi:cli/environment': { getEnvironment: () => current.environment },
    'wasi:http/outgoing-handler': { handle: (request, options) => current.handle(request, options) },
  };
  let memory;
  const { operations } = instantiate(
    (core) => modules[core],
    imports,
    (module, coreImports) => {
      const core = new WebAssembly.Instance(module, coreImports);
      memory ??= core.exports.memory;
      return core;
    },
  );
  return { get: operations.get, memory };
}
