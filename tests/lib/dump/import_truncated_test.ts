/**
 * Truncated dumps: small ones at each fifth byte, and larger ones at random bytes. At
 * `CATALYST_TEST_EFFORT=5` small ones are truncated at every byte.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { makeApp } from "./import_support.ts";
import { sample, trials } from "../../effort.ts";

const DUMP = `PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE notes (note_id INTEGER PRIMARY KEY, body TEXT NOT NULL UNIQUE); -- a comment;
INSERT INTO notes VALUES(1,'it''s; one');
CREATE TRIGGER tr AFTER INSERT ON notes BEGIN SELECT 1; END;
COMMIT;
`;

Deno.test("a dump truncated at any byte changes nothing, unless only white space is missing", async () => {
  await using app = await makeApp();
  await app.import(DUMP);
  for (const length of sample(DUMP.length - 1, 5)) {
    const { message } = await app.refuse(DUMP.slice(0, length));
    assert.match(message, /empty|nothing to import|ends in the middle/, String(length));
  }
  await app.import(DUMP.trimEnd());
});

Deno.test("a dump truncated at any byte adds nothing to an existing database", async () => {
  await using app = await makeApp();
  await app.migrator.upgrade();
  const dump =
    "BEGIN;\nINSERT INTO notes VALUES(1,'a;b');\nINSERT INTO notes VALUES(2,'c');\nCOMMIT;";
  for (const length of sample(dump.length, 5)) {
    await app.refuse(dump.slice(0, length), { intoExisting: true, backup: false });
  }
  await app.import(dump, { intoExisting: true });
});

Deno.test("a compressed dump or one of a megabyte, truncated at any byte, changes nothing", async () => {
  await using app = await makeApp();
  await app.import(DUMP);
  const rows = Array.from(
    { length: 20_000 },
    (_, n) => `INSERT INTO t VALUES(${n},'text; ${n}');\n`,
  );
  const large = `BEGIN;\nCREATE TABLE t (a, b);\n${rows.join("")}COMMIT;\n`;
  const stream = new Blob([large]).stream().pipeThrough(new CompressionStream("gzip"));
  const packed = new Uint8Array(await new Response(stream).arrayBuffer());
  const plain = new TextEncoder().encode(large);
  await fc.assert(
    fc.asyncProperty(
      fc.boolean(),
      fc.double({ min: 0, max: 0.99, noNaN: true }),
      async (zip, share) => {
        const bytes = zip ? packed : plain;
        await app.refuse(bytes.subarray(0, Math.floor(bytes.length * share)));
      },
    ),
    { numRuns: trials(8) },
  );
});
