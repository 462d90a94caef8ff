// The server of the tests in JavaScript: on loopback, on a port that the system picks, until its test `t` is over.
const { once } = require('node:events');
const http = require('node:http');
const https = require('node:https');
const net = require('node:net');

/** Starts a server, and gives the endpoint and the settings of the block that reach it, and `stop()`. */
async function listen(t, server, scheme = 'http') {
  const sockets = new Set();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    // A client that gives up resets its connection, as it should.
    socket.on('error', () => {});
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const endpoint = `${scheme}://127.0.0.1:${server.address().port}/v1`;
  const stop = async () => {
    if (!server.listening) return;
    const closed = once(server, 'close');
    server.close();
    for (const socket of sockets) socket.destroy();
    await closed;
  };
  t.after(stop);
  return { endpoint, settings: { OPERATIONS_ENDPOINT: endpoint, OPERATIONS_MAX_ATTEMPTS: 1 }, stop };
}

/**
 * An HTTP service. `answer(request, count)` gives an operation, `{ status, headers, body }`, or nothing to leave the
 * request without an answer; `count` is 1 for the first request. With `tls`, a key and a certificate, it is HTTPS.
 */
async function service(t, answer, tls) {
  const requests = [];
  let inFlight = 0;
  const handle = async (request, response) => {
    requests.push(request);
    inFlight += 1;
    served.maxInFlight = Math.max(served.maxInFlight, inFlight);
    response.on('close', () => {
      inFlight -= 1;
      server.emit('left');
    });
    server.emit('asked');
    const given = await answer(request, requests.length);
    if (given === undefined) return;
    const { status = 200, headers = {}, body = JSON.stringify(given) } = given;
    response.writeHead(status, { 'Content-Type': 'application/json', ...headers }).end(body);
  };
  const server = tls ? https.createServer(tls, handle) : http.createServer(handle);
  const served = {
    ...(await listen(t, server, tls && 'https')),
    requests,
    maxInFlight: 0,
    /** Resolves once so many requests have come. */
    async asked(count) {
      while (requests.length < count) await once(server, 'asked');
    },
    /** Resolves once no request is in flight. */
    async quiet() {
      while (inFlight > 0) await once(server, 'left');
    },
  };
  return served;
}

/**
 * A TCP server that sends the same to each connection, once that has sent something; then it closes it, or stays silent.
 * `connected` and `closed` resolve with the first connection and with its end.
 */
async function rawService(t, sent, { close = false } = {}) {
  const server = net.createServer((socket) => {
    socket.once('data', () => (close ? socket.end(sent) : socket.write(sent)));
    socket.resume();
  });
  const connected = once(server, 'connection').then(([socket]) => socket);
  const closed = connected.then((socket) => new Promise((resolve) => socket.on('close', resolve)));
  return { ...(await listen(t, server)), connected, closed };
}

/** An answer of a service that fails, with a `google.rpc.Status`. */
const error = (status, code, message, headers = {}) => ({
  status,
  headers,
  body: JSON.stringify({ error: { code: status, message, status: code } }),
});

module.exports = { error, rawService, service };
