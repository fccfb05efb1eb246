import assert from "node:assert/strict";
import { execute } from "../support.ts";
import { Subject } from "./subject.ts";

const off = { foreignKeys: false } as const;

const QUOTES = `CREATE TABLE quotes (
    quote_id INTEGER PRIMARY KEY AUTOINCREMENT,
    owner_id INTEGER NOT NULL REFERENCES owners ON DELETE CASCADE,
    symbol TEXT COLLATE NOCASE UNIQUE,
    bid REAL NOT NULL DEFAULT 0 ON CONFLICT REPLACE,
    spread REAL AS (bid / 100)
  ) STRICT;
  CREATE INDEX quotes_by_bid ON quotes (bid DESC);
  CREATE UNIQUE INDEX quotes_open ON quotes (owner_id, symbol COLLATE NOCASE) WHERE bid > 0;`
  .replace("DEFAULT 0 ON CONFLICT REPLACE", "ON CONFLICT REPLACE DEFAULT 0");

/** A rebuild of `quotes`; by default it leaves out everything possible. */
function rebuildQuotes(parts: { columns?: string; options?: string; after?: string } = {}): string {
  const {
    options = "",
    after = "",
    columns = "quote_id INTEGER PRIMARY KEY, owner_id INTEGER, symbol TEXT, bid REAL, spread REAL",
  } = parts;
  return `CREATE TABLE n (${columns}) ${options};
    INSERT INTO n (quote_id, owner_id, symbol, bid) SELECT quote_id, owner_id, symbol, bid FROM quotes;
    DROP TABLE quotes;
    ALTER TABLE n RENAME TO quotes;
    ${after}`;
}

const WHOLE = `quote_id INTEGER PRIMARY KEY AUTOINCREMENT,
  owner_id INTEGER NOT NULL REFERENCES owners ON DELETE CASCADE,
  symbol TEXT COLLATE NOCASE UNIQUE,
  bid REAL NOT NULL ON CONFLICT REPLACE DEFAULT 0,
  spread REAL AS (bid / 100)`;

const INDEXES = `CREATE INDEX quotes_by_bid ON quotes (bid DESC);
  CREATE UNIQUE INDEX quotes_open ON quotes (owner_id, symbol COLLATE NOCASE) WHERE bid > 0;`;

Deno.test("for a rebuild the missing constraints of the new table are reported", async () => {
  using subject = await Subject.create(QUOTES);
  const findings = await subject.findings({ upgrade: rebuildQuotes({ after: INDEXES }), ...off });
  assert.deepEqual(
    findings.filter(({ code }) => code !== "no-downgrade")
      .map(({ severity, reason }) => `${severity}: ${reason.replace(/^.*no longer has /, "")}`),
    [
      "warning: the foreign key (owner_id) to owners, ON DELETE CASCADE",
      "warning: UNIQUE (symbol)",
      'warning: NOT NULL of column "owner_id"',
      'warning: COLLATE NOCASE of column "symbol"',
      'warning: DEFAULT 0 of column "bid"',
      'warning: NOT NULL of column "bid"',
      'warning: the expression of column "spread" (bid / 100)',
      "warning: AUTOINCREMENT: ids of deleted rows are reused",
      "warning: STRICT",
      "warning: ON CONFLICT of NOT NULL (bid): REPLACE",
    ],
  );
});

Deno.test("for a rebuild an index without its order, collation or condition is reported", async () => {
  using subject = await Subject.create(QUOTES);
  const after = `CREATE INDEX quotes_by_bid ON quotes (bid);
    CREATE INDEX quotes_open ON quotes (owner_id, symbol COLLATE BINARY);`;
  const upgrade = rebuildQuotes({ columns: WHOLE, options: "STRICT", after });
  const findings = await subject.findings({ upgrade, ...off });
  assert.deepEqual(findings.map(({ reason }) => reason).slice(0, 2), [
    'the new index "quotes_by_bid" of "quotes" no longer has DESC of bid',
    'the new index "quotes_open" of "quotes" no longer has UNIQUE, COLLATE NOCASE of symbol, WHERE bid > 0',
  ]);
});

Deno.test("a rebuild loses the AUTOINCREMENT counter if the newest rows were deleted", async () => {
  using subject = await Subject.create(QUOTES);
  const upgrade = rebuildQuotes({ columns: WHOLE, options: "STRICT", after: INDEXES });
  assert.deepEqual(await subject.codes({ upgrade, ...off }), []);
  execute(
    subject.path,
    `INSERT INTO quotes (owner_id, symbol) VALUES (1, 'A'), (1, 'B'), (2, 'C');
    DELETE FROM quotes WHERE quote_id > 1`,
  );
  const [finding] = await subject.findings({ upgrade, ...off });
  assert.equal(finding?.code, "lost-autoincrement");
  assert.match(finding.reason, /the AUTOINCREMENT counter 3/);
  const copied = `CREATE TEMP TABLE mark AS SELECT seq FROM sqlite_sequence WHERE name = 'quotes';
    ${upgrade}
    UPDATE sqlite_sequence SET seq = (SELECT seq FROM mark) WHERE name = 'quotes';`;
  assert.deepEqual(await subject.codes({ upgrade: copied, ...off }), []);
});

Deno.test("deliberate changes in a rebuild are not losses", async () => {
  using subject = await Subject.create(QUOTES);
  const columns = `quote_id INTEGER PRIMARY KEY AUTOINCREMENT,
    owner_id INTEGER NOT NULL REFERENCES pets,
    symbol TEXT COLLATE RTRIM,
    bid REAL NOT NULL ON CONFLICT REPLACE DEFAULT 1,
    spread REAL AS (bid / 10)`;
  const after = `CREATE INDEX quotes_by_bid ON quotes (bid, symbol);
    CREATE UNIQUE INDEX quotes_symbol ON quotes (symbol);
    DROP INDEX IF EXISTS quotes_open;
    CREATE INDEX quotes_open ON quotes (owner_id);`;
  const upgrade = rebuildQuotes({ columns, options: "STRICT", after });
  assert.deepEqual(await subject.codes({ upgrade, ...off }), []);
});
