import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { get } from 'google-operations-get';
import { service } from '../../testing/server.js';

// The block gives connecting 10 s; preview2-shim would have an answer in that time too.
test('waits for an answer for longer than connecting may take', async (t) => {
  const { settings } = await service(t, () => sleep(10_500, { name: 'operations/o', done: true }));
  assert.equal((await get('operations/o', settings)).done, true);
});
