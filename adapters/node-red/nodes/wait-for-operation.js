const { connectionOf } = require('../lib/connection.js');
const { failure } = require('../lib/failure.js');
const { interrupt, reportInterrupted, whenStarted } = require('../lib/interrupted.js');
const { operationName } = require('../lib/name.js');
const { Pending, persistentStore, storable } = require('../lib/pending.js');
const { untilDone } = require('../lib/poll.js');
const { failureStatus, status, statusOfWaits, toOutput } = require('../lib/show.js');

const MINUTE_MS = 60_000;

module.exports = (RED) => {
  // The waits of this run of Node-RED that a store may hold. One that a new node finds there was ended by a deploy; a
  // wait of an earlier run was ended by a restart of Node-RED, and goes on.
  const ofThisRun = new Set();
  const store = persistentStore(RED);

  function WaitForOperation(config) {
    RED.nodes.createNode(this, config);
    const node = this;
    const minutes = Number(config.deadline);
    const deadlineMs = minutes * MINUTE_MS;
    const pending = store && new Pending(node.context(), store);
    const waits = new Set();
    let closed = false;

    whenStarted(RED, node, async () => {
      reportInterrupted(node);
      if (!pending) return;
      try {
        for (const [id, { name, startedAt, msg }] of Object.entries(await pending.load())) {
          if (closed) return;
          if ([...waits].some((started) => started.id === id)) continue;
          if (ofThisRun.has(id)) {
            await forget(id);
          } else {
            const send = (sent) => node.send(sent);
            const done = (error) => error && node.error(error, msg);
            wait({ id, name, startedAt, msg, send, done });
          }
        }
      } catch (error) {
        node.error(`The waits from before the restart cannot be read from the context store ${store}: ${error.message}`);
      }
    });

    node.on('input', (msg, send, done) => {
      wait({ id: RED.util.generateId(), startedAt: Date.now(), msg, send, done, isNew: true });
    });

    /** One wait, from its first call to its end. Settles in `done`, and never rejects. */
    async function wait(it) {
      const controller = new AbortController();
      const { signal } = controller;
      const entry = { ...it, controller, status: { fill: 'blue', shape: 'ring', text: 'requesting' } };
      waits.add(entry);
      if (pending) ofThisRun.add(it.id);
      show();
      let ending;
      try {
        if (!(minutes > 0)) {
          throw failure('invalid-setting', 'Deadline is not a number of minutes above 0: open the node, and enter one.', {
            status: 'invalid deadline',
          });
        }
        const connection = connectionOf(RED, config.connection);
        entry.name ??= await operationName(RED, node, config, it.msg);
        signal.throwIfAborted();
        if (pending && it.isNew) await keep(entry);
        signal.throwIfAborted();
        const latest = await untilDone({
          name: entry.name,
          ask: (options) => connection.poll(entry.name, options),
          leftMs: deadlineMs - Math.max(0, Date.now() - it.startedAt),
          deadline: `${minutes} min`,
          onRunning: (state) => {
            entry.status = status(state.operation);
            show();
            it.send(toOutput(RED.util.cloneMessage(it.msg), state));
          },
          onTransient: (error) => {
            entry.status = failureStatus(error);
            show();
          },
          signal,
        });
        signal.throwIfAborted();
        ending = status(latest.operation);
        it.send(toOutput(it.msg, latest));
        it.done();
      } catch (error) {
        if (signal.aborted) return;
        ending = failureStatus(error);
        it.done(error);
      }
      waits.delete(entry);
      show(ending);
      if (pending) await forget(it.id).catch((error) => node.warn(notWritten(entry.name, error)));
    }

    /** Notes a new wait, so that a restart does not end it. */
    async function keep({ id, name, startedAt, msg }) {
      let kept;
      try {
        kept = storable(msg);
      } catch {
        kept = { _msgid: msg._msgid, ...(typeof msg.topic === 'string' && { topic: msg.topic }) };
        node.warn(`The message for ${name} cannot be written as JSON: if Node-RED restarts, only its topic is kept.`);
      }
      await pending.add(id, { name, startedAt, msg: kept }).catch((error) => node.warn(notWritten(name, error)));
    }

    async function forget(id) {
      await pending.remove(id);
      ofThisRun.delete(id);
    }

    function notWritten(name, error) {
      return `The context store ${store} cannot be written, so a restart may end or repeat the wait for ${name}: ${error.message}`;
    }

    /** What the waits are doing, or how the last one ended. */
    function show(ending) {
      node.status(waits.size > 0 ? statusOfWaits([...waits].map(({ status }) => status)) : ending);
    }

    node.on('close', async (removed, done) => {
      closed = true;
      const ended = [...waits];
      interrupt(node, removed, ended);
      for (const { controller } of ended) controller.abort();
      // It may come back after a restart: a disabled node can be enabled again.
      if (removed && pending) for (const { id } of ended) forget(id).catch(() => {});
      await pending?.flush();
      done();
    });
  }

  RED.nodes.registerType('google-operation-wait', WaitForOperation, {
    // For the form, which says whether a restart ends the waits.
    settings: { googleOperationWaitStore: { value: store ?? '', exportable: true } },
  });
};
