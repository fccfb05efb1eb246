import assert from "node:assert/strict";
import fc from "fast-check";
import { SnapshotError } from "../../../lib/base/errors.ts";
import {
  type Manifest,
  parseManifest,
  serializeManifest,
  type SnapshotFile,
} from "../../../lib/snapshot/manifest.ts";
import { databaseFile, snapshotName } from "../../../lib/snapshot/names.ts";
import { sample, trials } from "../../effort.ts";
import { manifestOf } from "./bot.ts";

const rows = fc.dictionary(
  fc.oneof(fc.string(), fc.constantFrom("orders", "__proto__", "constructor", "12", 'a"b')),
  fc.nat(),
  { noNullPrototype: true },
);

/** Any file of a snapshot with that name. */
function files(name: string): fc.Arbitrary<SnapshotFile> {
  return fc.record({
    database: fc.stringMatching(/^\w{1,12}$/),
    sizeBytes: fc.nat(),
    sha256: fc.option(fc.stringMatching(/^[0-9a-f]{64}$/)),
    compressed: fc.boolean(),
    rows,
    migrations: fc.array(fc.stringMatching(/^\d{1,8}$/)),
  }).map((file) => ({ ...file, file: databaseFile(file.database, name, file.compressed) }));
}

/** Any manifest. */
const manifests: fc.Arbitrary<Manifest> = fc.tuple(
  fc.nat(4_000_000_000),
  fc.integer({ min: 1, max: 9 }),
)
  .chain(([createdAt, attempt]) => {
    const name = snapshotName(createdAt, attempt);
    return fc.record({
      name: fc.constant(name),
      createdAt: fc.constant(createdAt),
      reason: fc.constantFrom("manual", "automatic", "safety", "interrupted"),
      toolkitVersion: fc.string({ unit: "grapheme" }),
      sqliteVersion: fc.string(),
      verified: fc.constantFrom("quick", "full", "none"),
      heldSeconds: fc.double({ min: 0, max: 1e6, noNaN: true }),
      files: fc.array(files(name), { maxLength: 4 }),
    });
  });

/** The error for an invalid text. */
async function refusal(text: string): Promise<SnapshotError> {
  try {
    await parseManifest(text, "m.json");
  } catch (error) {
    assert(error instanceof SnapshotError, String(error));
    assert.match(error.message, /^Cannot read m\.json: /);
    assert(error.help);
    return error;
  }
  throw new assert.AssertionError({ message: `accepted: ${text}` });
}

Deno.test("a written manifest is read back unchanged", async () => {
  await fc.assert(fc.asyncProperty(manifests, async (manifest) => {
    const text = await serializeManifest(manifest);
    assert.deepEqual(await parseManifest(text, "m.json"), plain(manifest));
    assert(text.endsWith("}\n"));
  }));
});

Deno.test("the checksum covers every bit of a manifest", async () => {
  const bytes = new TextEncoder().encode(await serializeManifest(manifestOf()));
  for (const bit of sample(bytes.length * 8, 5)) {
    const flipped = bytes.slice();
    flipped[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    await refusal(new TextDecoder("utf-8", { ignoreBOM: true }).decode(flipped));
  }
});

Deno.test("a single changed, added or removed character is detected", async () => {
  await fc.assert(
    fc.asyncProperty(
      manifests,
      fc.nat(),
      fc.constantFrom("change", "add", "remove"),
      fc.oneof(
        fc.string({ unit: "binary", minLength: 1, maxLength: 1 }),
        fc.constantFrom(" ", "0", "\n"),
      ),
      async (manifest, place, how, character) => {
        const text = await serializeManifest(manifest);
        const at = place % text.length;
        const changed = text.slice(0, at) + (how === "remove" ? "" : character) +
          text.slice(how === "add" ? at : at + 1);
        fc.pre(changed !== text);
        await refusal(changed);
      },
    ),
    { numRuns: trials(25) },
  );
});

Deno.test("a truncated, an empty and an unrelated file are refused", async () => {
  const text = await serializeManifest(manifestOf());
  for (const length of sample(text.length, 5)) await refusal(text.slice(0, length));
  for (const other of ["[]", "null", "1", '""', "{}", '{"format": 1}', "hello", `${text}${text}`]) {
    await refusal(other);
  }
});

Deno.test("a newer format asks for a newer version", async () => {
  const text = await serializeManifest(manifestOf());
  const { message, help } = await refusal(text.replace('"format": 1', '"format": 2'));
  assert.match(message, /its format is 2, and this version knows 1/);
  assert.match(help ?? "", /update/);
});

Deno.test("a file elsewhere, or with another name, is refused even if the checksum matches", async () => {
  const [file] = manifestOf().files;
  assert(file);
  const names = [
    "../positions_20250120_123000.db",
    "/etc/passwd",
    "sub/positions_20250120_123000.db",
    "positions_20250120_123001.db",
    "positions_20250120_123000.db.gz",
    "trading_20250120_123000.db",
    "",
    ".",
  ];
  for (const name of names) {
    await refusal(await serializeManifest(manifestOf({ files: [{ ...file, file: name }] })));
  }
  for (const database of ["../x", "a/b", "", "a b", "."]) {
    const made = { ...file, database, file: databaseFile(database, "20250120_123000", false) };
    await refusal(await serializeManifest(manifestOf({ files: [made] })));
  }
  for (const name of ["../20250120_123000", "", "latest"]) {
    await refusal(await serializeManifest(manifestOf({ name })));
  }
});

Deno.test("a field of another type is refused even if the checksum matches", async () => {
  const wrong: Record<string, unknown>[] = [
    { createdAt: "now" },
    { reason: "other" },
    { toolkitVersion: 1 },
    { sqliteVersion: null },
    { verified: true },
    { heldSeconds: null },
    { files: {} },
    { files: [null] },
    { files: [[]] },
    ...Object.entries({
      sizeBytes: "1",
      sha256: 1,
      compressed: "no",
      rows: { a: "1" },
      migrations: [1],
    }).map(([key, value]) => ({ files: [{ ...manifestOf().files[0], [key]: value }] })),
  ];
  for (const parts of wrong) {
    const made = { ...manifestOf(), ...parts } as unknown as Manifest;
    const text = await serializeManifest(made).catch(() => null);
    if (text !== null) await refusal(text);
  }
});

/** As in JSON: without the sign of a zero. */
function plain(manifest: Manifest): Manifest {
  return { ...manifest, heldSeconds: manifest.heldSeconds + 0 };
}
