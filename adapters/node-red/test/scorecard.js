// The scorecard of the Node-RED library: `node-red-dev validate` on what `npm pack` packs. Two of its checks compare
// names with the public catalogue; where that is out of reach they see an empty one, which is said. A third compares
// what is installed with the latest versions: it sees what npm installs on Node.js 22, which the latest ones ask for.
const { execFileSync, spawnSync } = require('node:child_process');
const { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } = require('node:fs');
const { join } = require('node:path');
const { pack, root } = require('./support/node-red.js');

mkdirSync(join(root, 'node_modules/.tests'), { recursive: true });
const folder = mkdtempSync(join(root, 'node_modules/.tests/scorecard-'));
try {
  execFileSync('tar', ['-xzf', pack(folder).file, '-C', folder]);
  const path = join(folder, 'package');
  const { dependencies } = require('../package.json');
  mkdirSync(join(path, 'node_modules/@bytecodealliance'), { recursive: true });
  for (const name of Object.keys(dependencies)) {
    const installed = name === 'google-auth-library' ? 'google-auth-library-11' : name;
    symlinkSync(join(root, 'node_modules', installed), join(path, 'node_modules', name));
  }
  const output = join(folder, 'scorecard.json');
  const preload = join(folder, 'catalogue.js');
  writeFileSync(
    preload,
    `const axios = require(${JSON.stringify(require.resolve('axios', { paths: [require.resolve('node-red-dev')] }))});
     const get = axios.get.bind(axios);
     axios.get = (url, ...more) => get(url, ...more).catch((error) => {
       if (!url.startsWith('https://catalogue.nodered.org/')) throw error;
       console.log('   The catalogue is out of reach: names are compared with nothing.');
       return { data: { modules: [] } };
     });`,
  );
  const run = spawnSync(
    process.execPath,
    ['--require', preload, join(root, 'node_modules/node-red-dev/bin/run'), 'validate', '--path', path, '--output', output],
    { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] },
  );
  const { package: named, ...checks } = JSON.parse(readFileSync(output, 'utf8'));
  const failed = Object.entries(checks).filter(([, { test }]) => !test).map(([check]) => check);
  const passed = Object.keys(checks).length - failed.length;
  console.log(`${named.name}: ${passed} checks passed, ${failed.length} failed${failed.length ? `: ${failed.join(', ')}` : ''}`);
  process.exitCode = run.status === 0 && failed.length === 0 && passed > 0 ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
