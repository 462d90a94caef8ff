const { settings } = require('../block/dist/manifest.json');
const { Connection } = require('../lib/connection.js');

module.exports = (RED) => {
  function ConnectionNode(config) {
    RED.nodes.createNode(this, config);
    this.connection = new Connection(config, this.credentials);
  }

  const secrets = ['serviceAccountKey', ...settings.filter(({ secret }) => secret).map(({ variable }) => variable)];
  RED.nodes.registerType('google-operations-connection', ConnectionNode, {
    credentials: Object.fromEntries(secrets.map((secret) => [secret, { type: 'password' }])),
  });
};
