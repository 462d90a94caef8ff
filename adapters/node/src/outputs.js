/** How the component's JavaScript spells a field of the WIT record: `error-code` is `errorCode`. */
const property = (field) => field.replace(/-(.)/g, (_, letter) => letter.toUpperCase());

/** The object whose members a variable holds: those of an absent object are absent too. */
const OBJECT_OF = { 'metadata.customKey.value': 'metadata', 'response.customKey.value': 'response' };

/** The eleven output variables by the names that the manifest gives them. What is absent is `null`. */
export function outputs(manifest, record) {
  return Object.fromEntries(
    manifest.outputs.map(({ variable, field }) => {
      const object = OBJECT_OF[variable];
      const absent = object !== undefined && record[object] === undefined;
      return [variable, absent ? null : (record[property(field)] ?? null)];
    }),
  );
}
