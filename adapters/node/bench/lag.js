// How late timers are while 50 calls are in flight, against a server that takes 3 s to answer: prints it beside the
// same without a call, since other programs make timers late too.
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { get } from '../src/index.js';

const CALLS = 50;
const ANSWER_MS = 3000;
const TICK_MS = 5;

const server = new Worker(
  `const { parentPort, workerData } = require('node:worker_threads');
   const { setTimeout: sleep } = require('node:timers/promises');
   const answer = () => sleep(workerData.answerMs, { name: 'operations/o', done: true });
   require(workerData.module).service({ after() {} }, answer).then(({ settings }) => parentPort.postMessage(settings));`,
  { eval: true, workerData: { module: fileURLToPath(new URL('../../testing/server.js', import.meta.url)), answerMs: ANSWER_MS } },
);
const [settings] = await once(server, 'message');
const calls = () => Promise.all(Array.from({ length: CALLS }, () => get('operations/o', settings)));

/** Prints how late timers are while something goes on. */
async function measure(what, work) {
  const lags = [];
  let due = performance.now() + TICK_MS;
  const ticks = setInterval(() => {
    const now = performance.now();
    lags.push(Math.max(0, now - due));
    due = now + TICK_MS;
  }, TICK_MS);
  const start = performance.now();
  await work();
  clearInterval(ticks);
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  lags.sort((a, b) => a - b);
  const at = (share) => lags[Math.ceil(share * lags.length) - 1].toFixed(1);
  const memory = Math.round(process.memoryUsage.rss() / 2 ** 20);
  console.log(
    `${what}: ${seconds} s; timer lag median ${at(0.5)} ms, 99 % ${at(0.99)} ms, 99.9 % ${at(0.999)} ms, most ${at(1)} ms ` +
      `of ${lags.length} timers; ${memory} MiB resident`,
  );
}

await measure('no call', () => sleep(10_000));
await measure(`${CALLS} calls in flight, threads to be started`, calls);
await measure(`${CALLS} calls in flight, threads there`, calls);
await server.terminate();
