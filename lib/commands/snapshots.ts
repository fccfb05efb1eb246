/**
 * The subcommands of `backup`: `list`, `verify` and `prune`.
 *
 * @module
 */
import { UsageError } from "../base/errors.ts";
import { formatAge, formatBytes, formatCount, formatDate } from "../base/format.ts";
import { printable, renderTable } from "../terminal/text.ts";
import { partOfWork } from "../base/steps.ts";
import { compareIds } from "../migration/migration.ts";
import type { Manifest } from "../snapshot/manifest.ts";
import type { SnapshotEntry } from "../snapshot/store.ts";
import type { CopyCheck } from "../snapshot/take.ts";
import { screenWidth } from "../terminal/output.ts";
import {
  choiceFlag,
  fromFlag,
  numberFlag,
  refuseTogether,
  stringFlag,
  withoutSlash,
} from "./flags.ts";
import type { CommandContext, FlagValues } from "./command.ts";
import type { Documents } from "./json_documents.ts";
import { followReading } from "./progress.ts";
import { renderVerification } from "./render.ts";

/** How the copies are checked. */
export const COPY_CHECKS: readonly CopyCheck[] = ["quick", "full", "none"];

/** Flags of `prune`; for each the option of the migrator and the setting of the configuration. */
export const RETENTION = {
  "keep": ["keep", "last"],
  "keep-daily": ["keepDaily", "daily"],
  "keep-weekly": ["keepWeekly", "weekly"],
  "keep-monthly": ["keepMonthly", "monthly"],
} as const;

/** `backup list`: shows all snapshots, and whether their files are complete. */
export async function runList({ flags, migrator, output }: CommandContext): Promise<number> {
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
      ...manifest === null ? ["-", "-", "-", "-", "-"] : [
        formatDate(manifest.createdAt),
        formatAge(now - manifest.createdAt),
        formatBytes(manifest.files.reduce((sum, one) => sum + one.sizeBytes, 0)),
        newest(manifest),
        manifest.reason,
      ],
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

/** `backup verify`: compares a snapshot with its manifest, and may try to restore it. */
export async function runVerify(
  context: CommandContext,
  [reference, ...rest]: readonly string[],
): Promise<number> {
  if (reference === undefined || rest.length > 0) {
    throw new UsageError("Cannot verify a snapshot: name one", {
      help: "`backup list` shows the snapshots; `latest` is the newest",
    });
  }
  const { flags, migrator, output } = context;
  const source = sourceOf(flags);
  using progress = followReading(context);
  const isTried = flags.restore === true;
  const name = reference === "latest"
    ? (await migrator.listSnapshots(source.directory))[0]?.name ?? reference
    : reference.replace(/^snapshot_|\.json$/g, "");
  const { ok, problems } = await migrator.verifySnapshot(name, {
    ...source,
    verify: copyCheckOf(flags),
    onStep: partOfWork(progress.step, [0, isTried ? 0.1 : 1]),
  });
  const restored = !isTried || !ok ? null : await migrator.tryRestore(name, {
    ...source,
    onStep: partOfWork(progress.step, [0.1, 1]),
  });
  progress.end();
  const isGood = restored?.ok ?? ok;
  output.json(
    {
      ok: isGood,
      snapshot: name,
      problems,
      ...isTried ? { restored } : {},
    } satisfies Documents["backup verify"],
  );
  if (!ok) {
    output.answer(
      [`Snapshot ${name} is damaged:`, ...problems.map((one) => `  ${printable(one)}`)].join("\n"),
    );
  } else if (restored === null) output.report(`Snapshot ${name}: all files match the manifest.`);
  else if (restored.ok) {
    output.report(`Snapshot ${name}: a trial restore succeeded, and no problems were found.`);
  } else {
    const text = renderVerification(restored, {
      style: output.answerStyle,
      isBrief: flags.quiet === true,
    });
    output.answer(`Snapshot ${name}, in a trial restore:\n${text}`);
  }
  return isGood ? 0 : 1;
}

/** `backup prune`: deletes older snapshots. */
export async function runPrune(
  { flags, migrator, configuration, output }: CommandContext,
): Promise<number> {
  const isSet = ([, count]: readonly [string, number | undefined]) => count !== undefined;
  const given = Object.entries(RETENTION)
    .map(([flag, [option]]) => [option, numberFlag(flags, flag, 0)] as const).filter(isSet);
  const retention = given.length > 0 ? given : Object.values(RETENTION)
    .map(([option, setting]) => [option, configuration?.keep?.[setting]] as const).filter(isSet);
  if (retention.length === 0) {
    throw new UsageError("Cannot prune snapshots: the number to keep is not set", {
      help:
        "use --keep N, --keep-daily N, --keep-weekly N or --keep-monthly N, or set keep in catalyst.json",
    });
  }
  const dryRun = flags["dry-run"] === true;
  const deleted = await migrator.pruneSnapshots({
    ...Object.fromEntries(retention),
    ...snapshotsDirectory(flags),
    dryRun,
  });
  output.json({ ok: true, dryRun, deleted } satisfies Documents["backup prune"]);
  const verb = dryRun ? "would delete" : "deleted";
  output[dryRun ? "answer" : "report"](
    [
      ...deleted.map((name) => `${verb} snapshot ${name}`),
      deleted.length === 0
        ? "Nothing to delete."
        : `${formatCount(deleted.length, "snapshot")} ${dryRun ? "would be " : ""}deleted.`,
    ].join("\n"),
  );
  return 0;
}

/** Where to read snapshots. */
function sourceOf(flags: FlagValues): { directory?: string } {
  refuseTogether("backup", flags, ["out", "from"]);
  return fromFlag(flags) ?? snapshotsDirectory(flags);
}

/** Where snapshots are, unless in the data directory. */
export function snapshotsDirectory(flags: FlagValues): { directory?: string } {
  const out = stringFlag(flags, "out");
  return out === undefined ? {} : { directory: withoutSlash(out) };
}

/** How copies are checked. */
export function copyCheckOf(flags: FlagValues): CopyCheck {
  return choiceFlag(flags, "verify", COPY_CHECKS) ?? "quick";
}
