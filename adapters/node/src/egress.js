// Which requests leave the sandbox: those that the manifest grants, decided before a connection is made.
import { outgoingHandler } from '@bytecodealliance/preview2-shim/http';
import { namedFault } from './fault.js';

const PORTS = { 'http:': '80', 'https:': '443' };

/** The `handle` of `wasi:http/outgoing-handler` for a call with these settings. */
export function egress(manifest, settings) {
  const allows = policy(manifest, settings);
  return function handle(request, options) {
    if (!allows(request.method(), request.scheme(), request.authority())) {
      throw { tag: 'HTTP-request-denied' };
    }
    // preview2-shim takes the connect timeout for the time until the first byte, and would give up a slow answer
    // with it. With the time for the first byte it ends a connection that the deadline left behind.
    options?.setConnectTimeout(options.firstByteTimeout());
    return namedFault(outgoingHandler.handle(request, options));
  };
}

/** Tells whether a request is one that the manifest grants: its method, its scheme and its authority. */
export function policy(manifest, settings) {
  const { allowedHosts, methods } = manifest.permissions.network;
  const hosts = new Set(allowedHosts);
  const endpoint = settings.OPERATIONS_ENDPOINT;
  const universeDomain = settings.GOOGLE_CLOUD_UNIVERSE_DOMAIN?.toLowerCase();

  const granted = (host) => {
    if (!universeDomain) return hosts.has(host);
    return host.endsWith(universeDomain) && hosts.has(`${host.slice(0, -universeDomain.length)}googleapis.com`);
  };

  return (method, scheme, authority) => {
    if (!methods.some((allowed) => allowed.toLowerCase() === method.tag)) return false;
    const asked = origin(`${scheme?.tag.toLowerCase()}://${authority}`);
    if (!asked) return false;
    // With an endpoint its exact origin is reached and nothing else: nothing at all where it is no URL.
    if (endpoint) {
      const only = origin(endpoint);
      return only?.protocol === asked.protocol && only.host === asked.host && only.port === asked.port;
    }
    return asked.protocol === 'https:' && asked.port === '443' && granted(asked.host);
  };
}

/** What is reached by a URL: scheme, host and port, none of them left out. */
function origin(text) {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !(url.protocol in PORTS)) return undefined;
  return { protocol: url.protocol, host: url.hostname, port: url.port || PORTS[url.protocol] };
}
