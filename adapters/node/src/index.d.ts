/** JSON text (RFC 8259), byte for byte as the service sent it: no number loses a digit. */
export type Json = string;

/** One member of a JSON object: its decoded key, its value. */
export interface Member {
  key: string;
  value: Json;
}

/** The eleven output variables of the block. What is absent is `null`. */
export interface Outputs {
  /** The server-assigned name; the requested relative name where the answer has none. To poll again, use the input. */
  name: string;
  /** Whether the operation is over. It says nothing about success. */
  done: boolean;
  /** The whole google.rpc.Status of an operation that failed or was cancelled. Zero-touch operations never set it. */
  error: Json | null;
  /** A google.rpc.Code. Set exactly when `error` is; 0 where omitted. */
  'error.code': number | null;
  /** Set exactly when `error` is; empty where omitted. */
  'error.message': string | null;
  /** Each detail of the error, by position. */
  'error.details[]': Json[];
  /** For each detail, at the same position, its members, `@type` among them. */
  'error.details[].customKey.value': Member[][];
  /** What the service tells about the operation, such as progress and times. */
  metadata: Json | null;
  /** The members of `metadata` in the order of the answer. */
  'metadata.customKey.value': Member[] | null;
  /** The result of an operation that succeeded. */
  response: Json | null;
  /** The members of `response` in the order of the answer. */
  'response.customKey.value': Member[] | null;
}

/** The settings of a call, by the environment variables of the manifest. An empty one is unset. */
export interface Settings {
  /** The service that the operations are of, optionally with its version. Set, it pins the service. */
  OPERATIONS_SERVICE?: string;
  /** Base URL, version included, to which `/{name}` is added. */
  OPERATIONS_ENDPOINT?: string;
  /** Bearer token. */
  GOOGLE_OAUTH_ACCESS_TOKEN?: string;
  /** Sent as x-goog-api-key; not together with a token. */
  GOOGLE_API_KEY?: string;
  /** Sent as x-goog-user-project. */
  GOOGLE_CLOUD_QUOTA_PROJECT?: string;
  /** Replaces googleapis.com in hosts. */
  GOOGLE_CLOUD_UNIVERSE_DOMAIN?: string;
  /** Deadline of the whole call in milliseconds, retries included, 1 to 600,000; 60,000 where unset. */
  OPERATIONS_TIMEOUT_MS?: string | number;
  /** Attempts within the deadline, 1 to 10; 5 where unset. */
  OPERATIONS_MAX_ATTEMPTS?: string | number;
}

/**
 * Gets the latest state of a long-running operation. Waits for a free thread first: the deadline is of the call.
 *
 * @param name relative (`operations/abc`), or full with its service.
 * @param options `signal` ends the call: it rejects with the signal's reason, and its connection is closed.
 * @throws {PermanentFailure} Asking again cannot help until the name, a setting or the access changes.
 * @throws {TransientFailure} Asking again later may help.
 * @throws {TypeError} The name is no string, or the block has no such setting.
 */
export function get(name: string, settings?: Settings, options?: { signal?: AbortSignal }): Promise<Outputs>;

/** An operation in its natural nesting. `JSON.parse` loses the digits of numbers above 2^53: the outputs keep them. */
export interface Operation {
  name: string;
  done: boolean;
  metadata?: { [key: string]: unknown };
  error?: { code?: number | string; message?: string; details?: unknown[]; [key: string]: unknown };
  response?: { [key: string]: unknown };
}

/** The operation in its natural nesting, from the outputs. */
export function operation(outputs: Outputs): Operation;

/** The kinds of failure, as the manifest's `errors` explain them. */
export type Reason =
  | 'invalid-name'
  | 'unknown-service'
  | 'invalid-setting'
  | 'request-denied'
  | 'unreachable'
  | 'certificate'
  | 'connection-lost'
  | 'timeout'
  | 'unauthenticated'
  | 'permission-denied'
  | 'not-found'
  | 'wrong-address'
  | 'redirected'
  | 'rejected'
  | 'quota-exceeded'
  | 'aborted'
  | 'unavailable'
  | 'service-fault'
  | 'not-an-operation'
  | 'too-large';

/** An error as the service reported it (AIP-193). */
export interface ServiceError {
  /** A google.rpc.Code. */
  code: number;
  /** The name of the code, such as NOT_FOUND. */
  status: string;
  message: string;
  details: Json[];
  /** The whole error object. */
  error: Json;
}

/** Why a call gave no outputs. An operation that failed is no error: its outputs have `error` set. */
declare class Failure extends Error {
  constructor(failure: {
    reason: Reason;
    message: string;
    httpStatus?: number | null;
    serviceError?: ServiceError | null;
    retryAfterMs?: number | null;
  });
  readonly reason: Reason;
  /** The HTTP status of the answer; `null` where no answer came. */
  readonly httpStatus: number | null;
  /** What the service said; `null` where its answer held no error object. */
  readonly serviceError: ServiceError | null;
  /** How long the service asks to wait before the next attempt; `null` where it asks for nothing. */
  readonly retryAfterMs: number | null;
}

/** Asking again cannot help until the name, a setting or the access changes. */
export class PermanentFailure extends Failure {}

/** Asking again later may help. */
export class TransientFailure extends Failure {}

/** The manifest of the block: what a visual editor reads to draw, document, configure and permit it. */
export const manifest: {
  id: string;
  version: string;
  label: string;
  description: string;
  help: string;
  category: string;
  documentation: string;
  inputs: { variable: string; field: string; format: string; label: string; description: string; example: string }[];
  outputs: { variable: string; field: string; format: string; label: string; description: string }[];
  settings: {
    variable: string;
    label: string;
    type: string;
    description: string;
    default: string | number | null;
    secret: boolean;
    options?: { value: string; label: string; versions: string[]; names: string[]; scopes: string[] }[];
  }[];
  permissions: { network: { allowedHosts: string[]; methods: string[] } };
  errors: { reason: Reason; case: 'permanent' | 'transient'; description: string; whatToDo: string }[];
};
