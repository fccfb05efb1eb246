import type { Bench } from "./scenarios.ts";
import { measure } from "./measure.ts";
import { type Cells, timingCells } from "./report.ts";
import { denoRun } from "./workspace.ts";

/** Maximum duration of `lint` in milliseconds. */
const LIMIT_MS = 500;

/** `lint` of pending migration files, as a complete process. */
export function linting({ workspace, runs }: Bench, count: number): Cells[] {
  const data = workspace.empty("lint_data");
  const migrations = workspace.empty("lint_migrations");
  for (const [name, text] of migrationFiles(count)) {
    Deno.writeTextFileSync(`${migrations}/${name}`, text);
  }
  const cli = (...args: readonly string[]) =>
    denoRun("../../cli.ts", ...args, "--data-dir", data, "--migrations-dir", migrations);
  const candidates = [{ name: "lint", commands: [cli("lint")] }];
  return timingCells(measure(candidates, { runs }), [{
    title: `lint of ${count} migrations`,
    name: "lint",
    checks: [{ kind: "time", limitMs: LIMIT_MS }],
  }]);
}

/** Files with common changes, each with its downgrade; one in ten is a table rebuild. */
export function migrationFiles(count: number): [name: string, text: string][] {
  return Array.from({ length: count }, (_, index) => {
    const id = String(index + 4).padStart(5, "0");
    const { name, options = "", up, down } = change(index);
    const lines = [
      "-- database: trading",
      `-- migrate:up ${options}`,
      up,
      "-- migrate:down",
      down,
    ];
    return [`${id}_${name}.sql`, `${lines.join("\n")}\n`];
  });
}

interface Change {
  readonly name: string;
  readonly options?: string;
  readonly up: string;
  readonly down: string;
}

function change(index: number): Change {
  const table = `notes_${index - index % 10}`;
  switch (index % 10) {
    case 0:
      return {
        name: "create_table",
        up: `CREATE TABLE ${table} (
  note_id INTEGER PRIMARY KEY,
  order_id TEXT REFERENCES orders,
  kind TEXT NOT NULL CHECK (kind IN ('a', 'b')),
  body TEXT
);`,
        down: `DROP TABLE ${table};`,
      };
    case 1:
      return {
        name: "create_index",
        up: `CREATE INDEX ${table}_by_order ON ${table} (order_id, kind);`,
        down: `DROP INDEX ${table}_by_order;`,
      };
    case 2:
      return {
        name: "create_view",
        up:
          `CREATE VIEW ${table}_kinds AS SELECT kind, count(*) AS notes FROM ${table} GROUP BY kind;`,
        down: `DROP VIEW ${table}_kinds;`,
      };
    case 3:
      return {
        name: "change_rows",
        up: `UPDATE orders SET ticker = upper(ticker) WHERE order_id = '${index}';`,
        down: `UPDATE orders SET ticker = lower(ticker) WHERE order_id = '${index}';`,
      };
    case 4:
      return {
        name: "rebuild",
        options: "foreign-keys:off",
        up: rebuild(table, ", 'c'"),
        down: rebuild(table, ""),
      };
    case 5:
      return {
        name: "insert_rows",
        up: `INSERT INTO ${table} (note_id, kind) VALUES (1, 'a'), (2, 'b');`,
        down: `DELETE FROM ${table} WHERE note_id IN (1, 2);`,
      };
    default:
      return {
        name: "add_column",
        up: `ALTER TABLE ${table} ADD COLUMN c${index} INTEGER NOT NULL DEFAULT 0;`,
        down: `ALTER TABLE ${table} DROP COLUMN c${index};`,
      };
  }
}

function rebuild(table: string, kind: string): string {
  return `DROP VIEW ${table}_kinds;
CREATE TABLE new_${table} (
  note_id INTEGER PRIMARY KEY,
  order_id TEXT REFERENCES orders,
  kind TEXT NOT NULL CHECK (kind IN ('a', 'b'${kind})),
  body TEXT
);
INSERT INTO new_${table} SELECT note_id, order_id, kind, body FROM ${table};
DROP TABLE ${table};
ALTER TABLE new_${table} RENAME TO ${table};
CREATE INDEX ${table}_by_order ON ${table} (order_id, kind);
CREATE VIEW ${table}_kinds AS SELECT kind, count(*) AS notes FROM ${table} GROUP BY kind;`;
}
