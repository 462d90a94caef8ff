// Compiled and not run: the types as a program uses them.
import { get, manifest, operation, PermanentFailure, TransientFailure, type Outputs } from 'google-operations-get';

export async function poll(name: string, signal: AbortSignal): Promise<string | null> {
  try {
    const outputs: Outputs = await get(name, { OPERATIONS_SERVICE: 'apigateway.googleapis.com' }, { signal });
    const code: number | null = outputs['error.code'];
    const keys: string[] = outputs['error.details[].customKey.value'].flat().map(({ key }) => key);
    const progress: unknown = operation(outputs).metadata?.progress;
    return outputs.done ? outputs.response : `${code} ${keys} ${progress}`;
  } catch (error) {
    if (error instanceof TransientFailure) return `again in ${error.retryAfterMs ?? 1000} ms`;
    if (error instanceof PermanentFailure) return error.serviceError?.status ?? error.reason;
    throw error;
  }
}

// @ts-expect-error: the block has no such setting.
void get('operations/o', { OPERATIONS_SERVICES: 'apigateway.googleapis.com' });

export const secrets: string[] = manifest.settings.filter(({ secret }) => secret).map(({ variable }) => variable);
