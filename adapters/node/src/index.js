import { readFileSync } from 'node:fs';
import { PermanentFailure, TransientFailure } from './failure.js';
import { operation } from './operation.js';
import { Threads } from './threads.js';

export { operation, PermanentFailure, TransientFailure };

export const manifest = JSON.parse(readFileSync(new URL('../dist/manifest.json', import.meta.url), 'utf8'));

const variables = new Set(manifest.settings.map(({ variable }) => variable));

/** Started with the first call. */
let threads;

export async function get(name, settings = {}, { signal } = {}) {
  if (typeof name !== 'string') {
    throw new TypeError(`the name of an operation is a string, not ${name === null ? 'null' : typeof name}`);
  }
  signal?.throwIfAborted();
  const environment = environmentOf(settings);
  threads ??= Threads.start(manifest);
  let started;
  try {
    started = await threads;
  } catch (error) {
    // The next call tries again.
    threads = undefined;
    throw new Error('the block cannot be loaded: install the package anew', { cause: error });
  }
  let result;
  try {
    result = await started.run({ name, environment }, signal);
  } catch (error) {
    signal?.throwIfAborted();
    throw new Error('the block did not finish: it trapped or ran over a limit of the host', { cause: error });
  }
  switch (result.tag) {
    case 'ok':
      return result.val;
    case 'permanent':
      throw new PermanentFailure(result.val);
    case 'transient':
      throw new TransientFailure(result.val);
    default:
      throw new Error('the block did not finish: it returned execution-failed');
  }
}

/** The settings as environment variables: an empty one is unset. */
function environmentOf(settings) {
  return Object.entries(settings).flatMap(([variable, value]) => {
    if (!variables.has(variable)) {
      throw new TypeError(`the block has no setting ${variable}: its manifest lists them`);
    }
    if (value === undefined || value === null || value === '') return [];
    if (typeof value !== 'string' && typeof value !== 'number') {
      throw new TypeError(`the setting ${variable} is a string or a number, not ${typeof value}`);
    }
    return [[variable, String(value)]];
  });
}
