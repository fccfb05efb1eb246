import { formatBytes, formatDate, formatDuration, printable, renderTable } from "../base/format.ts";
import type { Status } from "../state/status.ts";
import type { Output, Style } from "../terminal/output.ts";
import type { Command, CommandContext } from "./arguments.ts";
import { renderEvents } from "./render.ts";
import type { Documents } from "./documents.ts";

/** `status`: which migrations are applied. */
export const command: Command = {
  name: "status",
  summary: "show which migrations are applied, and where the databases are",
  flags: {
    "check": { type: "boolean", help: "exit with 1 where anything is pending or wrong" },
  },
  examples: [
    ["status", "show everything"],
    ["status --check --quiet", "for scripts: exit code 0 where all is applied"],
  ],
  run: async ({ flags, migrator, output }: CommandContext) => {
    const status = await migrator.status();
    output.json(asJson(status));
    if (!output.isJson) {
      output.answer(renderStatus(status, output.answerStyle));
      hints(status, output);
    }
    return status.unreadable.length > 0 || flags.check && !status.ok ? 1 : 0;
  },
};

function asJson(status: Status): Documents["status"] {
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
