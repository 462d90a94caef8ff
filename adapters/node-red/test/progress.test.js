const assert = require('node:assert/strict');
const { test } = require('node:test');
const { progress } = require('../lib/progress.js');

test('a percentage, in any of its spellings', () => {
  assert.equal(progress({ verb: 'create', progress: 40 }), 40);
  assert.equal(progress({ progressPercent: 99.9 }), 99);
  assert.equal(progress({ progressPercentage: '12 %' }), 12);
  assert.equal(progress({ progress: ' 7% ' }), 7);
  assert.equal(progress({ progressMessage: 'half', progress: 1e3 }), 100);
  assert.equal(progress({ progress: 1e300 }), 100);
});

test('a fraction, as Earth Engine sends it: 1 is all of it', () => {
  assert.deepEqual([0, 0.4444, 0.9, 0.29, 0.9999, 1].map((value) => progress({ progress: value })), [0, 44, 90, 29, 99, 100]);
  assert.equal(progress({ progress: '0.5' }), 50);
  assert.equal(progress({ progress: 1e-7 }), 0);
  assert.equal(progress({ progress: 1.5 }), 1);
});

test('what says percent is no fraction', () => {
  assert.equal(progress({ progressPercent: 1 }), 1);
  assert.equal(progress({ progressPercentage: 0.5 }), 0);
  assert.equal(progress({ progress: '1%' }), 1);
});

test('a progress that is unknown is none, and the next member is looked at', () => {
  assert.equal(progress({ progressPercent: -1 }), undefined);
  assert.equal(progress({ progress: '-0.5' }), undefined);
  assert.equal(progress({ progressPercent: -1, progress: 7 }), 7);
});

test('metadata of any shape has a progress or none', () => {
  const parsed = (text) => progress(JSON.parse(text));
  for (const text of [
    '{"progress":{"toString":1}}', '{"progress":{"valueOf":1,"toString":1}}', '{"progress":{"constructor":1}}',
    '{"progress":[]}', '{"progress":[50]}', '{"progress":{}}', '{"progress":null}', '{"progress":true}', '{"progress":""}',
    '{"progress":"NaN"}', '{"progress":"Infinity"}', '{"progress":1e999}', '{"progress":"0x10"}', '{"progress":"3 of 7"}',
    '{"progress":{"progressPercent":40}}', '{"__proto__":{"progress":40}}', '[40]', '"progress"', '40', 'null', '{}',
  ]) {
    assert.equal(parsed(text), undefined, text);
  }
  assert.equal(parsed('{"__proto__":null,"toString":1,"progress":40}'), 40);
  assert.equal(progress(Object.assign(Object.create(null), { progress: 40 })), 40);
  assert.equal(progress(undefined), undefined);
});
