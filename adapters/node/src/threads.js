// The threads that calls run in. A call holds its thread until the answer is there.
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { Piscina } from 'piscina';

// How many calls are with a service at once; the others wait their turn. A thread takes about 22 MiB.
const MOST = 16;
const IDLE_MS = 30_000;

const CORE_MODULES = ['operations_get.core.wasm', 'operations_get.core2.wasm', 'operations_get.core3.wasm'];

export class Threads {
  #pool;
  #ready = new Set();
  #calls = 0;
  #turns = [];

  /** Compiles the component, once for all threads. The manifest says what a call may reach. */
  static async start(manifest) {
    const component = new URL('../dist/component/', import.meta.url);
    const compiled = CORE_MODULES.map(async (name) => [
      name,
      await WebAssembly.compile(await readFile(new URL(name, component))),
    ]);
    return new Threads({ manifest, modules: Object.fromEntries(await Promise.all(compiled)) });
  }

  constructor(workerData) {
    this.#pool = new Piscina({
      filename: fileURLToPath(new URL('./call.js', import.meta.url)),
      workerData,
      minThreads: 0,
      maxThreads: MOST,
      idleTimeout: IDLE_MS,
      // Where both want the processor, the event loop has it first.
      niceIncrement: 10,
      // An idle thread goes on with its event loop, and lets go of what the calls left to the collector.
      atomics: 'disabled',
    });
    this.#pool.on('workerCreate', (thread) => {
      this.#ready.add(thread);
      this.#giveTurns();
    });
    this.#pool.on('workerDestroy', (thread) => this.#ready.delete(thread));
  }

  /** Ends all threads, and the calls in them. */
  stop() {
    return this.#pool.destroy();
  }

  /** What the component returns for a call: `ok`, `permanent`, `transient` or `execution-failed`. */
  async run(call, signal) {
    signal?.throwIfAborted();
    await this.#turn(signal);
    try {
      return await this.#pool.run(call, { signal });
    } finally {
      this.#calls -= 1;
      this.#giveTurns();
    }
  }

  #turn(signal) {
    return new Promise((resolve, reject) => {
      const turn = () => {
        signal?.removeEventListener('abort', leave);
        resolve();
      };
      const leave = () => {
        this.#turns.splice(this.#turns.indexOf(turn), 1);
        reject(signal.reason);
      };
      signal?.addEventListener('abort', leave, { once: true });
      this.#turns.push(turn);
      this.#giveTurns();
    });
  }

  /** One thread starts at a time: a burst that starts all of them would keep the event loop from its processor. */
  #giveTurns() {
    while (this.#turns.length > 0 && this.#calls < Math.min(this.#ready.size + 1, MOST)) {
      this.#calls += 1;
      this.#turns.shift()();
    }
  }
}
