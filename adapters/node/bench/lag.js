// How late timers are while calls are in flight: prints it, for 50 calls against a server that takes 3 s to answer.
// The first line holds the start of the threads, the second calls on threads that are there.
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { get } from '../src/index.js';

const CALLS = 50;
const ANSWER_MS = 3000;
const TICK_MS = 5;

const server = new Worker(
  `const { parentPort } = require('node:worker_threads');
   const server = require('node:http').createServer((request, response) => {
     setTimeout(() => response.end('{"name":"operations/o","done":true}'), ${ANSWER_MS});
   });
   server.listen(0, '127.0.0.1', () => parentPort.postMessage(server.address().port));`,
  { eval: true },
);
const [port] = await once(server, 'message');
const settings = { OPERATIONS_ENDPOINT: `http://127.0.0.1:${port}/v1` };

for (const round of ['threads started', 'threads there']) {
  const lags = [];
  let due = performance.now() + TICK_MS;
  const ticks = setInterval(() => {
    const now = performance.now();
    lags.push(Math.max(0, now - due));
    due = now + TICK_MS;
  }, TICK_MS);
  const start = performance.now();
  await Promise.all(Array.from({ length: CALLS }, () => get('operations/o', settings)));
  clearInterval(ticks);
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  lags.sort((a, b) => a - b);
  const at = (share) => lags[Math.ceil(share * lags.length) - 1].toFixed(1);
  const memory = Math.round(process.memoryUsage.rss() / 2 ** 20);
  console.log(
    `${CALLS} calls in flight, ${round}: all back after ${seconds} s; timer lag of ${lags.length} timers: ` +
      `median ${at(0.5)} ms, 99 % ${at(0.99)} ms, most ${at(1)} ms; ${memory} MiB resident`,
  );
}
await server.terminate();
