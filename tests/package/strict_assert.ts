/** Makes `console.assert` throw instead of printing, so that a wrong example fails. */
import assert from "node:assert/strict";

// deno-lint-ignore no-console -- nothing is written
console.assert = (condition?: boolean, ...data: unknown[]): void => {
  assert(condition, data.length === 0 ? "the example's assertion fails" : data.join(" "));
};
