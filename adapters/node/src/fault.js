// preview2-shim calls most faults of a connection `internal-error`, with Node's text. Here they get the error code
// of `wasi:http` that says what they are, so that the block tells a certificate from a connection that broke.

const FAULTS = [
  [/Header overflow/, { tag: 'HTTP-response-header-section-size', val: undefined }],
  [/Parse Error/, { tag: 'HTTP-protocol-error' }],
  [/SSL alert|tlsv1 alert|sslv3 alert/, { tag: 'TLS-alert-received', val: { alertId: undefined, alertMessage: undefined } }],
  [/certificate|altnames|CERT_/, { tag: 'TLS-certificate-error' }],
  [/EPROTO|SSL routines/, { tag: 'TLS-protocol-error' }],
  [/EAI_AGAIN/, { tag: 'DNS-timeout' }],
  [/ETIMEDOUT/, { tag: 'connection-timeout' }],
  [/EHOSTUNREACH|ENETUNREACH|EADDRNOTAVAIL/, { tag: 'destination-unavailable' }],
  [/EPIPE|ECONNABORTED|disconnected before secure TLS/, { tag: 'connection-terminated' }],
];

/** The response to come, whose fault is named. */
export function namedFault(response) {
  const get = response.get.bind(response);
  response.get = () => {
    const result = get();
    if (result?.tag === 'ok' && result.val.tag === 'err') result.val.val = named(result.val.val);
    return result;
  };
  return response;
}

export function named(code) {
  if (code.tag !== 'internal-error') return code;
  return FAULTS.find(([text]) => text.test(code.val))?.[1] ?? code;
}
