// Node-RED as a process of its own, on a port that the system picks: says `started PORT` for each start of its flows, ends
// on SIGTERM. Its clock is ahead by `aheadMs`.
const { createServer } = require('node:http');
const express = require('express');
const RED = require('node-red');

const [userDir, options] = process.argv.slice(2);
const { contextStorage, aheadMs = 0 } = JSON.parse(options);
const { now } = Date;
Date.now = () => now() + aheadMs;
const app = express();
const server = createServer(app);
RED.init(server, {
  userDir,
  flowFile: 'flows.json',
  httpAdminRoot: '/',
  httpNodeRoot: '/',
  credentialSecret: 'a test',
  editorTheme: { tours: false, projects: { enabled: false } },
  runtimeState: { enabled: true, ui: false },
  telemetry: { enabled: false, updateNotification: false },
  externalModules: { palette: { allowInstall: false }, modules: { allowInstall: false } },
  ...(contextStorage && { contextStorage }),
});
app.use('/', RED.httpAdmin);
app.use('/', RED.httpNode);
server.listen(0, '127.0.0.1', async () => {
  RED.runtime.events.on('flows:started', () => console.log(`started ${server.address().port}`));
  await RED.start();
});
process.once('SIGTERM', async () => {
  await RED.stop();
  process.exit();
});
