import { LocationError, UsageError } from "../base/errors.ts";
import { formatCount } from "../base/format.ts";
import { printable, renderTable } from "../terminal/text.ts";
import { openForWriting } from "../database/open.ts";
import { defaultSettings } from "../database/connection.ts";
import { withTransaction } from "../database/transaction.ts";
import { demoTables } from "../report/demo.ts";
import type { DemoTable } from "../report/demo_account.ts";
import { quoteName } from "../sql/tokens.ts";
import { createCatalystMigrator } from "../catalyst.ts";
import { listFlag, numberFlag } from "./flags.ts";
import type { SelfContainedCommand, SelfContainedContext } from "./command.ts";
import { resolveOptions } from "./resolve_options.ts";
import type { Documents } from "./json_documents.ts";

/** `demo`: creates databases with made-up data. It ignores the configuration and its databases. */
export const command: SelfContainedCommand = {
  name: "demo",
  summary: "create databases with a year of made-up data, to try things out",
  flags: {
    "seed": { value: "N", help: "number that determines the data (default: 1)" },
  },
  examples: [
    ["demo --data-dir demo", "create databases in the directory demo"],
    ["demo --data-dir other --seed 7", "create other data"],
  ],
  runAlone: async ({ flags, environment, output }: SelfContainedContext) => {
    const seed = numberFlag(flags, "seed", 0) ?? 1;
    const [directory] = listFlag(flags, "data-dir");
    if (directory === undefined) {
      throw new UsageError("Cannot create a demo: name a directory", {
        help: "use one without databases, such as --data-dir demo",
      });
    }
    const options = await resolveOptions(flags, environment, { withoutConfiguration: true });
    const migrator = createCatalystMigrator({ ...options, alone: true });
    const { databases, recent } = await migrator.status();
    const existing = databases.find(({ exists }) => exists);
    if (existing !== undefined || recent.length > 0) {
      throw new LocationError(
        `Cannot create a demo in ${directory}: ${
          existing === undefined ? "it has a ledger" : `${existing.path} exists`
        }`,
        { help: "name a directory without databases, such as --data-dir demo" },
      );
    }
    await migrator.upgrade({ backup: false });
    const tables = demoTables(seed);
    for (const { name, path } of databases) {
      await fill(path, tables.filter(({ database }) => database === name));
    }
    output.json(
      {
        ok: true,
        seed,
        databases: databases.map(({ name, path }) => ({ name, path })),
        tables: tables.map(({ database, table, rows }) => ({ database, table, rows: rows.length })),
      } satisfies Documents["demo"],
    );
    output.report(renderTable(
      tables.map(({ database, table, rows }) => [database, table, formatCount(rows.length, "row")]),
      { align: ["left", "left", "right"] },
    ));
    const shown = /^[\w./-]+$/.test(directory) ? directory : `"${directory}"`;
    output.narrate(
      printable(
        `Look at it with \`report --data-dir ${shown}\` or \`query --data-dir ${shown} open-positions\`.`,
      ),
    );
    return 0;
  },
};

/** Writes all rows of a database, or none. */
async function fill(path: string, tables: readonly DemoTable[]): Promise<void> {
  await using connection = await openForWriting({ kind: "file", path });
  await withTransaction(connection, async () => {
    for (const { table, rows } of tables) {
      const columns = Object.keys(rows[0] ?? {});
      const sql = `INSERT INTO ${quoteName(table)} (${columns.map(quoteName).join(", ")})
        VALUES (${columns.map(() => "?").join(", ")})`;
      for (const row of rows) await connection.run(sql, columns.map((name) => row[name] ?? null));
    }
  }, { timeout: defaultSettings.busyTimeout });
}
