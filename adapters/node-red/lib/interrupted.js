// A deploy restarts nodes, and what they were doing ends with them, as it does in Node-RED's own nodes. Who wired a
// Catch node is to hear of it: the node that takes the place of the old one tells, once the new flow is there to listen.
const { failure } = require('./failure.js');

const left = new Map();

/** Keeps what a node that closes was doing: the messages, each with the name of its operation if it is known yet. */
function interrupt(node, removed, messages) {
  if (messages.length === 0) return;
  // Nothing goes on, also while the flows are stopped.
  node.status({});
  if (removed) {
    const names = messages.map(({ name }) => name ?? 'an operation').join(', ');
    node.warn(`The node was removed or disabled before it was done with ${names}.`);
    return;
  }
  left.set(node.id, [...(left.get(node.id) ?? []), ...messages]);
}

/** Tells what the node before this one left, to Catch nodes too. */
function reportInterrupted(node) {
  const messages = left.get(node.id) ?? [];
  left.delete(node.id);
  for (const { name, msg } of messages) {
    const what = name ?? 'the operation';
    node.error(failure('interrupted', `The node was restarted before it was done with ${what}. Send the message again.`, { retryable: true }), msg);
  }
  if (messages.length > 0) node.status({ fill: 'grey', shape: 'ring', text: 'interrupted' });
}

/** What the nodes do once their flow has started, by the events of the runtime. */
const starts = new WeakMap();

/** Runs something once the flow with all its nodes is there; not at all if the node is closed before. */
function whenStarted({ events }, node, action) {
  let waiting = starts.get(events);
  if (!waiting) {
    starts.set(events, (waiting = new Set()));
    // One listener for all nodes: Node.js warns of a leak where there are more than ten.
    events.on('flows:started', () => {
      const due = [...waiting];
      waiting.clear();
      for (const start of due) start();
    });
  }
  waiting.add(action);
  node.on('close', () => waiting.delete(action));
}

module.exports = { interrupt, reportInterrupted, whenStarted };
