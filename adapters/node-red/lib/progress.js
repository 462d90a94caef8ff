// How far an operation is, as its service tells in `metadata`. `lro` reads it by the same rule.

/** A number that is not negative, as a number or as text, with or without a percent sign. */
const AMOUNT = /^(\d+\.?\d*(?:e[+-]?\d+)?)\s*(%?)$/i;

/**
 * The first member of `metadata` whose key begins with `progress` and whose value is such a number, as a whole
 * percentage. Services write `progressPercent` and `progressPercentage` from 0 to 100 (Cloud Storage: -1 while it is
 * unknown), and `progress` from 0 to 100 or, as Earth Engine does, from 0 to 1. The value comes from the service: an
 * object may look like a number, or have a `toString` of its own that is none.
 */
function progress(metadata) {
  for (const [key, value] of Object.entries(metadata ?? {})) {
    if (!key.startsWith('progress') || !['number', 'string'].includes(typeof value)) continue;
    const [, amount, sign] = AMOUNT.exec(String(value).trim()) ?? [];
    const number = Number(amount);
    if (!Number.isFinite(number)) continue;
    const isPercentage = sign === '%' || /percent/i.test(key) || number > 1;
    // So that 0.29 × 100, which is 28.999999999999996, is 29.
    return Math.trunc(Math.min(100, isPercentage ? number : number * 100 + 1e-9));
  }
  return undefined;
}

module.exports = { progress };
