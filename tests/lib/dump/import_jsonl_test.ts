import assert from "node:assert/strict";
import fc from "fast-check";
import { type JsonLine, JsonlReader } from "../../../lib/dump/import_jsonl.ts";

function read(...pieces: string[]): JsonLine[] {
  const reader = new JsonlReader();
  return [...pieces.flatMap((piece) => reader.push(piece)), ...reader.end()];
}

Deno.test("JSON Lines are split at LF and CRLF, and blank lines are only counted", () => {
  assert.deepEqual(read('{"a":1}\r\n\n  \r\n{"a":2}\n{"a":3}'), [
    { line: 1, text: '{"a":1}' },
    { line: 4, text: '{"a":2}' },
    { line: 5, text: '{"a":3}' },
  ]);
  assert.deepEqual(read(), []);
  assert.deepEqual(read("\n\n"), []);
});

Deno.test("JSON Lines give the same lines in pieces of any size", () => {
  const text = fc.string({ unit: fc.constantFrom("a", "\n", "\r", " ", "é") });
  fc.assert(
    fc.property(fc.array(text), (pieces) => {
      assert.deepEqual(read(...pieces), read(pieces.join("")));
      const reader = new JsonlReader();
      for (const piece of pieces) reader.push(piece);
      assert.equal(reader.line, pieces.join("").split("\n").length);
    }),
  );
});
