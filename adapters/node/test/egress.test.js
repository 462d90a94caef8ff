import assert from 'node:assert/strict';
import { test } from 'node:test';
import { manifest } from 'google-operations-get';
import { policy } from '../src/egress.js';
import { named } from '../src/fault.js';

function allows(settings, method, url) {
  const [, scheme, authority] = /^(https?):\/\/([^/]*)/.exec(url);
  return policy(manifest, settings)({ tag: method }, { tag: scheme.toUpperCase() }, authority);
}

test('only GET over https to a host of the manifest', () => {
  const get = (url) => allows({}, 'get', url);
  assert.ok(get('https://apigateway.googleapis.com/v1/operations/o'));
  assert.ok(get('https://apigateway.googleapis.com:443/'));
  assert.ok(!get('http://apigateway.googleapis.com/'));
  assert.ok(!get('http://apigateway.googleapis.com:443/'));
  assert.ok(!get('https://apigateway.googleapis.com:8443/'));
  assert.ok(!get('https://apigateway.googleapis.com.evil.example/'));
  assert.ok(!get('https://apigateway.googleapis.com@evil.example/'));
  assert.ok(!get('https://evil.example/'));
  assert.ok(!get('https://metadata.google.internal/'));
  assert.ok(!allows({}, 'post', 'https://apigateway.googleapis.com/'));
});

test('an endpoint is the only origin then', () => {
  const get = (url) => allows({ OPERATIONS_ENDPOINT: 'http://127.0.0.1:8080/v1' }, 'get', url);
  assert.ok(get('http://127.0.0.1:8080/anything'));
  assert.ok(!get('http://127.0.0.1:8081/'));
  assert.ok(!get('https://127.0.0.1:8080/'));
  assert.ok(!get('https://apigateway.googleapis.com/'));
});

test('an endpoint that is no URL grants nothing', () => {
  assert.ok(!allows({ OPERATIONS_ENDPOINT: 'no url at all' }, 'get', 'https://apigateway.googleapis.com/'));
});

test('a universe has the services of the manifest and no others', () => {
  const get = (url) => allows({ GOOGLE_CLOUD_UNIVERSE_DOMAIN: 'apis.Example.org' }, 'get', url);
  assert.ok(get('https://apigateway.apis.example.org/'));
  assert.ok(!get('https://apigateway.googleapis.com/'));
  assert.ok(!get('https://evil.apis.example.org/'));
  assert.ok(!get('https://evilapis.example.org/'));
  assert.ok(!get('https://apigateway.evil.example.org/'));
});

test('a fault of the connection has the name of what it is', () => {
  const tag = (text) => named({ tag: 'internal-error', val: text }).tag;
  assert.equal(tag('Error: self-signed certificate'), 'TLS-certificate-error');
  assert.equal(tag("Error: Hostname/IP does not match certificate's altnames: IP: 127.0.0.1"), 'TLS-certificate-error');
  assert.equal(tag('Error: certificate has expired'), 'TLS-certificate-error');
  assert.equal(tag('Error: unable to verify the first certificate'), 'TLS-certificate-error');
  assert.equal(tag('Error: write EPROTO C0F7:error:0A00010B:SSL routines:wrong version number'), 'TLS-protocol-error');
  assert.equal(tag('Error: C07:error:0A000410:SSL routines:ssl3_read_bytes:ssl/tls alert handshake failure:SSL alert number 40'), 'TLS-alert-received');
  assert.equal(tag('Error: getaddrinfo EAI_AGAIN host.invalid'), 'DNS-timeout');
  assert.equal(tag('Error: connect ETIMEDOUT 192.0.2.1:443'), 'connection-timeout');
  assert.equal(tag('Error: connect ENETUNREACH 192.0.2.1:443'), 'destination-unavailable');
  assert.equal(tag('Error: Parse Error: Expected HTTP/'), 'HTTP-protocol-error');
  assert.equal(tag('Error: something new'), 'internal-error');
  assert.equal(named({ tag: 'connection-refused' }).tag, 'connection-refused');
});
