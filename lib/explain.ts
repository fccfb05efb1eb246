import { driverMessage } from "./database/failure.ts";
import { missingPermission } from "./base/paths.ts";
import type { Begun, Run } from "./engine/apply.ts";
import { outcomeOf } from "./engine/checks.ts";
import {
  CatalystError,
  InterruptedError,
  MigrationFailedError,
  StatementError,
} from "./base/errors.ts";

/** Says which migration failed where; errors that already say what to do stay as they are. */
export async function explain(error: unknown, run: Run, begun: Begun): Promise<unknown> {
  const { migration, direction, signal } = run;
  const isUpgrade = direction === "upgrade";
  const cannot = `Cannot ${isUpgrade ? "apply" : "roll back"} ${migration.name}`;
  const options = { cause: error, migration: migration.name, database: migration.database };
  const outcome = outcomeOf(migration, doneBefore(error, begun));
  if (signal?.aborted) {
    return new InterruptedError(`${cannot}: interrupted`, {
      ...options,
      help: `${outcome} Run the command again to go on.`,
    });
  }
  if (error instanceof CatalystError && !(error instanceof StatementError)) {
    // Of a failure inside a transaction they say the truth by themselves.
    if (migration.transaction !== false || error instanceof MigrationFailedError) return error;
    return new MigrationFailedError(error.message, { ...options, help: outcome });
  }
  const cause = error instanceof StatementError ? error : undefined;
  const { place, shown } = await placeOf(cause, run);
  const line = place.line ?? cause?.line;
  const denied = error instanceof Deno.errors.NotCapable ? error : undefined;
  const what = cause?.help ??
    (denied === undefined ? "mend the migration, then run the command again" : permissionHelp());
  const reason = denied === undefined ? driverMessage(error) : lacking(denied);
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

function lacking({ message }: Error): string {
  return missingPermission(message).replace(/^Requires/, "it requires");
}

function permissionHelp(): string {
  return Deno.build.standalone
    ? "the executable may only read and write files; for more run the toolkit with Deno: " +
      "deno run -A jsr:@catalyst/migrate upgrade"
    : "run Deno with that permission too, then run the command again";
}

/** Statements that were done: all that were begun, but for the one that failed. */
function doneBefore(error: unknown, { statements, last }: Begun): number {
  const failed = error instanceof CatalystError && error.statement !== undefined &&
    error.statement === last;
  return failed ? statements - 1 : statements;
}

interface ShownPlace {
  readonly place: { readonly text: string; readonly line?: number };
  /** The failed statement's line; empty where it isn't known. */
  readonly shown: string;
}

async function placeOf(
  error: StatementError | undefined,
  { migration, direction }: Run,
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
  const { showFailure } = await import("./migration/syntax.ts");
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
