// Node-RED with this package in it, as `npm pack` packs it.
const { execFileSync, spawn } = require('node:child_process');
const { once } = require('node:events');
const { mkdirSync, mkdtempSync, rmSync, writeFileSync } = require('node:fs');
const { join } = require('node:path');
const { createInterface } = require('node:readline');

const root = join(__dirname, '../..');
const NAME = 'node-red-contrib-google-operations';

/** Packs the package into a folder, and tells its files. The build is that of `npm install`. */
function pack(folder) {
  const json = execFileSync('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], {
    cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'],
  });
  const [packed] = Object.values(JSON.parse(json));
  return { ...packed, file: join(folder, packed.filename), paths: packed.files.map(({ path }) => path).sort() };
}

/** A folder for one test, in this package's own: what the packed one depends on is found in its `node_modules`. */
function folder(t) {
  mkdirSync(join(root, 'node_modules/.tests'), { recursive: true });
  const path = mkdtempSync(join(root, 'node_modules/.tests/user-'));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** A user's folder of Node-RED, with the package installed and a flow. */
function userDir(t, flow) {
  const path = folder(t);
  const { file } = pack(path);
  const target = join(path, 'node_modules', NAME);
  mkdirSync(target, { recursive: true });
  execFileSync('tar', ['-xzf', file, '-C', target, '--strip-components', '1']);
  writeFileSync(join(path, 'package.json'), JSON.stringify({ name: 'user', private: true, dependencies: { [NAME]: '1' } }));
  writeFileSync(join(path, 'flows.json'), JSON.stringify(flow));
  return path;
}

/** Starts Node-RED on a user's folder; `options` are its `contextStorage`, and `aheadMs`, how far its clock is ahead. */
async function start(t, path, options = {}) {
  const args = [join(__dirname, 'red.js'), path, JSON.stringify(options)];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = once(child, 'exit');
  const log = [];
  const errors = [];
  createInterface({ input: child.stderr }).on('line', (line) => {
    errors.push(line);
    console.error(line);
  });
  const stop = async () => {
    child.kill();
    await ended;
  };
  t.after(stop);
  const lines = createInterface({ input: child.stdout });
  let starts = 0;
  lines.on('line', (line) => {
    log.push(line);
    if (line.startsWith('started ')) starts += 1;
  });
  /** When the flows were started so often: a deploy is answered before that. */
  const started = async (count) => {
    while (starts < count) {
      await Promise.race([once(lines, 'line'), ended]);
      if (child.exitCode !== null) throw new Error(`Node-RED ended:\n${log.join('\n')}`);
    }
  };
  await started(1);
  const [, port] = /^started (\d+)$/m.exec(log.join('\n'));
  const url = `http://127.0.0.1:${port}`;
  return {
    url, log, errors, stop,
    /** Runs what deploys, and comes back when the new flows are there. */
    async whileDeploying(deploy) {
      const before = starts;
      await deploy();
      await started(before + 1);
    },
    /** What the editor does on Deploy, in one of its kinds: full, flows, nodes, reload. */
    deploy(flow, kind = 'full') {
      return this.whileDeploying(() => post('/flows', flow, { 'Node-RED-Deployment-Type': kind }));
    },
    /** What the editor does on Stop Flows, and on Start. */
    stopFlows: () => post('/flows/state', { state: 'stop' }),
    startFlows() {
      return this.whileDeploying(() => post('/flows/state', { state: 'start' }));
    },
  };
  async function post(path, body, headers) {
    const response = await fetch(`${url}${path}`, {
      method: 'POST', headers: { 'Content-Type': 'application/json', ...headers }, body: JSON.stringify(body),
    });
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  }
}

module.exports = { folder, pack, root, start, userDir };
