// Makes dist/ from the component and the manifest: what the package needs of the rest of the repository.
// OPERATIONS_GET_COMPONENT names a component that is already built; without it cargo builds one.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { transpileBytes } from '@bytecodealliance/jco-transpile';

const here = dirname(fileURLToPath(import.meta.url));
const repository = join(here, '../..');
const dist = join(here, 'dist');

const component = process.env.OPERATIONS_GET_COMPONENT || build();
const bytes = await readFile(component);
const { files } = await transpileBytes(bytes, {
  name: 'operations_get',
  outDir: join(dist, 'component'),
  // Instances are made by src/call.js, with settings and egress policy as their imports.
  instantiation: 'sync',
});

await rm(dist, { recursive: true, force: true });
for (const [path, contents] of Object.entries(files)) {
  // src/index.d.ts is what a program sees.
  if (path.endsWith('.d.ts')) continue;
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, contents);
}
await copyFile(join(repository, 'manifest.json'), join(dist, 'manifest.json'));
await copyFile(join(repository, 'LICENSE'), join(here, 'LICENSE'));
console.log(`transpiled ${component}, sha256 ${createHash('sha256').update(bytes).digest('hex')}`);

/** Builds the component, and tells where cargo put it. */
function build() {
  const cargo = spawnSync(
    'cargo',
    ['build', '--package', 'operations-get', '--profile', 'block', '--target', 'wasm32-wasip2',
      '--message-format', 'json-render-diagnostics'],
    { cwd: repository, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'], maxBuffer: 64 * 1024 * 1024 },
  );
  if (cargo.error || cargo.status !== 0) {
    throw new Error(
      'the component was not built: install Rust (https://rustup.rs), or set OPERATIONS_GET_COMPONENT to an operations_get.wasm',
      { cause: cargo.error },
    );
  }
  const artifact = cargo.stdout
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line))
    .findLast(({ reason, target }) => reason === 'compiler-artifact' && target.name === 'operations_get');
  return artifact.filenames.find((file) => file.endsWith('.wasm'));
}
