// `lro emulate` for tests: LRO names a built `lro`; without it cargo builds one.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const repository = fileURLToPath(new URL('../../../', import.meta.url));

/** The path of `lro`. */
export function lro() {
  if (process.env.LRO) return process.env.LRO;
  const cargo = spawnSync(
    'cargo',
    ['build', '--release', '--bin', 'lro', '--message-format', 'json-render-diagnostics'],
    { cwd: repository, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'], maxBuffer: 256 * 2 ** 20 },
  );
  if (cargo.error || cargo.status !== 0) {
    throw new Error('lro was not built: install Rust, or set LRO to its path', { cause: cargo.error });
  }
  const artifacts = cargo.stdout.split('\n').filter((line) => line.startsWith('{')).map((line) => JSON.parse(line));
  return artifacts.findLast(({ executable, target }) => executable && target.name === 'lro').executable;
}

/** Starts the emulator on a port that the system picks; `from` is a folder of operations, or `port` a port of its own. */
export async function emulate({ from, port = 0 } = {}) {
  const args = ['emulate', '--port', String(port), ...(from ? ['--from', from] : [])];
  const child = spawn(lro(), args, { stdio: ['ignore', 'pipe', 'inherit'] });
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
