/** Kills the program with SIGKILL during an upgrade of rows, and lets the next one finish the work. */
import assert from "node:assert/strict";
import { trials } from "../effort.ts";
import { type Content, contentOf, copyDirectory, databaseNames, outputOf } from "../helpers.ts";
import { killInside, lockTaken } from "../kill.ts";
import { randomOf, seedFrom } from "../lib/snapshot/files.ts";
import { Place } from "./place.ts";
import { makeBot } from "./scenarios/commands.ts";
import { executable, type WayIn } from "./way.ts";

const seed = seedFrom("CATALYST_CRASH_SEED");
const kills = trials(3);

/** Migrations that rewrite existing rows, in SQL and code, in each database. */
const migrations: Readonly<Record<string, string>> = {
  "004_notes.sql": `-- database: trading
-- migrate:up
ALTER TABLE orders ADD COLUMN notes TEXT;
UPDATE orders SET notes = order_id WHERE notes IS NULL;
CREATE INDEX idx_notes ON orders (notes);
`,
  "005_rows.js": rowsInto("positions"),
  "006_rows.js": rowsInto("ml_training"),
  "007_more_notes.sql": `-- database: trading
-- migrate:up
CREATE TABLE more_notes (id INTEGER PRIMARY KEY, note TEXT);
INSERT INTO more_notes (note) SELECT notes FROM orders;
`,
};

/** A migration that takes a while. */
function rowsInto(database: string): string {
  return `export default { database: "${database}", async upgrade(transaction) {
  await transaction.exec("CREATE TABLE mine (id INTEGER PRIMARY KEY, text)");
  for (let n = 0; n < 4000; n++) {
    await transaction.run("INSERT INTO mine (text) VALUES (?)", ["row " + n]);
  }
} };
`;
}

const idsOf: Readonly<Record<string, readonly string[]>> = {
  trading: ["004", "007"],
  positions: ["005"],
  ml_training: ["006"],
};

const way = await executable();
const reason = way.reason ?? (Deno.build.os === "windows" ? "there is no SIGKILL" : null);

Deno.test({
  name:
    "the executable, killed at any time during an upgrade, leaves a state that the next one completes" +
    (reason === null ? "" : ` (skipped: ${reason})`),
  ignore: reason !== null,
  async fn() {
    // deno-lint-ignore no-console -- shows how to repeat this run
    console.log(`CATALYST_CRASH_SEED=${seed}`);
    const random = randomOf(seed);
    using template = new Place(way);
    await makeBot(template);
    const before = contents(template);
    using whole = await copied(template);
    const spans = { backup: await spanOf(whole, []), none: 0 };
    {
      using other = await copied(template);
      spans.none = await spanOf(other, ["--no-backup"]);
    }
    const expected = contents(whole);
    const reached: Record<string, number> = {};
    for (let killed = 0, runs = 0; killed < kills; runs++) {
      assert(runs < kills * 5, "almost every process ended before it could be killed");
      using place = await copied(template);
      // Every second run skips the snapshot, which takes most of the time.
      const kind = killed % 2 === 0 ? "backup" : "none";
      // More often late than early: a command reads first and writes at its end.
      const when = random() < 0.2 ? random() : 1 - random() * 0.6;
      const lock = place.file("data/migrations.lock");
      const command = place.start(["upgrade", ...kind === "none" ? ["--no-backup"] : []]);
      const delay = when * spans[kind];
      if (!await killInside(command, { lock, delay })) {
        spans[kind] = Math.min(spans[kind] * 0.9, delay);
        continue;
      }
      killed++;
      const done = checkLeft(place, { before, expected });
      reached[done] = (reached[done] ?? 0) + 1;
      await place.ok("upgrade --timeout 1");
      assert.deepEqual(contents(place), expected);
      await place.ok("status --check");
      await place.ok("verify");
    }
    // deno-lint-ignore no-console -- shows where the kills hit
    console.log(`migrations that were in when it was killed: ${JSON.stringify(reached)}`);
  },
});

type Contents = Readonly<Record<string, Content>>;

/** Checks that each database is unchanged or has a complete migration: marker, schema and rows. */
function checkLeft(
  place: Place,
  { before, expected }: { readonly before: Contents; readonly expected: Contents },
): number {
  const left = contents(place);
  let done = 0;
  for (const [name, content] of Object.entries(left)) {
    assert.equal(content.integrity, "ok");
    const own = content.markers.filter((id) => idsOf[name]?.includes(id));
    done += own.length;
    if (own.length === 0) assert.deepEqual(content, before[name], name);
    else if (own.length === idsOf[name]?.length) assert.deepEqual(content, expected[name], name);
    else {
      assert.deepEqual(own, ["004"]);
      assert.equal(content.rows["more_notes"], undefined);
      assert.deepEqual(content.rows["orders"], expected[name]?.rows["orders"]);
    }
  }
  return done;
}

function contents(place: Place): Contents {
  return Object.fromEntries(
    databaseNames.map((name) => [name, contentOf(place.file(`data/${name}.db`))]),
  );
}

/** A place with the template's data and the migrations to apply. */
async function copied(template: Place): Promise<Place> {
  const place = new Place(way satisfies WayIn);
  await copyDirectory(template.file("data"), place.file("data"));
  for (const [name, text] of Object.entries(migrations)) place.write(`migrations/${name}`, text);
  return place;
}

/** Milliseconds for which an uninterrupted upgrade holds the lock. */
async function spanOf(place: Place, args: readonly string[]): Promise<number> {
  const child = place.start(["upgrade", ...args]).spawn();
  const output = outputOf(child);
  await lockTaken(place.file("data/migrations.lock"), { pid: child.pid, ended: output });
  const start = performance.now();
  const { success, stderr } = await output;
  assert(success, new TextDecoder().decode(stderr));
  return performance.now() - start;
}
