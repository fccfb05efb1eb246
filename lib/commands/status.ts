import { UsageError } from "../base/errors.ts";
import { formatBytes, formatDate, formatDuration, printable, renderTable } from "../base/format.ts";
import { describeUncovered } from "../state/discover.ts";
import type { Status } from "../state/status.ts";
import type { Output, Style } from "../terminal/output.ts";
import { type Command, type CommandContext, durationFlag, stringFlag } from "./arguments.ts";
import { renderEvents } from "./render.ts";
import type { BackupAge, Documents, StatusDocument } from "./documents.ts";

/** `status`: which migrations are applied. */
export const command: Command = {
  name: "status",
  summary: "show which migrations are applied, and where the databases are",
  flags: {
    "check": { type: "boolean", help: "exit with 1 where anything is pending or wrong" },
    "max-backup-age": {
      type: "string",
      value: "DURATION",
      help: "with --check: exit with 1 unless a snapshot of all databases is newer, as in 26h",
    },
  },
  examples: [
    ["status", "show everything"],
    ["status --check --quiet", "for scripts: exit code 0 where all is applied"],
    ["status --check --max-backup-age 26h", "is there a snapshot from the last night?"],
  ],
  run: async ({ flags, migrator, configuration, output }: CommandContext) => {
    const maxAge = durationFlag(flags, "max-backup-age");
    if (maxAge !== undefined && flags.check !== true) {
      throw new UsageError("Cannot use --max-backup-age: it belongs to --check", {
        help: "write `status --check --max-backup-age 26h`",
      });
    }
    const status = await migrator.status();
    const backup = maxAge === undefined ? undefined : await backupAge(migrator, maxAge);
    const ok = status.ok && backup?.ok !== false;
    const uncovered = output.isQuiet && !output.isJson ? [] : await migrator.uncoveredFiles();
    output.json(
      {
        ...asJson(status),
        ok,
        uncovered,
        ...backup === undefined ? {} : { backup },
      } satisfies Documents["status"],
    );
    if (!output.isJson) {
      // A check that passes has nothing to say.
      const tell = flags.check === true && status.ok ? output.report : output.answer;
      tell(renderStatus(status, output.answerStyle));
      hints(status, output);
      if (uncovered.length > 0) {
        const { detail, help } = describeUncovered(uncovered, {
          hasConfiguration: configuration !== null,
        });
        output.narrate(`${detail}; ${help}`);
      }
      if (backup?.ok === false) {
        output.warn(describeAge(backup, stringFlag(flags, "max-backup-age") ?? ""));
      }
    }
    return status.unreadable.length > 0 || flags.check && !ok ? 1 : 0;
  },
};

/** The newest snapshot, and whether it is as new as it has to be. */
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
    ? "there is no snapshot of all databases; `backup` takes one"
    : `the newest snapshot of all databases, ${snapshot}, is ${
      formatDuration(ageSeconds)
    } old, more than ${limit}; \`backup\` takes one`;
}

function asJson(status: Status): Omit<StatusDocument, "uncovered"> {
  const { ok, pending, adoptable, unreconciled, unusable, unreadable, conflicts } = status;
  return {
    ok,
    pending,
    databases: status.databases.map(({ name, path, exists, sizeBytes, journalMode }) => ({
      name,
      path,
      exists,
      sizeBytes,
      journalMode,
    })),
    migrations: status.migrations,
    adoptable,
    unreconciled,
    conflicts,
    unusable,
    unreadable,
    restoring: status.restoring,
    recent: status.recent,
  };
}

/** The state as text: migrations, databases, what happened last. */
export function renderStatus(status: Status, style: Style): string {
  const migrations = status.migrations.map((one) => [
    printable(one.name),
    one.database,
    one.state === "applied" ? style.green(one.state) : style.yellow(one.state),
    one.appliedAt === null ? "-" : formatDate(one.appliedAt),
    one.durationSeconds === null ? "-" : formatDuration(one.durationSeconds),
  ]);
  const databases = status.databases.map((one) => [
    one.name,
    printable(one.path),
    one.exists ? (one.sizeBytes === null ? "-" : formatBytes(one.sizeBytes)) : "not there",
    one.journalMode ?? "-",
  ]);
  const sections = [
    renderTable(migrations, {
      header: ["MIGRATION", "DATABASE", "STATE", "APPLIED (UTC)", "TOOK"],
    }),
    renderTable(databases, { header: ["DATABASE", "PATH", "SIZE", "JOURNAL"] }),
  ];
  if (status.recent.length > 0) sections.push(`Recent history\n${renderEvents(status.recent)}`);
  return sections.join("\n\n");
}

function hints(status: Status, output: Output): void {
  if (status.restoring) output.warn("a restore was interrupted; `upgrade` finishes it");
  for (const { description } of status.conflicts) output.warn(description);
  for (const reason of status.unreadable) output.warn(`${reason}; \`doctor\` says what to do`);
  if (status.adoptable.length > 0) {
    output.narrate(`${status.adoptable.join(", ")} found by the tables; \`upgrade\` adopts them.`);
  }
  if (status.unreconciled.length > 0) {
    output.narrate(
      `The ledger is wrong about ${status.unreconciled.join(", ")}; \`upgrade\` corrects it.`,
    );
  }
  if (status.pending > 0 && status.conflicts.length === 0) {
    output.narrate(`${status.pending} pending; \`upgrade\` applies them.`);
  }
}
