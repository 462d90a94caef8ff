// A service on a port that the system picks, which answers as a test says.
const { once } = require('node:events');
const { createServer } = require('node:http');

/** `answer(request, count)` gives `{ status, headers, body }`, an operation, or nothing for no answer at all. */
async function service(t, answer) {
  const requests = [];
  let inFlight = 0;
  const service = { requests, mostInFlight: 0 };
  const server = createServer(async (request, response) => {
    requests.push(request);
    inFlight += 1;
    service.mostInFlight = Math.max(service.mostInFlight, inFlight);
    response.on('close', () => {
      inFlight -= 1;
      server.emit('over');
    });
    server.emit('asked');
    const given = await answer(request, requests.length);
    if (given === undefined) return;
    const { status = 200, headers = {}, body = JSON.stringify(given) } = given;
    response.writeHead(status, { 'Content-Type': 'application/json', ...headers }).end(body);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  service.endpoint = `http://127.0.0.1:${server.address().port}/v1`;
  /** When so many requests have come. */
  service.asked = async (count) => {
    while (requests.length < count) await once(server, 'asked');
  };
  /** When nothing is asked any more. */
  service.quiet = async () => {
    while (inFlight > 0) await once(server, 'over');
  };
  service.stop = async () => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  };
  return service;
}

const error = (status, code, message, headers = {}) => ({
  status,
  headers,
  body: JSON.stringify({ error: { code: status, message, status: code } }),
});

module.exports = { error, service };
