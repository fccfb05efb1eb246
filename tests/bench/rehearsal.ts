import { DatabaseSync } from "node:sqlite";
import { fillTrading } from "./big_database.ts";
import { type Candidate, measure, runToEnd } from "./measure.ts";
import { type Cells, timingCells } from "./report.ts";
import type { Bench } from "./scenarios.ts";
import { denoRun } from "./workspace.ts";

const UPDATE = `-- database: trading
-- migrate:up
UPDATE orders SET metadata = lower(metadata) WHERE metadata IS NOT NULL;
-- migrate:down
UPDATE orders SET metadata = upper(metadata) WHERE metadata IS NOT NULL;
`;

/** Adds a check to the orders and removes it again. */
function rebuild(orders: string): string {
  const made = (check: string) =>
    `${orders.replace(/\borders\b/, "new_orders").replace(/\)\s*$/, `${check})`)};
INSERT INTO new_orders SELECT * FROM orders;
DROP TABLE orders;
ALTER TABLE new_orders RENAME TO orders;
`;
  return `-- database: trading
-- migrate:up foreign-keys:off
${made(", CHECK (quantity < 1000000)")}
-- migrate:down foreign-keys:off
${made("")}`;
}

/** A rehearsal compared with its maximum cost: a backup and twice the migration. */
export function rehearsals({ workspace, runs }: Bench, bytes: number): Cells[] {
  const data = workspace.empty("rehearsal");
  runToEnd(denoRun("../../cli.ts", "upgrade", "--data-dir", data));
  const trading = `${data}/trading.db`;
  fillTrading(trading, bytes);
  const size = `${(Deno.statSync(trading).size / 1e6).toFixed(0)} MB`;
  const cells = compare("UPDATE of every row", UPDATE);
  const orders = prepareRebuild(trading);
  return [...cells, ...compare("rebuild of the table", rebuild(orders))];

  function compare(what: string, migration: string): Cells[] {
    const migrations = workspace.empty("migrations");
    Deno.writeTextFileSync(`${migrations}/004_measured.sql`, migration);
    const copies = ["first", "second"].map((name) => `${workspace.path}/${name}`);
    const prepare = () => {
      for (const copy of copies) {
        workspace.empty(copy.slice(workspace.path.length + 1));
        for (const { name, isFile } of Deno.readDirSync(data)) {
          if (isFile) Deno.copyFileSync(`${data}/${name}`, `${copy}/${name}`);
        }
      }
      workspace.empty("snapshots");
    };
    const cli = (...args: string[]) => denoRun("../../cli.ts", ...args);
    const own = ["--migrations-dir", migrations];
    const out = ["--out", `${workspace.path}/snapshots`];
    const candidates: Candidate[] = [
      {
        name: "allowed",
        prepare,
        commands: [
          cli("backup", "trading", "--data-dir", data, "--verify", "none", ...out),
          ...copies.map((copy) => cli("upgrade", "--data-dir", copy, ...own)),
        ],
      },
      { name: "rehearse", prepare, commands: [cli("rehearse", "--data-dir", data, ...own)] },
    ];
    return timingCells(measure(candidates, { runs, warmUps: 1 }), [
      { title: `backup and twice upgrade, ${what}, ${size}`, name: "allowed" },
      {
        title: `rehearse, ${what}`,
        name: "rehearse",
        checks: [{ kind: "ratio", to: "allowed", limit: 1 }],
      },
    ]);
  }
}

/** Drops everything that prevents a plain rebuild; returns the statement that created the orders. */
function prepareRebuild(path: string): string {
  using db = new DatabaseSync(path);
  const views = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'view'").all();
  for (const { name } of views) db.exec(`DROP VIEW "${name}"`);
  const indexes = db.prepare(
    "SELECT name FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'orders' AND sql IS NOT NULL",
  ).all();
  for (const { name } of indexes) db.exec(`DROP INDEX "${name}"`);
  return String(
    db.prepare("SELECT sql FROM sqlite_schema WHERE name = 'orders'").get()?.["sql"],
  );
}
