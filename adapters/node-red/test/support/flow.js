// A flow in the runtime of Node-RED, without an editor: one of the nodes, a Catch and a Status node, and what came.
const { once } = require('node:events');
const helper = require('node-red-node-test-helper');
const connectionNode = require('../../nodes/connection.js');
const getNode = require('../../nodes/get-operation.js');
const waitNode = require('../../nodes/wait-for-operation.js');
const catchNode = require('@node-red/nodes/core/common/25-catch.js');
const statusNode = require('@node-red/nodes/core/common/25-status.js');

helper.init(require.resolve('node-red'));

const OUTPUTS = ['running', 'succeeded', 'failed'];

/** Messages in the order in which they came, to be awaited one by one. */
function inbox(node) {
  const came = [];
  node.on('input', (msg) => {
    came.push(msg);
    node.emit('came');
  });
  return {
    came,
    async next() {
      while (came.length === 0) await once(node, 'came');
      return came.shift();
    },
  };
}

/** The nodes of a flow, for one tested node. */
function nodesOf({ type = 'google-operation-get', config = {}, connection = {}, id = 'n' }) {
  return [
    { id: 'tab', type: 'tab' },
    { id: 'connection', type: 'google-operations-connection', access: '', ...connection },
    {
      id, type, z: 'tab', name: 'tested', connection: 'connection', operation: 'name', operationType: 'msg', deadline: 30,
      wires: OUTPUTS.map((output) => [output]), ...config,
    },
    ...[...OUTPUTS, 'caught', 'statuses'].map((output) => ({ id: output, type: 'helper', z: 'tab' })),
    { id: 'catcher', type: 'catch', z: 'tab', wires: [['caught']] },
    { id: 'watcher', type: 'status', z: 'tab', wires: [['statuses']] },
  ];
}

const TYPES = [connectionNode, getNode, waitNode, catchNode, statusNode];

function attached(id = 'n') {
  const flow = { node: helper.getNode(id), log: helper.log() };
  for (const output of [...OUTPUTS, 'caught', 'statuses']) flow[output] = inbox(helper.getNode(output));
  const shown = ({ fill = '', shape = '', text = '' }) => `${fill} ${shape} ${text}`.trim();
  /** Statuses up to one with this text. */
  flow.untilStatus = async (text) => {
    const seen = [];
    for (;;) {
      const { status } = await flow.statuses.next();
      seen.push(shown(status));
      if (status.text === text) return seen;
    }
  };
  /** The status of what has ended: the next one that is not blue. */
  flow.untilOver = async () => {
    for (;;) {
      const { status } = await flow.statuses.next();
      if (status.fill !== 'blue') return shown(status);
    }
  };
  return flow;
}

async function load(t, options) {
  await new Promise((resolve) => helper.startServer(resolve));
  t.after(async () => {
    await helper.unload();
    await new Promise((resolve) => helper.stopServer(resolve));
  });
  helper.settings(options.settings ?? {});
  await helper.load(TYPES, nodesOf(options), { connection: options.credentials ?? {} });
  return attached(options.id);
}

/** What Node-RED does on a deploy: the nodes are closed and made again. */
async function redeploy(options) {
  await helper.setFlows(nodesOf(options), 'full');
  return attached(options.id);
}

module.exports = { helper, load, redeploy };
