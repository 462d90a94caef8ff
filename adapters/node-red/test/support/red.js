// Node-RED as a process of its own, on a port that the system picks: says `serving PORT`, ends on SIGTERM.
const { createServer } = require('node:http');
const express = require('express');
const RED = require('node-red');

const [userDir, contextStorage] = process.argv.slice(2);
const app = express();
const server = createServer(app);
RED.init(server, {
  userDir,
  flowFile: 'flows.json',
  httpAdminRoot: '/',
  httpNodeRoot: '/',
  credentialSecret: 'a test',
  editorTheme: { tours: false, projects: { enabled: false } },
  telemetry: { enabled: false, updateNotification: false },
  externalModules: { palette: { allowInstall: false }, modules: { allowInstall: false } },
  ...(contextStorage && { contextStorage: JSON.parse(contextStorage) }),
});
app.use('/', RED.httpAdmin);
app.use('/', RED.httpNode);
server.listen(0, '127.0.0.1', async () => {
  await RED.start();
  RED.runtime.events.once('flows:started', () => console.log(`serving ${server.address().port}`));
});
process.once('SIGTERM', async () => {
  await RED.stop();
  process.exit();
});
