import { UsageError } from "../base/errors.ts";
import { formatAge, formatBytes, formatCount, formatDate, formatDuration } from "../base/format.ts";
import { printable, renderTable, type Style, wrapText } from "../terminal/text.ts";
import type { MigrationState, MigrationStatus } from "../state/assess.ts";
import { type Status, wayBack } from "../state/status.ts";
import type { LostDatabase } from "../state/lost_databases.ts";
import { type Output, screenWidth } from "../terminal/output.ts";
import { durationFlag, stringFlag } from "./flags.ts";
import type { Command, CommandContext } from "./command.ts";
import type { BackupAge, Documents, StatusDocument } from "./json_documents.ts";
import { renderEvents, tellUncovered } from "./render.ts";

/** `status`: whether everything is fine, or what to do next. */
export const command: Command = {
  name: "status",
  summary: "show what is pending, where the databases are, and when they were last backed up",
  flags: {
    "check": { help: "exit with 1 if anything is pending or wrong" },
    "max-backup-age": {
      value: "DURATION",
      help:
        "with --check: also exit with 1 unless a snapshot of all databases is newer, such as 26h",
    },
  },
  examples: [
    ["status", "see whether everything is fine, and what to do next"],
    ["status --verbose", "list the applied migrations too"],
    ["status --check --quiet", "for scripts: exit code 0 if everything is applied"],
    ["status --check --max-backup-age 26h", "fail if the nightly backup is missing"],
  ],
  run: async ({ flags, migrator, configuration, output }: CommandContext) => {
    const maxAge = durationFlag(flags, "max-backup-age");
    if (maxAge !== undefined && flags.check !== true) {
      throw new UsageError("Cannot use --max-backup-age: it needs --check", {
        help: "write `status --check --max-backup-age 26h`",
      });
    }
    const status = await migrator.status();
    const backup = maxAge === undefined ? undefined : await backupAge(migrator, maxAge);
    const isSilent = !output.isJson && output.isQuiet && flags.check === true && status.ok;
    const backups = isSilent ? null : await lastBackups(migrator);
    const ok = status.ok && backup?.ok !== false;
    const uncovered = output.isQuiet && !output.isJson ? [] : await migrator.uncoveredFiles();
    output.json(
      {
        ...status,
        ok,
        databases: listed(status.databases, backups),
        uncovered,
        ...backup === undefined ? {} : { backup },
      } satisfies Documents["status"],
    );
    if (!output.isJson) {
      // A check that passes has nothing to say.
      const tell = flags.check === true && status.ok ? output.report : output.answer;
      tell(renderStatus(status, {
        style: output.answerStyle,
        backups,
        all: flags.verbose === true,
      }));
      hints(status, output);
      await tellUncovered(uncovered, { configuration, output });
      if (backup?.ok === false) {
        output.warn(describeAge(backup, stringFlag(flags, "max-backup-age") ?? ""));
      }
    }
    return status.unreadable.length > 0 || flags.check && !ok ? 1 : 0;
  },
};

/** The newest snapshot, and whether it is recent enough. */
async function backupAge(
  migrator: CommandContext["migrator"],
  maxAgeSeconds: number,
): Promise<BackupAge> {
  const newest = await migrator.findSnapshot();
  const ageSeconds = newest === null ? null : Date.now() / 1000 - newest.createdAt;
  const ok = ageSeconds !== null && ageSeconds <= maxAgeSeconds;
  return { ok, snapshot: newest?.name ?? null, ageSeconds, maxAgeSeconds };
}

function describeAge({ snapshot, ageSeconds }: BackupAge, limit: string): string {
  return ageSeconds === null
    ? "no snapshot has all databases; `backup` takes one"
    : `the newest snapshot of all databases, ${snapshot}, is ${
      formatDuration(ageSeconds)
    } old, more than ${limit}; \`backup\` takes one`;
}

/** When each database was last backed up; null if that can't be read, which `backup list` explains. */
async function lastBackups(
  migrator: CommandContext["migrator"],
): Promise<ReadonlyMap<string, number> | null> {
  try {
    return await migrator.lastBackups();
  } catch {
    return null;
  }
}

/** Of each database only what concerns users, with its last backup. */
function listed(
  databases: Status["databases"],
  backups: ReadonlyMap<string, number> | null,
): StatusDocument["databases"] {
  return databases.map(({ name, path, exists, sizeBytes, journalMode }) => {
    const lastBackup = backups?.get(name) ?? null;
    return { name, path, exists, sizeBytes, journalMode, lastBackup };
  });
}

/** Options of {@link renderStatus}. */
interface StatusOptions {
  readonly style: Style;
  /** When each database was last backed up; null if that can't be read. */
  readonly backups: ReadonlyMap<string, number> | null;
  /** Whether all migrations are listed, and the journal modes. Default: the applied are summarized. */
  readonly all?: boolean;
}

/** Lines of a typical terminal. */
const SCREEN = 24;

/** Migrations that are not applied, which are listed before the others are counted. */
const LISTED = 8;

/** The state as text: the answer, the databases, the migrations, and the outcomes of the last day. */
function renderStatus(status: Status, options: StatusOptions): string {
  const { style, backups, all = false } = options;
  const now = Date.now() / 1000;
  const databases = status.databases.map(({ name, path, exists, sizeBytes, journalMode }) => {
    const backedUp = backups?.get(name);
    return [
      name,
      printable(path),
      exists ? (sizeBytes === null ? "-" : formatBytes(sizeBytes)) : "missing",
      backups === null ? "unknown" : backedUp === undefined ? "never" : ago(now - backedUp),
      ...all ? [journalMode ?? "-"] : [],
    ];
  });
  const sections = [
    wrapText(answerOf(status, options), screenWidth()).join("\n"),
    renderTable(databases, {
      header: ["DATABASE", "PATH", "SIZE", "LAST BACKUP", ...all ? ["JOURNAL"] : []],
      screen: screenWidth(),
    }),
    ...renderMigrations(status, { style, all }),
  ];
  if (status.recent.length > 0) {
    const used = sections.join("\n\n").split("\n").length + 3;
    const events = status.recent.slice(0, Math.max(1, SCREEN - used));
    sections.push(`Last 24 hours (\`history\` shows more)\n${renderEvents(events)}`);
  }
  return sections.join("\n\n");
}

/** One line that says whether everything is fine, or what to do next. */
function answerOf(status: Status, { style, backups }: StatusOptions): string {
  const { migrations, adoptable, unreconciled } = status;
  const named = (...states: readonly MigrationState[]) =>
    migrations.filter(({ state }) => states.includes(state)).map(({ name }) => printable(name));
  const wrong = (text: string) => style.red(text);
  const todo = (text: string) => style.yellow(text);
  if (status.restoring) return wrong("A restore was interrupted. `upgrade` finishes it.");
  if (status.unreadable.length > 0) {
    return wrong("A database or the ledger can't be read. `doctor` says what to do.");
  }
  if (status.unusable.length > 0) {
    return wrong(
      `${formatCount(status.unusable.length, "migration")} can't be used. Correct the files first.`,
    );
  }
  if (status.conflicts.length > 0) {
    return wrong("A table conflicts with a migration. `upgrade` says how to keep the table.");
  }
  const [lost] = status.lost;
  if (lost !== undefined) return wrong(`${describeLost(lost)}.`);
  const strange = named("changed", "missing");
  if (strange.length > 0) {
    return wrong(
      `${strange.slice(0, 3).join(", ")} ${
        strange.length === 1 ? "differs" : "differ"
      } from what ` +
        "was applied. `doctor` says what to do.",
    );
  }
  const failed = named("failed");
  if (failed.length > 0) {
    return wrong(
      `${failed.slice(0, 3).join(", ")} failed. Correct the cause, then run \`upgrade\`.`,
    );
  }
  if (status.databases.every(({ exists }) => !exists)) {
    return todo("There are no databases yet. `upgrade` creates them.");
  }
  if (status.pending > 0) {
    const [is, them] = status.pending === 1 ? ["is", "it"] : ["are", "them"];
    return todo(
      `${formatCount(status.pending, "migration")} ${is} pending. \`upgrade\` applies ${them}.`,
    );
  }
  if (adoptable.length > 0) {
    return todo("Tables of an earlier version were found. `upgrade` adopts them.");
  }
  if (unreconciled.length > 0) {
    return todo("The ledger differs from the databases. `upgrade` corrects it.");
  }
  const isSaved = backups === null || status.databases.every(({ name }) => backups.has(name));
  return style.green("Everything is up to date.") +
    (isSaved ? "" : " `backup` saves the databases that have no backup yet.");
}

function describeLost(lost: LostDatabase): string {
  return `${lost.database} is missing or empty, although it had content before; ${wayBack(lost)}`;
}

function ago(seconds: number): string {
  return seconds < 60 ? "just now" : `${formatAge(seconds)} ago`;
}

/** What is applied in one line, and a table of what is not; or a table of all. */
function renderMigrations(
  { migrations }: Status,
  { style, all }: { readonly style: Style; readonly all: boolean },
): string[] {
  const applied = migrations.filter(({ state }) => state === "applied");
  const listed = all ? migrations : migrations.filter(({ state }) => state !== "applied");
  const shown = all ? listed : listed.slice(0, LISTED);
  const last = applied.reduce<MigrationStatus | undefined>(
    (newest, one) => (one.appliedAt ?? 0) >= (newest?.appliedAt ?? 0) ? one : newest,
    undefined,
  );
  const when = last === undefined || last.appliedAt === null
    ? ""
    : ` ${ago(Date.now() / 1000 - last.appliedAt)}`;
  const summary = last === undefined
    ? "No migration is applied."
    : `${formatCount(applied.length, "migration")} applied, the last (${
      printable(last.name)
    })${when}.`;
  const rows = shown.map((one) => [
    printable(one.name),
    one.database,
    one.state === "applied"
      ? style.green(one.state)
      : style.yellow(one.state === "rolled_back" ? "rolled back" : one.state),
    ...all ? [one.appliedAt === null ? "-" : formatDate(one.appliedAt)] : [],
    ...all ? [one.durationSeconds === null ? "-" : formatDuration(one.durationSeconds)] : [],
  ]);
  const header = ["MIGRATION", "DATABASE", "STATE", ...all ? ["APPLIED (UTC)", "TOOK"] : []];
  const more = listed.length - shown.length;
  return [
    ...rows.length === 0 ? [] : [
      renderTable(rows, { header, screen: screenWidth() }) +
      (more === 0 ? "" : `\nand ${more} more; \`status --verbose\` lists all`),
    ],
    ...all || migrations.length === 0 ? [] : [wrapText(summary, screenWidth()).join("\n")],
  ];
}

/** Details of the answer, and what `upgrade` does in addition. */
function hints(status: Status, output: Output): void {
  for (const { description } of status.conflicts) output.warn(description);
  for (const reason of status.unreadable) output.warn(reason);
  if (status.adoptable.length > 0) {
    output.narrate(
      `The tables of ${status.adoptable.join(", ")} exist already; \`upgrade\` adopts them.`,
    );
  }
  // The answer names the first.
  for (const one of status.lost.slice(1)) output.warn(describeLost(one));
  const isLost = (id: string) =>
    status.lost.some(({ database }) =>
      status.migrations.some((one) => one.id === id && one.database === database)
    );
  const wrong = status.unreconciled.filter((id) => !isLost(id));
  if (wrong.length > 0) {
    output.narrate(
      `The ledger is wrong about ${wrong.join(", ")}; \`upgrade\` corrects it.`,
    );
  }
}
