import assert from "node:assert/strict";
import fc from "fast-check";
import { MigrationFileError } from "../../../lib/base/errors.ts";
import { parseMigrationFile } from "../../../lib/migration/file.ts";
import { destroysOption } from "../../../lib/migration/migration.ts";

const databases = ["positions", "trading", "ml_training"];
const file = { path: "migrations/004_add_notes.sql", id: "004", name: "004_add_notes", databases };

function fault(text: string): MigrationFileError {
  try {
    parseMigrationFile(text, file);
  } catch (error) {
    assert(error instanceof MigrationFileError);
    return error;
  }
  throw new assert.AssertionError({ message: `it was accepted: ${text}` });
}

Deno.test("a file with both sections becomes a migration", () => {
  const text = [
    "-- database: trading",
    "",
    "-- migrate:up",
    "ALTER TABLE orders ADD COLUMN notes TEXT;",
    "",
    "-- migrate:down",
    "ALTER TABLE orders DROP COLUMN notes;",
    "",
  ].join("\n");
  assert.deepEqual(parseMigrationFile(text, file), {
    id: "004",
    name: "004_add_notes",
    database: "trading",
    upgrade: "ALTER TABLE orders ADD COLUMN notes TEXT;",
    downgrade: "ALTER TABLE orders DROP COLUMN notes;",
    source: { path: file.path, upgradeLine: 4, downgradeLine: 7 },
  });
});

Deno.test("options follow a section, and lint findings can be suppressed anywhere", () => {
  const text = `-- lint:allow lost-index it was never used
-- migrate:up database:trading transaction:false foreign-keys:off destroys:orders,fills
SELECT 1;
-- lint:allow table-dropped  it was a test
-- migrate:down transaction:false
SELECT 2;`;
  const { source: _, ...migration } = parseMigrationFile(text, file);
  assert.deepEqual(migration, {
    id: "004",
    name: "004_add_notes",
    database: "trading",
    upgrade: "SELECT 1;\n-- lint:allow table-dropped  it was a test",
    downgrade: "SELECT 2;",
    transaction: false,
    foreignKeys: false,
    destroys: ["orders", "fills"],
    allows: [
      { code: "lost-index", reason: "it was never used" },
      { code: "table-dropped", reason: "it was a test" },
    ],
  });
});

Deno.test("a table in the destroys option is quoted if its name needs it", () => {
  const names = ["fills", "trade history", 'the "best", of all', "x:y", "ёлка"];
  const option = destroysOption(names);
  assert.equal(option, 'destroys:fills,"trade history","the ""best"", of all",x:y,ёлка');
  const text = `-- migrate:up ${option} database:trading\nSELECT 1;`;
  assert.deepEqual(parseMigrationFile(text, file).destroys, names);
});

Deno.test("Windows line endings, a byte-order mark and indentation make no difference", () => {
  const text = "-- database:trading\n  --migrate:up\nSELECT 1;\n\t-- migrate: down\nSELECT 2;\n";
  const plain = parseMigrationFile(text, file);
  const other = parseMigrationFile(`\uFEFF${text.replaceAll("\n", "\r\n")}`, file);
  assert.deepEqual(other, plain);
  assert.deepEqual(plain.source, { path: file.path, upgradeLine: 3, downgradeLine: 5 });
});

Deno.test("a migration whose migrate:down has no statement cannot be rolled back", () => {
  const text = "-- database: trading\n-- migrate:up\nSELECT 1;\n-- migrate:down\n-- none\n";
  const migration = parseMigrationFile(text, file);
  assert(!("downgrade" in migration));
  assert.equal(migration.source?.downgradeLine, undefined);
});

Deno.test("text that only looks like a directive is not one", () => {
  const text = `-- about: the database: it is big
-- database: trading
-- migrate:up
SELECT 1; -- migrate:down
SELECT ' -- migrate:down '; -- database: nowhere
-- migrate the rows, and migrate: move them
-- migrated:down`;
  assert.match(String(parseMigrationFile(text, file).upgrade), /migrated:down$/);
});

const UP = "-- database: trading\n-- migrate:up\n";
const faults: Readonly<Record<string, readonly [text: string, place: string, reason: RegExp]>> = {
  "an empty file": ["", "1:1", /the file is empty/],
  "only white space": [" \n\n", "1:1", /the file is empty/],
  "no section": ["-- database: trading\nSELECT 1;", "1:1", /no section "-- migrate:up"/],
  "an empty section": [`${UP}-- nothing\n`, "3:1", /has no statement/],
  "an empty section before another": [`${UP}-- migrate:down\nSELECT 1;`, "2:14", /no statement/],
  "a misspelled section": ["-- migrate:upp\nSELECT 1;", "1:1", /unknown section "migrate:upp"/],
  "a duplicate section": [`${UP}SELECT 1;\n-- migrate:up\nSELECT 2;`, "4:1", /two sections/],
  "three sections": [
    `${UP}SELECT 1;\n-- migrate:down\nSELECT 2;\n-- migrate:down\nSELECT 3;`,
    "6:1",
    /two sections "-- migrate:down"/,
  ],
  "down before up": ["-- migrate:down\nSELECT 1;\n-- migrate:up\nSELECT 2;", "1:1", /before/],
  "SQL before the section": [`-- x\nSELECT 1;\n${UP}SELECT 2;`, "2:1", /SQL before/],
  "no database": ["-- migrate:up\nSELECT 1;", "1:1", /does not name its database/],
  "a database named below": [
    "-- migrate:up\nSELECT 1;\n-- database: trading",
    "3:14",
    /does not name/,
  ],
  "an unknown database": [
    "-- database: tradin\n-- migrate:up\nSELECT 1;",
    "1:14",
    /unknown database/,
  ],
  "two databases": [
    "-- database: trading\n-- migrate:up database:positions\nSELECT 1;",
    "2:15",
    /two databases/,
  ],
  "an unknown option": [
    "-- database: trading\n-- migrate:up transactions:false\nSELECT 1;",
    "2:15",
    /not an option/,
  ],
  "an option's wrong value": [
    "-- database: trading\n-- migrate:up foreign-keys:false\nSELECT 1;",
    "2:15",
    /not an option/,
  ],
  "an option without a value": [
    "-- database: trading\n-- migrate:up destroys: orders\nSELECT 1;",
    "2:15",
    /has no value/,
  ],
  "a table's name that is quoted without an end": [
    `-- database: trading\n-- migrate:up destroys:"trade history\nSELECT 1;`,
    "2:15",
    /a quote is not closed/,
  ],
  "options that differ": [
    `${UP}SELECT 1;\n-- migrate:down foreign-keys:off\nSELECT 1;`,
    "4:16",
    /different foreign-keys/,
  ],
  "a suppression without a reason": [`${UP}SELECT 1;\n-- lint:allow lost-index`, "4:1", /reason/],
  "an unclosed string": [`${UP}SELECT 1;\nSELECT 2,\n  'it''s;\n`, "5:3", /the string/],
  "a string open up to the next section": [
    `${UP}SELECT 'x;\n-- migrate:down\nSELECT 'y';`,
    "3:8",
    /the string/,
  ],
  "an unclosed quoted name": [`${UP}SELECT "x;`, "3:8", /the quoted name/],
  "an unclosed comment": [`${UP}SELECT 1; /* why`, "3:11", /the comment/],
  "an open trigger": [
    `${UP}CREATE TEMP TRIGGER g AFTER INSERT ON t BEGIN\n  SELECT 1;\n  SELECT CASE 1 WHEN 1 THEN 2 END;\n`,
    "3:1",
    /the trigger/,
  ],
};

for (const [name, [text, place, reason]] of Object.entries(faults)) {
  Deno.test(`a file is refused with the position of the error: ${name}`, () => {
    const error = fault(text);
    assert(error.message.startsWith(`Cannot use ${file.path}:${place}: `), error.message);
    assert.match(error.message, reason);
    assert.equal(`${error.line}:${error.column}`, place);
    assert.equal(error.path, file.path);
    assert.equal(error.migration, file.name);
    const [, ...shown] = error.help?.split("\n") ?? [];
    if (text.trim() !== "") assert.match(shown.at(-1) ?? "", /^ *\| *\^$/);
  });
}

Deno.test("semicolons in triggers, quotes and comments do not end a statement", () => {
  const upgrade = `CREATE TRIGGER g AFTER INSERT ON t BEGIN
  INSERT INTO log VALUES ('a;b', "c;d", [e;f], \`g;h\`); -- i;j
  /* k; 'l */ SELECT CASE 1 WHEN 1 THEN 2 END;
END;
SELECT 'it''s';`;
  assert.equal(parseMigrationFile(UP + upgrade, file).upgrade, upgrade);
});

Deno.test("any text is either a migration or an error with a position inside it", () => {
  const piece = fc.constantFrom(
    ...["-- migrate:up", "-- migrate:down", "-- database: trading", " transaction:false", "\n"],
    ...[
      "SELECT 1;",
      "'",
      '"',
      "/*",
      "*/",
      "CREATE TRIGGER",
      "END",
      ";",
      "\r\n",
      "ü",
      "--",
      "[",
      "]",
    ],
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 20 }), (pieces) => {
      const text = pieces.join("");
      try {
        const { source, upgrade } = parseMigrationFile(text, file);
        const lines = text.split("\n");
        const first = String(upgrade).split("\n")[0]?.trimEnd() ?? "";
        assert(lines[(source?.upgradeLine ?? 0) - 1]?.startsWith(first));
      } catch (error) {
        assert(error instanceof MigrationFileError, String(error));
        assert(error.line !== undefined && error.line <= text.split("\n").length);
      }
    }),
    { numRuns: 500 },
  );
});
