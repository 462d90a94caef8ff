/** The members that hold JSON text. */
const OBJECTS = ['metadata', 'error', 'response'];

/**
 * The operation in its natural nesting, from the JSON text of the outputs. Each object comes whole from
 * `JSON.parse`, which takes any key, `__proto__` too, for what it is.
 */
export function operation(outputs) {
  const nested = { name: outputs.name, done: outputs.done };
  for (const member of OBJECTS) {
    if (outputs[member] !== null) nested[member] = JSON.parse(outputs[member]);
  }
  return nested;
}
