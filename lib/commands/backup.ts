import { SnapshotError, UsageError } from "../base/errors.ts";
import type { DamagedDatabase } from "../snapshot/mod.ts";
import type { Manifest } from "../snapshot/manifest.ts";
import { wayBack } from "../state/status.ts";
import type { LostDatabase } from "../state/lost_databases.ts";
import { didYouMean, formatBytes, formatCount, formatDuration } from "../base/format.ts";
import { printable, renderTable } from "../terminal/text.ts";
import { dryRunFlag, durationFlag, formOf, misuse, stringFlag } from "./flags.ts";
import type { Command, CommandContext, CommandForms, FlagValues } from "./command.ts";
import type { Documents } from "./json_documents.ts";
import { followWork, snapshotStep } from "./progress.ts";
import { tellUncovered } from "./render.ts";
import {
  COPY_CHECKS,
  copyCheckOf,
  RETENTION,
  runList,
  runPrune,
  runVerify,
  snapshotsDirectory,
} from "./snapshots.ts";

/** The forms of the command. */
const FORMS: CommandForms = [
  {
    word: null,
    operands: "[DATABASE...]",
    summary: "take one consistent snapshot of all databases, or of those named",
    flags: ["out", "verify", "compress", "if-older-than"],
  },
  {
    word: "list",
    summary: "list the snapshots, and whether their files are complete",
    flags: ["out", "from"],
  },
  {
    word: "verify",
    operands: "SNAPSHOT",
    summary: "read a snapshot and compare it with its manifest",
    flags: ["out", "from", "verify", "restore"],
  },
  {
    word: "prune",
    summary: "delete older snapshots, never the only good one",
    flags: ["out", ...Object.keys(RETENTION), "dry-run"],
  },
];

/** `backup`: takes, lists, checks and prunes snapshots. */
export const command: Command = {
  name: "backup",
  summary: "take a consistent snapshot of all databases; list, verify and prune snapshots",
  operands: "[DATABASE...]",
  forms: FORMS,
  flags: {
    "out": { value: "DIR", help: "where the snapshots are (default: data/backups)" },
    "from": {
      value: "DIR",
      help: "list, verify: read from a copy of that directory, for example on a NAS",
    },
    "if-older-than": {
      value: "DURATION",
      help: "do nothing if a snapshot of all databases is newer, for example 90m, 24h or 7d",
    },
    "restore": {
      help: "verify: also restore it into a temporary directory and run `verify --data` there",
    },
    "verify": {
      value: COPY_CHECKS.join("|"),
      help: "how copies are checked (default: quick); full also compares indexes with tables",
    },
    "compress": { help: "compress the files with gzip" },
    "keep": { value: "N", help: "prune: keep the newest N of each database" },
    "keep-daily": { value: "N", help: "prune: keep one for each of the last N days" },
    "keep-weekly": { value: "N", help: "prune: keep one for each of the last N weeks" },
    "keep-monthly": { value: "N", help: "prune: keep one for each of the last N months" },
    "dry-run": { ...dryRunFlag, help: "prune: show what would be deleted, and delete nothing" },
  },
  // A restored snapshot is compared with the migrations.
  withoutMigrations: (flags) => flags.restore !== true,
  examples: [
    ["backup", "take a snapshot of all databases and the ledger"],
    ["backup list", "list the snapshots and their age"],
    ["backup verify latest", "check the newest snapshot"],
    ["backup verify latest --restore", "prove that it can be restored"],
    ["backup list --from nas", "list the snapshots in a copy of the directory"],
    ["backup prune --keep 7 --dry-run", "show what would be deleted"],
  ],
  run: async (context: CommandContext) => {
    const [action, ...rest] = context.operands;
    refuseStrayFlags(context.flags, action);
    if ((action === "list" || action === "prune") && rest[0] !== undefined) {
      throw new UsageError(`Cannot use "${rest[0]}": \`backup ${action}\` takes no arguments`, {
        help: "`catalyst-migrate backup --help` lists the arguments",
      });
    }
    switch (action) {
      case "list":
        return await runList(context);
      case "verify":
        return await runVerify(context, rest);
      case "prune":
        return await runPrune(context);
      default:
        return await take(context);
    }
  },
};

/** Refuses flags that another form of the command takes, and that would be ignored here. */
function refuseStrayFlags(flags: FlagValues, action: string | undefined): void {
  const form = formOf(command, action);
  const stray = Object.keys(command.flags).find((flag) =>
    flags[flag] !== undefined && !form.flags.includes(flag)
  );
  if (stray === undefined) return;
  const owners = FORMS.filter(({ flags }) => flags.includes(stray))
    .map(({ word }) => word === null ? "`backup`" : `\`backup ${word}\``);
  throw new UsageError(`Cannot use --${stray}: it is a flag of ${owners.join(" and ")}`, {
    help: "`catalyst-migrate backup --help` lists the flags",
  });
}

async function take(context: CommandContext): Promise<number> {
  const { flags, operands, migrator, output } = context;
  refuseMisspelling(operands, migrator.databases);
  if (!output.isQuiet && !output.isJson) {
    await tellUncovered(await migrator.uncoveredFiles(), context);
  }
  const age = durationFlag(flags, "if-older-than");
  const newest = age === undefined
    ? null
    : await migrator.findSnapshot({ databases: operands, ...snapshotsDirectory(flags) });
  if (age !== undefined && newest !== null && newest.createdAt > Date.now() / 1000 - age) {
    const lost = await lostAmong(context);
    const ok = lost.length === 0;
    output.json({ ok, snapshot: null, lost, newest: newest.name } satisfies Documents["backup"]);
    output.report(
      `Snapshot ${newest.name} is less than ${
        stringFlag(flags, "if-older-than")
      } old; none was taken.`,
    );
    warnOfLost(context, lost);
    return ok ? 0 : 1;
  }
  using progress = followWork(context);
  const damaged: DamagedDatabase[] = [];
  const manifest = await migrator.createSnapshot({
    databases: operands,
    ...snapshotsDirectory(flags),
    verify: copyCheckOf(flags),
    compress: flags.compress === true,
    signal: progress.signal,
    onProgress: (state) => progress.step(snapshotStep(state)),
    onDamaged: (one) => {
      progress.end();
      damaged.push(one);
    },
  }).catch(async (error) => {
    progress.end();
    if (error instanceof SnapshotError) warnOfLost(context, await lostAmong(context));
    throw error;
  });
  progress.end();
  const lost = await lostAmong(context);
  const ok = lost.length === 0 && damaged.length === 0;
  output.json({ ok, snapshot: manifest, lost, damaged } satisfies Documents["backup"]);
  output.report(renderSnapshot(manifest));
  warnOfLost(context, lost);
  for (const { database, reason, onServer } of damaged) {
    output.warn(
      `the snapshot lacks ${database}: ${reason}` +
        (onServer
          ? ""
          : `; \`restore SNAPSHOT ${database}\` brings it back from an earlier snapshot, ` +
            "`backup --verify none` copies it as it is"),
    );
  }
  for (const { database, unchecked = [] } of manifest.files) {
    if (unchecked.length === 0) continue;
    output.narrate(
      `${unchecked.map(printable).join(", ")} of ${database} can't be checked here: ` +
        "it needs a collation or function of the program that created the database",
    );
  }
  return ok ? 0 : 1;
}

/** The lost databases among those to copy. */
async function lostAmong(
  { migrator, operands, flags }: CommandContext,
): Promise<readonly LostDatabase[]> {
  const lost = await migrator.lostDatabases(snapshotsDirectory(flags));
  return lost.filter(({ database }) => operands.length === 0 || operands.includes(database));
}

function warnOfLost(
  { migrator, output }: CommandContext,
  lost: readonly LostDatabase[],
): void {
  for (const one of lost) {
    output.warn(
      `${one.database} is not backed up: ${migrator.pathOf(one.database)} is missing or empty, ` +
        `although it had content before; ${wayBack(one)}`,
    );
  }
}

/** Refuses a misspelled subcommand, which would be taken for a database. */
function refuseMisspelling([word]: readonly string[], databases: readonly string[]): void {
  if (word === undefined || databases.includes(word)) return;
  const hint = didYouMean(word, FORMS.flatMap((form) => form.word ?? []));
  if (hint !== "") {
    throw misuse(command, `"${word}" is neither a subcommand nor a database`, { hint });
  }
}

function renderSnapshot({ name, files, heldSeconds, verified }: Manifest): string {
  const size = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  return [
    renderTable(files.map((file) => [
      file.file,
      formatBytes(file.sizeBytes),
      formatCount(Object.values(file.rows).reduce((sum, rows) => sum + rows, 0), "row"),
    ])),
    `Snapshot ${name}: ${formatCount(files.length, "file")}, ${formatBytes(size)}, ` +
    `${verified === "none" ? "not checked" : "checked"}; writers waited ${
      formatDuration(heldSeconds)
    }.`,
  ].join("\n");
}
