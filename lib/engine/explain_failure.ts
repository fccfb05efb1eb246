import {
  CatalystError,
  InterruptedError,
  MigrationFailedError,
  StatementError,
} from "../base/errors.ts";
import { missingPermission } from "../base/paths.ts";
import { driverMessage } from "../database/failure.ts";
import type { Migration } from "../migration/migration.ts";

/** The number of statements that were started, and the last of them. */
export interface Begun {
  statements: number;
  last: string | null;
}

/** The run of a migration that failed. */
interface FailedRun {
  readonly migration: Migration;
  readonly direction: "upgrade" | "downgrade";
  readonly signal?: AbortSignal | undefined;
}

/** Adds the migration and position to an error; errors that already say what to do are unchanged. */
export async function describeFailure(
  error: unknown,
  run: FailedRun,
  begun: Begun,
): Promise<unknown> {
  const { migration, direction, signal } = run;
  const isUpgrade = direction === "upgrade";
  const cannot = `Cannot ${isUpgrade ? "apply" : "roll back"} ${migration.name}`;
  const options = { cause: error, migration: migration.name, database: migration.database };
  const outcome = outcomeOf(migration, doneBefore(error, begun));
  if (signal?.aborted) {
    return new InterruptedError(`${cannot}: interrupted`, {
      ...options,
      help: `${outcome} Run the command again to continue.`,
    });
  }
  if (error instanceof CatalystError && !(error instanceof StatementError)) {
    // Inside a transaction these errors already describe the outcome.
    if (migration.transaction !== false || error instanceof MigrationFailedError) return error;
    return new MigrationFailedError(error.message, { ...options, help: outcome });
  }
  const cause = error instanceof StatementError ? error : undefined;
  const { place, shown } = await placeOf(cause, run);
  const line = place.line ?? cause?.line;
  const denied = error instanceof Deno.errors.NotCapable ? error : undefined;
  const reason = denied === undefined ? driverMessage(error) : lacking(denied);
  const what = cause?.help ??
    (denied !== undefined ? permissionHelp() : isUpgrade ? adviceOn(reason, migration) : FIX_IT);
  return new MigrationFailedError(
    `${cannot} to ${migration.database}: ${reason}${place.text}`,
    {
      ...options,
      ...(cause?.statement === undefined ? {} : { statement: cause.statement }),
      ...(line === undefined ? {} : { line }),
      ...(migration.source === undefined ? {} : { path: migration.source.path }),
      help: `${what}. ${outcome}${shown === "" ? "" : `\n${shown}`}`,
    },
  );
}

const FIX_IT = "fix the migration, then run the command again";

/** Help for a failed statement, based on SQLite's message. */
export function adviceOn(reason: string, { id, database }: Migration): string {
  const isTaken = /already exists|^duplicate column name|^there is already/.test(reason);
  return isTaken
    ? `if ${database} already has everything, for example because the bot created it, record the ` +
      `migration as applied: \`baseline --to ${id}\`; otherwise ${FIX_IT}`
    : FIX_IT;
}

function lacking({ message }: Error): string {
  return missingPermission(message).replace(/^Requires/, "it requires");
}

function permissionHelp(): string {
  return Deno.build.standalone
    ? "the executable may only read and write files; for more, run the toolkit with Deno: " +
      "deno run -A jsr:@catalyst/migrate upgrade"
    : "run Deno with that permission too, then run the command again";
}

/** Number of completed statements: all that were started except the failed one. */
function doneBefore(error: unknown, { statements, last }: Begun): number {
  const failed = error instanceof CatalystError && error.statement !== undefined &&
    error.statement === last;
  return failed ? statements - 1 : statements;
}

interface ShownPlace {
  readonly place: { readonly text: string; readonly line?: number };
  /** The failed statement's line; empty if unknown. */
  readonly shown: string;
}

async function placeOf(
  error: StatementError | undefined,
  { migration, direction }: FailedRun,
): Promise<ShownPlace> {
  const { source } = migration;
  const isUpgrade = direction === "upgrade";
  const body = isUpgrade ? migration.upgrade : migration.downgrade;
  const { line, statement = "" } = error ?? {};
  if (line === undefined) return { place: { text: "" }, shown: "" };
  const first = isUpgrade ? source?.upgradeLine : source?.downgradeLine;
  if (typeof body !== "string" || source === undefined) {
    return { place: { text: ` (line ${line} of its SQL)` }, shown: "" };
  }
  const { showFailure } = await import("../migration/syntax.ts");
  const shown = showFailure(body, {
    statement,
    line,
    firstLine: first ?? 1,
    message: driverMessage(error),
  });
  if (first === undefined) {
    return { place: { text: ` (line ${line} of its SQL in ${source.path})` }, shown };
  }
  const ofFile = first + line - 1;
  return { place: { text: ` (${source.path}:${ofFile})`, line: ofFile }, shown };
}

/** A migration, and what it may do to rows. */
export interface Allowance {
  readonly migration: Migration;
  /** Whether it is applied or rolled back. */
  readonly direction?: "upgrade" | "downgrade";
  /** Tables whose rows may be lost. */
  readonly destroys: readonly string[];
}

/** The error for a migration that a check refuses. */
export function failedCheck(
  { migration, direction }: Allowance,
  reason: string,
  help: string,
): MigrationFailedError {
  const verb = direction === "downgrade" ? "roll back" : "apply";
  return new MigrationFailedError(`Cannot ${verb} ${migration.name}: ${reason}`, {
    migration: migration.name,
    database: migration.database,
    help: `${help}. ${outcomeOf(migration)}`,
  });
}

/** The state in which a failed migration left its database. */
function outcomeOf(
  { database, transaction }: Pick<Migration, "database" | "transaction">,
  statements?: number,
): string {
  if (transaction !== false) return `It was rolled back; ${database} is unchanged.`;
  const done = statements === undefined
    ? "its changes are kept"
    : statements === 0
    ? "none of its statements was completed"
    : `its first ${
      statements === 1 ? "statement was" : `${statements} statements were`
    } completed and not undone`;
  return `It ran without a transaction: ${done}, and it does not count as applied. ` +
    "The next run starts again with its first statement.";
}
