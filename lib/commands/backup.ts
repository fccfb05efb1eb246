import { abortOnInterrupt } from "../base/event_loop.ts";
import { SnapshotError, UsageError } from "../base/errors.ts";
import { partOfWork } from "../base/steps.ts";
import { compareIds } from "../migration/migration.ts";
import type { DamagedDatabase } from "../snapshot/mod.ts";
import type { Manifest } from "../snapshot/manifest.ts";
import type { SnapshotEntry } from "../snapshot/store.ts";
import { type LostDatabase, wayBack } from "../state/status.ts";
import {
  formatAge,
  formatBytes,
  formatCount,
  formatDate,
  formatDuration,
  printable,
  renderTable,
} from "../base/format.ts";
import { screenWidth } from "../terminal/output.ts";
import {
  choiceFlag,
  type Command,
  type CommandContext,
  type CommandForm,
  dryRunFlag,
  durationFlag,
  type FlagValues,
  fromFlag,
  numberFlag,
  refuseTogether,
  stringFlag,
  withoutSlash,
} from "./arguments.ts";
import type { Documents } from "./documents.ts";
import { interruptibleProgressOf, progressOf, snapshotStep } from "./progress.ts";

/** Flags of `prune`, and the retention setting of each. */
const RETENTION = {
  "keep": "keep",
  "keep-daily": "keepDaily",
  "keep-weekly": "keepWeekly",
  "keep-monthly": "keepMonthly",
} as const;

/** How the copies are checked. */
const VERIFICATIONS = ["quick", "full", "none"] as const;

/** The forms of the command. */
const FORMS: readonly [CommandForm, ...CommandForm[]] = [
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
    "out": {
      type: "string",
      value: "DIR",
      help: "where the snapshots are (default: data/backups)",
    },
    "from": {
      type: "string",
      value: "DIR",
      help: "list, verify: read from a copy of that directory, for example on a NAS",
    },
    "if-older-than": {
      type: "string",
      value: "DURATION",
      help: "do nothing if a snapshot of all databases is newer, for example 90m, 24h or 7d",
    },
    "restore": {
      type: "boolean",
      help: "verify: also restore it into a temporary directory and run `verify --data` there",
    },
    "verify": {
      type: "string",
      value: VERIFICATIONS.join("|"),
      help: "how copies are checked (default: quick); full also compares indexes with tables",
    },
    "compress": { type: "boolean", help: "compress the files with gzip" },
    "keep": { type: "string", value: "N", help: "prune: keep the newest N of each database" },
    "keep-daily": {
      type: "string",
      value: "N",
      help: "prune: keep one for each of the last N days",
    },
    "keep-weekly": {
      type: "string",
      value: "N",
      help: "prune: keep one for each of the last N weeks",
    },
    "keep-monthly": {
      type: "string",
      value: "N",
      help: "prune: keep one for each of the last N months",
    },
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
        return await list(context);
      case "verify":
        return await verify(context, rest);
      case "prune":
        return await prune(context);
      default:
        return await take(context);
    }
  },
};

/** Refuses flags that another form of the command takes, and that would be ignored here. */
function refuseStrayFlags(flags: FlagValues, action: string | undefined): void {
  const form = FORMS.find(({ word }) => word === action) ?? FORMS[0];
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
  await refuseMisspelling(operands, migrator.databases);
  if (!output.isQuiet && !output.isJson) await tellUncovered(context);
  const age = durationFlag(flags, "if-older-than");
  const newest = age === undefined
    ? null
    : await migrator.findSnapshot({ databases: operands, ...directoryOf(flags) });
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
  const interruption = new AbortController();
  using _listening = abortOnInterrupt(interruption);
  using progress = progressOf(context);
  const damaged: DamagedDatabase[] = [];
  const manifest = await migrator.createSnapshot({
    databases: operands,
    ...directoryOf(flags),
    verify: verification(flags),
    compress: flags.compress === true,
    signal: interruption.signal,
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
  const lost = await migrator.lostDatabases(directoryOf(flags));
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

async function tellUncovered(
  { migrator, configuration, output }: CommandContext,
): Promise<void> {
  const { describeUncovered } = await import("../state/discover.ts");
  const uncovered = await migrator.uncoveredFiles();
  if (uncovered.length === 0) return;
  const { detail, help } = describeUncovered(uncovered, {
    hasConfiguration: configuration !== null,
  });
  output.narrate(`${detail}; ${help}`);
}

/** Refuses a misspelled subcommand, which would be taken for a database. */
async function refuseMisspelling(
  [word]: readonly string[],
  databases: readonly string[],
): Promise<void> {
  if (word === undefined || databases.includes(word)) return;
  const { didYouMean } = await import("../base/format.ts");
  const hint = didYouMean(word, FORMS.flatMap((form) => form.word ?? []));
  if (hint === "") return;
  throw new UsageError(`Cannot run backup: "${word}" is neither a subcommand nor a database`, {
    help: `${hint}\`catalyst-migrate backup --help\` lists its arguments`,
  });
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

async function list({ flags, migrator, output }: CommandContext): Promise<number> {
  const { directory } = sourceOf(flags);
  const entries = await migrator.listSnapshots(directory);
  output.json({ ok: true, snapshots: entries } satisfies Documents["backup list"]);
  output.answer(entries.length === 0 ? "No snapshots." : renderEntries(entries));
  return 0;
}

function renderEntries(entries: readonly SnapshotEntry[]): string {
  const now = Date.now() / 1000;
  return renderTable(
    entries.map(({ name, manifest, problems }, index) => [
      name,
      manifest === null ? "-" : formatDate(manifest.createdAt),
      manifest === null ? "-" : formatAge(now - manifest.createdAt),
      manifest === null
        ? "-"
        : formatBytes(manifest.files.reduce((sum, one) => sum + one.sizeBytes, 0)),
      manifest === null ? "-" : newest(manifest),
      manifest?.reason ?? "-",
      problems.length > 0 ? "damaged" : lacks(entries.slice(index)) || "ok",
    ]),
    {
      screen: screenWidth(),
      header: ["SNAPSHOT", "TAKEN (UTC)", "AGE", "SIZE", "UP TO", "WHY", "STATE"],
      notes: entries.map(({ problems }) => printable(problems.join("; "))),
    },
  );
}

/** Databases to list; of more, only the number is shown. */
const LISTED = 2;

/** The databases that a snapshot taken on request lacks although an older one has them. */
function lacks([entry, ...older]: readonly SnapshotEntry[]): string {
  if (entry?.manifest?.reason !== "manual") return "";
  const namesIn = ({ manifest }: SnapshotEntry) =>
    (manifest?.files ?? []).map(({ database }) => database);
  const absent = new Set(older.flatMap(namesIn)).difference(new Set(namesIn(entry)));
  if (absent.size === 0) return "";
  const names = absent.size > LISTED
    ? formatCount(absent.size, "database")
    : [...absent].join(", ");
  return `without ${names}`;
}

/** Id of the newest migration in a snapshot. */
function newest({ files }: Manifest): string {
  return files.flatMap(({ migrations }) => migrations).toSorted(compareIds).at(-1) ?? "-";
}

async function verify(
  context: CommandContext,
  [reference, ...rest]: readonly string[],
): Promise<number> {
  if (reference === undefined || rest.length > 0) {
    throw new UsageError("Cannot verify a snapshot: name one", {
      help: "`backup list` shows the snapshots; `latest` is the newest",
    });
  }
  const { flags, migrator, output } = context;
  const directory = sourceOf(flags);
  using progress = interruptibleProgressOf(context);
  const isTried = flags.restore === true;
  const name = reference === "latest"
    ? (await migrator.listSnapshots(directory.directory))[0]?.name ?? reference
    : reference.replace(/^snapshot_|\.json$/g, "");
  const { ok, problems } = await migrator.verifySnapshot(name, {
    ...directory,
    verify: verification(flags),
    onStep: partOfWork(progress.step, [0, isTried ? 0.1 : 1]),
  });
  if (isTried && ok) {
    const restored = await migrator.tryRestore(name, {
      ...directory,
      onStep: partOfWork(progress.step, [0.1, 1]),
    });
    progress.end();
    output.json(
      { ok: restored.ok, snapshot: name, problems, restored } satisfies Documents["backup verify"],
    );
    const { renderVerification } = await import("./verify.ts");
    const rendered = renderVerification(restored, {
      style: output.answerStyle,
      isBrief: flags.quiet === true,
    });
    if (restored.ok) {
      output.report(
        `Snapshot ${name}: a trial restore succeeded, and no problems were found.`,
      );
    } else output.answer(`Snapshot ${name}, in a trial restore:\n${rendered}`);
    return restored.ok ? 0 : 1;
  }
  progress.end();
  output.json(
    {
      ok,
      snapshot: name,
      problems,
      ...flags.restore === true ? { restored: null } : {},
    } satisfies Documents["backup verify"],
  );
  if (ok) output.report(`Snapshot ${name}: all files match the manifest.`);
  else {
    output.answer(
      [`Snapshot ${name} is damaged:`, ...problems.map((one) => `  ${printable(one)}`)].join("\n"),
    );
  }
  return ok ? 0 : 1;
}

async function prune(
  { flags, migrator, configuration, output }: CommandContext,
): Promise<number> {
  const retention: Record<string, number> = {};
  for (const [flag, key] of Object.entries(RETENTION)) {
    const value = numberFlag(flags, flag, 0);
    if (value !== undefined) retention[key] = value;
  }
  if (Object.keys(retention).length === 0) {
    const { last, daily, weekly, monthly } = configuration?.keep ?? {};
    const kept = { keep: last, keepDaily: daily, keepWeekly: weekly, keepMonthly: monthly };
    for (const [key, count] of Object.entries(kept)) {
      if (count !== undefined) retention[key] = count;
    }
  }
  if (Object.keys(retention).length === 0) {
    throw new UsageError("Cannot prune snapshots: the number to keep is not set", {
      help:
        "use --keep N, --keep-daily N, --keep-weekly N or --keep-monthly N, or set keep in catalyst.json",
    });
  }
  const dryRun = flags["dry-run"] === true;
  const deleted = await migrator.pruneSnapshots({ ...retention, ...directoryOf(flags), dryRun });
  output.json({ ok: true, dryRun, deleted } satisfies Documents["backup prune"]);
  const verb = dryRun ? "would delete" : "deleted";
  output[dryRun ? "answer" : "report"](
    [
      ...deleted.map((name) => `${verb} snapshot ${name}`),
      deleted.length === 0
        ? "Nothing to delete."
        : `${formatCount(deleted.length, "snapshot")} ${dryRun ? "would be" : ""} deleted.`.replace(
          "  ",
          " ",
        ),
    ].join("\n"),
  );
  return 0;
}

/** Where to read snapshots. */
function sourceOf(flags: FlagValues): { directory?: string } {
  refuseTogether("backup", flags, ["out", "from"]);
  return fromFlag(flags) ?? directoryOf(flags);
}

function directoryOf(flags: FlagValues): { directory?: string } {
  const out = stringFlag(flags, "out");
  return out === undefined ? {} : { directory: withoutSlash(out) };
}

function verification(flags: FlagValues): (typeof VERIFICATIONS)[number] {
  return choiceFlag(flags, "verify", VERIFICATIONS) ?? "quick";
}
