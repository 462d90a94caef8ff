const { connectionOf } = require('../lib/connection.js');
const { interrupt, reportInterrupted, whenStarted } = require('../lib/interrupted.js');
const { operationName } = require('../lib/name.js');
const { failureStatus, status, toOutput } = require('../lib/show.js');

module.exports = (RED) => {
  function GetOperation(config) {
    RED.nodes.createNode(this, config);
    const node = this;
    const calls = new Set();

    whenStarted(RED, node, () => reportInterrupted(node));

    node.on('input', async (msg, send, done) => {
      const call = { msg, controller: new AbortController() };
      const { signal } = call.controller;
      calls.add(call);
      try {
        const connection = connectionOf(RED, config.connection);
        call.name = await operationName(RED, node, config, msg);
        signal.throwIfAborted();
        node.status({ fill: 'blue', shape: 'ring', text: 'requesting' });
        const latest = await connection.get(call.name, { signal });
        signal.throwIfAborted();
        node.status(status(latest.operation));
        send(toOutput(msg, latest));
        done();
      } catch (error) {
        if (signal.aborted) return;
        node.status(failureStatus(error));
        done(error);
      } finally {
        calls.delete(call);
      }
    });

    node.on('close', (removed, done) => {
      interrupt(node, removed, [...calls]);
      for (const { controller } of calls) controller.abort();
      done();
    });
  }

  RED.nodes.registerType('google-operation-get', GetOperation);
};
