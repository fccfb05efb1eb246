/** Names and texts in an untrusted database can neither hide the text after them nor forge lines. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { prepare, run } from "../cli_helpers.ts";
import { tempDir } from "../helpers.ts";
import { reasonForNoTerminal, runArgumentsOnTerminal } from "../lib/terminal/program.ts";

const HOSTILE = "x\x1b[8mHID\nforged line\x1b]0;title\x07";
const noTerminal = reasonForNoTerminal();

Deno.test({
  name: `no command writes data to a terminal unescaped${
    noTerminal === null ? "" : ` (skipped: ${noTerminal})`
  }`,
  ignore: noTerminal !== null,
  async fn() {
    await using directory = await tempDir();
    const cwd = directory.path;
    await prepare(["upgrade"], { cwd });
    await prepare(["backup"], { cwd });
    {
      using ledger = new DatabaseSync(join(cwd, "data/migrations.db"));
      ledger.prepare(
        `INSERT INTO migration_events (migration_id, migration_name, database_name, database_path,
          direction, outcome, started_at, toolkit_version, detail)
        VALUES (?1, ?1, 'trading', ?1, 'import', 'applied', 1e10, '1', ?1)`,
      ).run(HOSTILE);
      using db = new DatabaseSync(join(cwd, "data/trading.db"));
      const name = `"${HOSTILE}"`;
      db.exec(
        `CREATE TABLE ${name} (${name} TEXT DEFAULT ' ${HOSTILE} ');
        INSERT INTO ${name} VALUES ('${HOSTILE}');
        CREATE VIEW "v${HOSTILE}" AS SELECT * FROM ${name};
        CREATE TRIGGER "t${HOSTILE}" AFTER INSERT ON ${name} BEGIN SELECT 1; END;`,
      );
      db.prepare(
        `INSERT INTO catalyst_migrations
        SELECT '077' || ?1, migration_name || ?1, applied_at, 1, checksum, upgrade_sql,
          downgrade_sql, 1, 0, '1' FROM catalyst_migrations`,
      ).run(HOSTILE);
    }
    const cli = fileURLToPath(new URL("../../cli.ts", import.meta.url));
    for (
      const line of [
        "status",
        "history",
        "schema trading",
        "schema trading --check cli.ts",
        "verify --data",
        "doctor",
        "lint",
        "upgrade",
        "restore latest --dry-run",
        "downgrade --steps 1 --dry-run",
        "backup",
        "export trading",
        "export trading --table nothing",
        "import none --database trading",
        "query trading SELECT+1+AS+a",
      ]
    ) {
      const words = line.split(" ").map((word) => word.replaceAll("+", " "));
      const args = ["run", "-A", cli, ...words, "--data-dir", join(cwd, "data")];
      const { stdout } = await runArgumentsOnTerminal(args);
      for (const sequence of ["\x1b[8m", "\x1b]", "\x07"]) {
        assert.ok(!stdout.includes(sequence), line);
      }
      // SQL keeps its line breaks.
      if (!/^(schema|export)/.test(line)) assert.doesNotMatch(stdout, /^forged line/m, line);
    }
    const { stdout } = await run(["export", "trading"], { cwd });
    assert.ok(stdout.includes(HOSTILE));
  },
});
