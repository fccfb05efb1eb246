import type { Rehearsal, RehearsedMigration, RehearsedTable } from "../trial/rehearse_result.ts";
import { printable, renderTable, type Style, wrapText } from "../terminal/text.ts";
import { formatBytes, formatCount, formatDuration } from "../base/format.ts";
import { onOneLine } from "../sql/tokens.ts";
import { refuseTogether, stringFlag, stringFlags } from "./flags.ts";
import type { Command, CommandContext } from "./command.ts";
import { tellProgress } from "./render.ts";
import type { Documents } from "./json_documents.ts";
import { followWork } from "./progress.ts";

/** `rehearse`: runs the pending migrations on copies of the databases. */
export const command: Command = {
  name: "rehearse",
  summary: "run the pending migrations up, down and up on a copy of the real data",
  flags: {
    "migration": { value: "ID", help: "run only this one" },
    "to": { value: "ID", help: "run up to this one" },
    "out-of-order": { help: "run a migration that sorts before an applied one" },
    "data": { help: "copy the rows of databases on a server, too, not only the schema" },
    "dir": {
      value: "DIR",
      help: "where the temporary copies are made (default: beside the databases)",
    },
  },
  examples: [
    ["rehearse", "see what `upgrade` would do to the real rows, and whether it can be undone"],
    ["rehearse --data", "copy the rows of databases on a server too"],
    ["rehearse --dir /mnt/large --json", "make the copies on another disk"],
  ],
  run: async (context: CommandContext) => {
    const { flags, migrator, output } = context;
    const directory = stringFlag(flags, "dir");
    refuseTogether("rehearse", flags, ["migration", "to"]);
    using work = followWork(context);
    const rehearsal = await migrator.rehearse({
      ...stringFlags(flags, "migration", "to"),
      ...(directory === undefined ? {} : { directory }),
      data: flags.data === true,
      outOfOrder: flags["out-of-order"] === true,
      signal: work.signal,
      onStep: work.step,
      onProgress: (state) => {
        if (flags.verbose) work.end();
        tellProgress(output, state);
      },
    });
    work.end();
    output.json(rehearsal satisfies Documents["rehearse"]);
    const isSilent = rehearsal.ok && rehearsal.notices.length === 0;
    output[isSilent ? "report" : "answer"](renderRehearsal(rehearsal, output.answerStyle));
    return rehearsal.ok ? 0 : 1;
  },
};

/** Number of statements to show. */
const SHOWN = 5;

/** Seconds that make a statement worth showing. */
const SLOW = 0.01;

/** The findings of a rehearsal as text. */
function renderRehearsal(rehearsal: Rehearsal, style: Style): string {
  const { migrations, databases, surprises, notices } = rehearsal;
  if (databases.length === 0) return "Nothing to rehearse: no migration is pending.";
  const sections = [
    renderCopies(rehearsal),
    ...migrations.length === 0 ? [] : [renderMigrations(migrations)],
    ...renderTables(migrations),
    ...renderStatements(migrations),
    ...notices.map(({ migration, reason }) => `note: ${migration}: ${printable(reason)}`),
    ...surprises.map(({ code, migration, reason, fix }) =>
      [
        `${style.red("surprise:")} ${migration}: ${printable(reason)} [${code}]`,
        `    ${style.bold("fix:")} ${fix.split("\n").map(printable).join("\n    ")}`,
      ].join("\n")
    ),
  ];
  const count = formatCount(migrations.length, "migration");
  const end = surprises.length === 0
    ? `${count} rehearsed, ${
      style.green("no surprises")
    }. Nothing was changed; \`upgrade\` applies ${migrations.length === 1 ? "it" : "them"}.`
    : `${count} rehearsed, ${
      style.red(formatCount(surprises.length, "surprise"))
    }. Nothing was changed.`;
  return [...sections, end].join("\n");
}

function renderCopies({ databases, copySeconds, heldSeconds }: Rehearsal): string {
  const copied = databases.filter(({ sizeBytes }) => sizeBytes > 0);
  if (copied.length === 0) return "On new databases, because none exist yet:";
  const names = copied.map(({ name, sizeBytes, withRows }) =>
    withRows ? `${name} (${formatBytes(sizeBytes)})` : `the schema of ${name}`
  );
  const hint = copied.some(({ withRows }) => !withRows) ? "; `--data` copies the rows too" : "";
  const line = `On a copy of ${names.join(", ")}, made in ${
    formatDuration(copySeconds)
  }; writers waited ${formatDuration(heldSeconds)}${hint}:`;
  return wrapText(line, 80).join("\n");
}

function renderMigrations(migrations: readonly RehearsedMigration[]): string {
  return renderTable(
    migrations.map((one) => [
      one.name,
      one.database,
      formatDuration(one.seconds),
      formatDuration(one.lockedSeconds),
      countOf(one.rowsTouched),
      one.downgradeSeconds === null ? "-" : formatDuration(one.downgradeSeconds),
    ]),
    {
      header: ["MIGRATION", "DATABASE", "TOOK", "LOCKED", "ROWS", "WAY BACK"],
      align: ["left", "left", "right", "right", "right", "right"],
      indent: 2,
    },
  );
}

function renderTables(migrations: readonly RehearsedMigration[]): string[] {
  const rows = migrations.flatMap(({ id, tables }) =>
    tables.map((table) => [
      id,
      printable(table.name),
      countOf(table.rowsBefore),
      countOf(table.rowsAfter),
      changeOf(table),
      table.restored === null ? "-" : table.restored ? "as before" : "NOT as before",
    ])
  );
  if (rows.length === 0) return [];
  return [
    renderTable(rows, {
      header: ["", "TABLE", "ROWS BEFORE", "AFTER", "VALUES", "WAY BACK"],
      align: ["left", "left", "right", "right"],
      indent: 2,
    }),
  ];
}

function countOf(rows: number | null): string {
  return rows === null ? "-" : formatCount(rows, "row").replace(/ .*/, "");
}

function changeOf({ rowsBefore, rowsAfter, changed }: RehearsedTable): string {
  if (rowsBefore === null) return rowsAfter === null ? "-" : "new";
  if (rowsAfter === null) return "gone";
  return changed ? "changed" : "the same";
}

function renderStatements(migrations: readonly RehearsedMigration[]): string[] {
  const slow = migrations
    .flatMap(({ id, statements }) => statements.map((one) => ({ id, ...one })))
    .filter(({ seconds }) => seconds >= SLOW)
    .toSorted((a, b) => b.seconds - a.seconds)
    .slice(0, SHOWN);
  if (slow.length === 0) return [];
  return [
    renderTable(
      slow.map(({ id, line, seconds, sql }) => [
        id,
        line === null ? "" : `line ${line}`,
        formatDuration(seconds),
        printable(oneLine(sql)),
      ]),
      {
        header: ["", "", "TOOK", "SLOWEST STATEMENTS"],
        align: ["left", "left", "right", "left"],
        indent: 2,
      },
    ),
  ];
}

function oneLine(sql: string): string {
  const line = onOneLine(sql);
  return line.length > 48 ? `${line.slice(0, 48)}...` : line;
}
