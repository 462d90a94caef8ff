import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { get } from 'google-operations-get';

// The block gives connecting 10 s; preview2-shim would have an answer in that time too.
test('an answer that takes longer than connecting may is waited for', async (t) => {
  const server = createServer((_, response) => {
    setTimeout(() => response.end('{"name":"operations/o","done":true}'), 10_500);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const endpoint = `http://127.0.0.1:${server.address().port}/v1`;
  const outputs = await get('operations/o', { OPERATIONS_ENDPOINT: endpoint, OPERATIONS_MAX_ATTEMPTS: 1 });
  assert.equal(outputs.done, true);
});
