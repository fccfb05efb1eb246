import { messageOf } from "../base/format.ts";
import { isDamage, originalError } from "../base/errors.ts";
import { type OnStep, Steps } from "../base/steps.ts";
import type { Connection } from "../database/connection.ts";
import { brokenObjects } from "../schema/broken_objects.ts";
import { driverMessage, needsExtension } from "../database/failure.ts";
import { openForReading } from "../database/open.ts";
import { withSnapshot } from "../database/transaction.ts";
import { readLastGood } from "../snapshot/last_good.ts";
import { inspect, type Inspection } from "../state/inspect.ts";
import { type Marker, readMarkers } from "../state/marker.ts";
import type { Migration } from "../migration/migration.ts";
import { compareSchemas } from "../schema/compare.ts";
import { describeDifference, type Difference, type Finding, type Schema } from "../schema/model.ts";
import { checkIntegrity, foreignKeyViolations } from "../schema/integrity.ts";
import { readSchema } from "../schema/read.ts";
import { buildMigratedSchema, type UnknownSchema } from "../schema/migrated_schema.ts";
import { assess, type DatabaseState, migrationsOf, migrationsOfMarkers } from "../state/assess.ts";
import { conflictFindings } from "../state/refusals.ts";
import { findLostDatabases, type LostDatabase } from "../state/lost_databases.ts";
import { wayBack } from "../state/status.ts";
import { locationOf, type Workspace } from "../state/workspace.ts";

/** Result for one database. */
export interface DatabaseVerification {
  /** Name of the database. */
  readonly name: string;
  /** Path of its file. */
  readonly path: string;
  /** Whether it has no problems. */
  readonly ok: boolean;
  /** Problems found. */
  readonly problems: readonly Finding[];
  /** Findings that are not problems, such as tables that no migration created. */
  readonly notices: readonly Finding[];
  /**
   * SHA-256 of its content, independent of how it is stored; null if not requested or not
   * computable.
   */
  readonly hash: string | null;
}

/** Result of {@link verify}. */
export interface Verification {
  /** Whether no database has problems. */
  readonly ok: boolean;
  /** Every database, in the given order. */
  readonly databases: readonly DatabaseVerification[];
}

/** Reads several databases, by name, and finds what no constraint within one database can. */
export type DataCheck = (
  databases: ReadonlyMap<string, Connection>,
) => Promise<readonly (Finding & { readonly database: string })[]>;

/** What to verify in addition to the schema. */
export interface VerifyOptions {
  /**
   * Whether to verify the data: SQLite's own checks, foreign keys, and rules across databases.
   * Default `false`.
   */
  readonly data?: boolean;
  /** Whether to compute a hash of each database's content. Default `false`. */
  readonly hash?: boolean;
  /** Called periodically with the progress. */
  readonly onStep?: OnStep | undefined;
}

/** How long each step takes, compared with the others. */
const WEIGHTS = { pages: 10, keys: 1, values: 1, rules: 8, hash: 12 };

/** Compares each database with the schema that its applied migrations create. Changes nothing. */
export async function verify(
  workspace: Workspace,
  options: VerifyOptions & { readonly dataCheck?: DataCheck | undefined },
): Promise<Verification> {
  const found = await inspect(workspace, { tolerant: true });
  await using stack = new AsyncDisposableStack();
  const connections = new Map<string, Connection>();
  const steps = new Steps(workOf(found, options), options.onStep);
  const databases = new Map<string, DatabaseVerification>();
  const lost = await findLostDatabases(workspace, found, {
    readLastGood: () => readLastGood(workspace.backups),
  });
  for (const state of found.databases.values()) {
    const { name, path, exists } = state;
    const gone = lost.find(({ database }) => database === name);
    const problems = gone === undefined
      ? stateProblems(workspace, found, name)
      : [lossOf(gone, path)];
    const conflicting = (found.conflicts.get(name) ?? []).map(({ table }) => table);
    const notices: Finding[] = [];
    let hash: string | null = null;
    if (exists) {
      try {
        const connection = stack.use(
          await openForReading(locationOf(workspace, name), workspace.settings),
        );
        connections.set(name, connection);
        const own = await findIn(workspace, connection, { state, options, steps });
        problems.push(...own.problems);
        // A table in conflict is a problem already.
        notices.push(...own.notices.filter(({ object }) => !conflicting.includes(object)));
        if (options.hash) {
          steps.begin(`hashing ${name}`, (state.sizeBytes ?? 0) * WEIGHTS.hash);
          const onShare = (share: number) => steps.advance(share);
          hash = await hashOf(workspace, name, { notices, onShare });
        }
      } catch (thrown) {
        // The other databases are still verified.
        const error = originalError(thrown);
        if (!isDamage(error)) throw thrown;
        connections.delete(name);
        const isReported = problems.some(({ kind }) => kind === "integrity");
        if (!isReported) problems.push(damageOf(name, error.message));
      }
    }
    databases.set(name, { name, path, ok: problems.length === 0, problems, notices, hash });
  }
  if (options.data && options.dataCheck !== undefined) {
    steps.begin("comparing the databases", bytesOf(found) * WEIGHTS.rules);
    const findings = await options.dataCheck(connections).catch((error) => {
      const isReported = databases.values().some(({ ok }) => !ok);
      if (!isDamage(originalError(error)) || !isReported) throw error;
      return [];
    });
    for (const { database, ...finding } of findings) {
      const former = databases.get(database);
      if (former === undefined) continue;
      databases.set(database, { ...former, ok: false, problems: [...former.problems, finding] });
    }
  }
  const all = [...databases.values()];
  return { ok: all.every(({ ok }) => ok), databases: all };
}

/** The weight of all steps. */
function workOf(found: Inspection, { data, hash }: VerifyOptions): number {
  const { pages, keys, values, rules } = WEIGHTS;
  const weight = (data ? pages + keys + values + rules : 0) + (hash ? WEIGHTS.hash : 0);
  return bytesOf(found) * weight;
}

function bytesOf({ databases }: Inspection): number {
  return [...databases.values()].reduce((sum, { sizeBytes }) => sum + (sizeBytes ?? 0), 0);
}

function lossOf(lost: LostDatabase, path: string): Finding {
  return {
    kind: "lost",
    object: lost.database,
    detail: `${path} is missing or empty, although it had content before`,
    fix: lost.snapshot === null
      ? "move the file back, or restore it from a copy; `upgrade` creates it without rows"
      : wayBack(lost),
  };
}

/** What to do about a damaged database file. */
export const damageHelp =
  "`repair` can't fix a damaged file: `restore` a snapshot of it, or save " +
  "what is readable with `sqlite3 FILE .recover`";

/** The finding for a damaged database file. */
export function damageOf(database: string, detail: string): Finding {
  return { kind: "integrity", object: database, detail, fix: damageHelp };
}

interface Subject {
  readonly state: DatabaseState;
  readonly options: VerifyOptions;
  readonly steps: Steps;
}

async function findIn(
  workspace: Workspace,
  connection: Connection,
  { state: { name, adoptable, sizeBytes }, options, steps }: Subject,
): Promise<{ readonly problems: readonly Finding[]; readonly notices: readonly Finding[] }> {
  // Another migrator may be running: markers and schema must be consistent.
  const schema = await withSnapshot(connection, async () => {
    const { markers } = await readMarkers(connection);
    const { registry } = workspace;
    return await compareWithMigrations(connection, {
      migrations: markers?.length
        ? migrationsOfMarkers(registry, name, markers)
        : migrationsOf(registry, name, adoptable),
      adopted: isAdopted(markers),
    });
  });
  const isReported = (object: string) =>
    schema.problems.some((problem) => object.endsWith(` "${problem.object}"`));
  const broken = [...await brokenObjects(connection)]
    .filter(([object]) => !isReported(object))
    .map(([object, reason]): Finding => ({
      kind: "broken",
      object,
      detail: `${object} can't be used: ${reason}`,
      fix: schema.problems.length === 0
        ? "change or drop it with a migration"
        : "fix the problems above first; if it still can't be used, change or drop it with a migration",
    }));
  const problems = [...schema.problems, ...broken];
  const isUnmanaged = !workspace.registry.migrations.some(({ database }) => database === name);
  const notices = isUnmanaged && schema.notices.length > 0
    ? [unmanaged(name, schema.notices.length)]
    : schema.notices;
  if (!options.data) return { problems, notices };
  const bytes = sizeBytes ?? 0;
  const { checkValues } = await import("../schema/integrity.ts");
  steps.begin(`checking the pages of ${name}`, bytes * WEIGHTS.pages);
  const integrity = await checkIntegrity(connection);
  steps.begin(`checking the foreign keys of ${name}`, bytes * WEIGHTS.keys);
  integrity.problems.push(...await foreignKeyViolations(connection));
  steps.begin(`checking the values of ${name}`, bytes * WEIGHTS.values);
  return {
    problems: [...problems, ...integrity.problems, ...await checkValues(connection)],
    notices: [...notices, ...integrity.notices],
  };
}

function unmanaged(database: string, objects: number): Finding {
  return {
    kind: "unmanaged",
    object: database,
    detail: `no migration created its ${objects === 1 ? "object" : `${objects} objects`}`,
    fix: `nothing to do; to change it with migrations, run \`adopt ${database}\` first`,
  };
}

async function hashOf(
  workspace: Workspace,
  database: string,
  { notices, onShare }: {
    readonly notices: Finding[];
    readonly onShare: (share: number) => void;
  },
): Promise<string | null> {
  const { contentHash } = await import("../dump/hash.ts");
  try {
    return await contentHash(locationOf(workspace, database), workspace.settings, onShare);
  } catch (error) {
    if (!needsExtension(error)) throw error;
    notices.push({
      kind: "unchecked",
      object: database,
      detail: `${database} has no hash: ${driverMessage(error)}`,
      fix: "compute it in the program that provides what is missing",
    });
    return null;
  }
}

function stateProblems(workspace: Workspace, found: Inspection, database: string): Finding[] {
  const conflicts = conflictFindings(found, database);
  const states = assess(workspace.registry, found).filter((one) => one.database === database);
  const fixes = {
    applied: "",
    pending: "run `upgrade`",
    failed: "fix the cause, then run `upgrade`",
    rolled_back: "run `upgrade` to apply it again",
    changed:
      "restore the migration's old text, or accept the new one: `repair --accept-changed ID`",
    missing: "use the version of catalyst-migrate, or the migrations, that made this database",
    unknown: "run `doctor`, which says what is wrong with the file",
  };
  return [
    ...conflicts,
    ...states.filter(({ state }) => state !== "applied").map(({ state, name }): Finding => ({
      kind: state,
      object: name,
      detail: `migration ${name} is ${state === "rolled_back" ? "rolled back" : state}`,
      fix: fixes[state],
    })),
  ];
}

/** What to compare a database with. */
interface Expectation {
  /** The migrations in it, in order. */
  readonly migrations: readonly Migration[];
  /**
   * Whether the database was adopted: its views may be an earlier version's with different text.
   */
  readonly adopted: boolean;
}

/** Differences between a database and what its migrations create. Extra objects are notices. */
export async function compareWithMigrations(
  connection: Connection,
  { migrations, adopted }: Expectation,
): Promise<{ problems: Finding[]; notices: Finding[] }> {
  const expected = await buildMigratedSchema(migrations);
  if (!expected.known) return { problems: [], notices: [unchecked(expected)] };
  const actual = await readSchema(connection);
  const differences = compareSchemas(expected.schema, actual);
  const isUnmanaged = ({ kind, type }: Difference) => kind === "extra" && type !== "column";
  const isOtherWording = ({ kind, type, object }: Difference) =>
    adopted && kind === "different" && type === "view" &&
    columnsOf(expected.schema, object) === columnsOf(actual, object);
  return {
    problems: differences.filter((one) => !isUnmanaged(one) && !isOtherWording(one)).map(toProblem),
    notices: [
      ...differences.filter(isUnmanaged).map(({ object, type, detail }) => ({
        kind: "unmanaged",
        object,
        detail,
        fix: `nothing to do: no migration created this ${type}, and none will change it`,
      })),
      ...differences.filter(isOtherWording).map(({ object, detail }) => ({
        kind: "adopted",
        object,
        detail: `${detail}; the database was adopted with it`,
        fix: "run `repair`, which replaces the view; a view holds no rows",
      })),
    ],
  };
}

/** Whether tables existed before the toolkit: an adopted migration has a duration of zero. */
export function isAdopted(markers: readonly Marker[] | null | undefined): boolean {
  return !markers?.length || markers.some(({ durationSeconds }) => durationSeconds === null);
}

function columnsOf(schema: Schema, view: string): string {
  const found = schema.views.find(({ name }) => name.toLowerCase() === view.toLowerCase());
  return (found?.columns ?? []).join("\0").toLowerCase();
}

function unchecked({ migration, error }: UnknownSchema): Finding {
  return {
    kind: "unchecked",
    object: migration.name,
    detail:
      `the schema can't be checked, since ${migration.name} does not run on an empty database: ` +
      messageOf(error),
    fix: "make the migration work without rows, too",
  };
}

function toProblem(difference: Difference): Finding {
  const { kind, object } = difference;
  return { kind, object, detail: describeDifference(difference), fix: fixOf(difference) };
}

function fixOf({ kind, type, object, table }: Difference): string {
  if (kind === "missing" && type !== "column") return "run `repair`, which recreates it";
  if (kind === "different" && (type === "index" || type === "view" || type === "trigger")) {
    return `drop it (DROP ${type.toUpperCase()} ${object}), then run \`repair\`, which recreates it`;
  }
  if (kind === "missing") return `add it with a migration (ALTER TABLE ${table} ADD COLUMN ...)`;
  if (kind === "extra") return `drop it with a migration, or leave it if your bot needs it`;
  return `rebuild table ${table} with a migration: new table, copy the rows, drop the old, rename`;
}
