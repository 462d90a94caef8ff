// `lro emulate` for the tests in JavaScript. LRO names a built lro; without it cargo builds one.
const { execFileSync, spawn } = require('node:child_process');
const { once } = require('node:events');
const { join } = require('node:path');
const { createInterface } = require('node:readline');

const repository = join(__dirname, '../..');

function lro() {
  if (process.env.LRO) return process.env.LRO;
  execFileSync('cargo', ['build', '--quiet', '--release', '--bin', 'lro'], { cwd: repository, stdio: 'inherit' });
  return join(process.env.CARGO_TARGET_DIR ?? join(repository, 'target'), 'release/lro');
}

/** Starts it on a port that the system picks: its base URL, and `stop()`. */
async function emulate() {
  const child = spawn(lro(), ['emulate'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'exit');
  for await (const line of createInterface({ input: child.stdout })) {
    const endpoint = /http:\/\/[^;]*/.exec(line)?.[0];
    if (!endpoint) continue;
    child.stdout.resume();
    return {
      endpoint,
      async stop() {
        child.kill();
        await ended;
      },
    };
  }
  throw new Error('lro emulate ended before it served');
}

module.exports = { emulate };
