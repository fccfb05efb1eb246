import { CatalystError, ConfirmationError, InterruptedError } from "../base/errors.ts";
import { type Connection, number, text } from "../database/connection.ts";
import { openForReading } from "../database/open.ts";
import { withSnapshot } from "../database/transaction.ts";
import { type DestroyedRows, runAndRecord } from "../engine/apply.ts";
import { reconcile } from "../engine/reconcile.ts";
import { Session } from "../engine/session.ts";
import { checksumOf, type Migration, type Registry } from "../migration/migration.ts";
import { countRowsOf, readColumns, type Schema, usersTables } from "../schema/model.ts";
import { readSchema } from "../schema/read.ts";
import { buildReference, type Reference } from "../schema/reference.ts";
import type { Safeguard, TakenSnapshots } from "../snapshot/safeguard.ts";
import { fold, quoteName } from "../sql/tokens.ts";
import { assess, corrections, type MigrationStatus } from "../state/assess.ts";
import { inspect, type Inspection } from "../state/inspect.ts";
import { type DowngradeRequest, migrationsToRollBack } from "../state/plan.ts";
import { withRollbackHelp, withVanishedMigrations } from "../state/refusals.ts";
import { locationOf, type Workspace } from "../state/workspace.ts";
import { beforeOptions, runEach, takenBy, type UpgradeOptions } from "./apply_pending.ts";

/** What a downgrade would do. */
export interface DowngradePlan {
  /** The migrations that it would roll back, newest first. */
  readonly rollBack: readonly Migration[];
  /** Losses by table, including tables without rows. */
  readonly losses: readonly Loss[];
}

/** Options for a downgrade. */
export interface DowngradeOptions
  extends DowngradeRequest, Omit<UpgradeOptions, "migration" | "to"> {
  /**
   * Called with the plan before rows are lost, and only then; anything but `true` cancels.
   */
  readonly confirm?: (plan: DowngradePlan) => boolean | Promise<boolean>;
}

/** Result of a downgrade. */
export interface DowngradeResult extends TakenSnapshots {
  /** Ids of the migrations that were rolled back, newest first. */
  readonly rolledBack: readonly string[];
  /** Losses by table, counted in the transactions that caused them; only tables that had rows. */
  readonly lost: readonly Loss[];
  /** Ids of migrations that were present without a marker, and were marked first. */
  readonly adopted: readonly string[];
  /** Ids of the migrations whose ledger row was corrected. */
  readonly reconciled: readonly string[];
}

/** Plans what {@link downgrade} would do; changes nothing. */
export async function planDowngrade(
  workspace: Workspace,
  request: DowngradeRequest,
): Promise<DowngradePlan> {
  const { rollBack, losses } = await planRollback(workspace, await inspect(workspace), request);
  return { rollBack, losses };
}

/** Reconciles, then rolls migrations back, newest first; stops at the first failure. */
export async function downgrade(
  workspace: Workspace,
  options: DowngradeOptions,
): Promise<DowngradeResult> {
  const first = await inspect(workspace);
  const planned = await planRollback(workspace, first, options);
  if (planned.rollBack.length === 0 && corrections(workspace.registry, first).length === 0) {
    return { rolledBack: [], lost: [], adopted: [], reconciled: [], snapshot: null };
  }
  await requireConfirmation(planned, options);
  await options.onWork?.(planned.rollBack);
  await using session = await Session.begin(workspace, { signal: options.signal });
  const { safeguard, ...done } = await rollBackWith(workspace, session, { planned, options });
  return { ...done, ...takenBy(safeguard) };
}

/** What was confirmed, and how to roll it back. */
interface Confirmed {
  readonly planned: DowngradePlan;
  readonly options: DowngradeOptions;
}

/** What was rolled back while the lock was held. */
interface RolledBack extends Omit<DowngradeResult, keyof TakenSnapshots> {
  /** The snapshots taken; null if none was requested, or nothing was done. */
  readonly safeguard: Safeguard | null;
}

/** Rolls back what was confirmed, with a lock that is already held. */
export async function rollBackWith(
  workspace: Workspace,
  session: Session,
  { planned, options }: Confirmed,
): Promise<RolledBack> {
  const found = await inspect(workspace);
  const { rollBack, losses, uncertain } = await planRollback(workspace, found, options);
  refuseOtherLosses(planned, losses);
  const safeguard = options.backup === false
    ? null
    : await safeguardFor(workspace, session, { rollBack, options });
  const rolledBack: string[] = [];
  const lost: Loss[] = [];
  let reconciliation = { adopted: [] as readonly string[], reconciled: [] as readonly string[] };
  const at: { current: Migration | null } = { current: null };
  try {
    reconciliation = await reconcile(workspace, session, found);
    const rollBackNext = async (migration: Migration) => {
      at.current = migration;
      const isCertain = !uncertain.has(migration.database);
      const rollback = { migration, safeguard, losses, isCertain, planned, options };
      lost.push(...await rollBackOne(workspace, session, rollback));
      rolledBack.push(migration.id);
    };
    await runEach(rollBack, rollBackNext, { direction: "downgrade", hooks: options.hooks });
    at.current = null;
    await session.sync();
  } catch (error) {
    if (error instanceof CatalystError) {
      error.progress = {
        done: rolledBack,
        ...reconciliation,
        lost,
        failed: at.current?.id ?? null,
      };
    }
    throw error;
  }
  return { rolledBack, lost, ...reconciliation, safeguard };
}

async function safeguardFor(
  workspace: Workspace,
  session: Session,
  { rollBack, options }: Pick<DowngradePlan, "rollBack"> & { readonly options: DowngradeOptions },
): Promise<Safeguard | null> {
  if (rollBack.length === 0) return null;
  const databases = [...new Set(rollBack.map(({ database }) => database))];
  const { Safeguard } = await import("../snapshot/safeguard.ts");
  return await Safeguard.begin(workspace, session, beforeOptions(databases, options));
}

interface Rollback extends Confirmed {
  readonly migration: Migration;
  readonly safeguard: Safeguard | null;
  readonly losses: readonly Loss[];
  /** Whether the list is complete. */
  readonly isCertain: boolean;
}

async function rollBackOne(
  workspace: Workspace,
  session: Session,
  { migration, safeguard, losses, isCertain, planned, options }: Rollback,
): Promise<Loss[]> {
  const { id, name, database } = migration;
  if (options.signal?.aborted) {
    throw new InterruptedError(`Cannot roll back ${name}: interrupted`, {
      help: "run the command again to continue",
    });
  }
  const progress = { direction: "downgrade", id, name, database } as const;
  options.onProgress?.({ kind: "started", ...progress, durationSeconds: null });
  const atStake = losses.filter((loss) => loss.database === database);
  const isInside = migration.transaction !== false;
  let others: readonly Loss[] = [];
  let lost: Loss[] = [];
  const declared = new Set((migration.destroys ?? []).map(fold));
  let destroyed: readonly DestroyedRows[] = [];
  const durationSeconds = await runAndRecord(workspace, session, {
    migration,
    direction: "downgrade",
    checksum: await checksumOf(migration.downgrade),
    get snapshot() {
      return safeguard?.nameFor(database) ?? null;
    },
    // What was confirmed or declared: rows added to an empty table since then stop the rollback.
    destroys: [
      ...atStake.filter(({ rows }) => rows > 0).map(({ table }) => table),
      ...migration.destroys ?? [],
    ],
    onDestroyed: (losses) => destroyed = losses,
    begin: async (connection) => {
      others = await recountLosses(connection, await uncounted(connection, atStake));
      const isEarly = !isCertain || !isInside || !await isReadableLater(connection);
      if (isEarly && (declared.size > 0 || atStake.some(({ rows }) => rows > 0))) {
        await safeguard?.secure(connection, database);
      }
    },
    verify: async (connection, { before, after }) => {
      lost = goneBetween(
        atStake,
        { rows: before, others },
        { rows: after, others: await recountLosses(connection, others) },
      );
      const undeclared = lost.filter(({ table }) => !declared.has(fold(table)));
      const whole = new Set(
        lost.filter(({ columns }) => columns === undefined).map(({ table }) => fold(table)),
      );
      for (const { table, rows } of destroyed) {
        const isNew = declared.has(fold(table)) && !whole.has(fold(table));
        if (isNew) lost.push({ database, table, rows });
      }
      if (!isInside) return;
      refuseOtherLosses(planned, undeclared);
      // A copy takes long, so it is only made before a commit that removes rows.
      if (lost.length > 0) await safeguard?.secure(connection, database);
    },
    timeout: workspace.timeout,
    signal: options.signal,
  });
  safeguard?.recordChange();
  options.onProgress?.({ kind: "finished", ...progress, durationSeconds });
  return lost;
}

/**
 * Whether other connections can still read the committed data while a large transaction is open.
 */
async function isReadableLater(connection: Connection): Promise<boolean> {
  const row = await connection.get("PRAGMA main.journal_mode");
  return row !== undefined && text(row, "journal_mode") === "wal";
}

interface FullPlan extends DowngradePlan {
  /** Names of the databases whose losses cannot be determined in memory. */
  readonly uncertain: ReadonlySet<string>;
}

async function planRollback(
  workspace: Workspace,
  found: Inspection,
  request: DowngradeRequest,
): Promise<FullPlan> {
  // A migration missing from the registry is rolled back with what the databases stored of it, but
  // only on request: rolling back everything must not undo the work of a newer version.
  const isAsked = (request.migration ?? request.to ?? request.steps) !== undefined;
  const registry = isAsked
    ? await withVanishedMigrations(workspace, assess(workspace.registry, found))
    : workspace.registry;
  const statuses = assess(registry, found);
  const rollBack = await choose(workspace, found, { registry, statuses, request });
  const applied = new Set(
    statuses.filter(({ state }) => state === "applied" || state === "changed").map(({ id }) => id),
  );
  const losses: Loss[] = [];
  const uncertain = new Set<string>();
  if (rollBack.length > 0) {
    for (const database of new Set(rollBack.map((one) => one.database))) {
      const belongs = (one: Migration) => one.database === database;
      await using connection = await openForReading(
        locationOf(workspace, database),
        workspace.settings,
      );
      const found = await findLosses(
        connection,
        registry.migrations.filter((one) => belongs(one) && applied.has(one.id)),
        rollBack.filter(belongs),
      );
      losses.push(...found.losses);
      if (!found.isCertain) uncertain.add(database);
    }
  }
  return { rollBack, losses, uncertain };
}

async function choose(
  workspace: Workspace,
  found: Inspection,
  { registry, statuses, request }: {
    readonly registry: Registry;
    readonly statuses: readonly MigrationStatus[];
    readonly request: DowngradeRequest;
  },
): Promise<Migration[]> {
  try {
    return migrationsToRollBack(registry, statuses, request);
  } catch (error) {
    throw await withRollbackHelp(error, { workspace, found });
  }
}

/** Asks for confirmation before rows are lost. */
export async function requireConfirmation(
  plan: DowngradePlan,
  options: DowngradeOptions,
): Promise<void> {
  if (plan.losses.every(({ rows }) => rows === 0)) return;
  if (await options.confirm?.(plan) === true) return;
  throw new ConfirmationError(
    `Cannot roll back ${plan.rollBack.map(({ id }) => id).join(", ")}: it would lose ${
      describeLosses(plan.losses)
    }`,
    { help: "nothing was changed; confirm with `yes`, or use --yes in a non-interactive session" },
  );
}

/** While the question was open, the bot may have inserted rows into an empty table. */
function refuseOtherLosses(confirmed: DowngradePlan, losses: readonly Loss[]): void {
  const key = ({ database, table }: Loss) => `${database}.${table}`;
  const known = new Set(confirmed.losses.filter(({ rows }) => rows > 0).map(key));
  const added = losses.filter((loss) => loss.rows > 0 && !known.has(key(loss)));
  if (added.length === 0) return;
  throw new ConfirmationError(
    `Cannot roll back: rows were added after the confirmation: ${describeLosses(added)}`,
    { help: "they were kept; run the command again" },
  );
}

/** `3 rows of trading.orders, the values of notes in 2 rows of trading.fills`. */
export function describeLosses(losses: readonly Loss[]): string {
  return losses.filter(({ rows }) => rows > 0).map(({ database, table, rows, columns }) => {
    const what = `${rows} ${rows === 1 ? "row" : "rows"} of ${database}.${table}`;
    return columns === undefined ? what : `the values of ${columns.join(", ")} in ${what}`;
  }).join(", ");
}

/** Rows that a rollback removes. */
export interface Loss {
  /** Name of the database. */
  readonly database: string;
  /** Name of the table. */
  readonly table: string;
  /** Number of rows that are removed, or that lose values. */
  readonly rows: number;
  /** Columns that lose their values; absent if the whole table is dropped. */
  readonly columns?: readonly string[];
}

/** What rollbacks would remove. */
interface FoundLosses {
  readonly losses: readonly Loss[];
  /** Whether memory gave the answer; otherwise all tables are listed, and columns are unknown. */
  readonly isCertain: boolean;
}

/** Finds which tables and columns a series of rollbacks drops, by running them in memory. */
export async function findLosses(
  connection: Connection,
  applied: readonly Migration[],
  rollback: readonly Migration[],
): Promise<FoundLosses> {
  const before = await buildReference(applied);
  const after = await buildReference(applied, { rollBack: rollback });
  // Another migrator may be running: a table must still exist when its rows are counted.
  const count = () => countLosses(connection, rollback, { before, after });
  const losses = await withSnapshot(connection, count);
  return { losses, isCertain: before.known && after.known };
}

async function countLosses(
  connection: Connection,
  rollback: readonly Migration[],
  { before, after }: { readonly before: Reference; readonly after: Reference },
): Promise<Loss[]> {
  const database = rollback[0]?.database ?? "";
  const actual = await readSchema(connection);
  const losses: Loss[] = [];
  // If memory gave no answer, every table is at stake.
  const atStake: Dropped[] = before.known && after.known
    ? dropped(before.schema, after.schema, { actual, renamed: after.renamed })
    : actual.tables.map(({ name }) => ({ table: name }));
  for (const { table, columns } of atStake) {
    const rows = await countRows(connection, { table, columns });
    losses.push({ database, table, rows, ...(columns === undefined ? {} : { columns }) });
  }
  return losses;
}

/** Number of rows of a table, or of those with a value in at least one of the columns. */
async function countRows(
  connection: Connection,
  { table, columns }: Dropped,
): Promise<number> {
  if (columns === undefined) return await countRowsOf(connection, table);
  const hasValue = columns.map((column) => `${quoteName(column)} IS NOT NULL`).join(" OR ");
  const row = await connection.get(
    `SELECT count(*) AS rows FROM main.${quoteName(table)} NOT INDEXED WHERE ${hasValue}`,
  );
  return row === undefined ? 0 : number(row, "rows");
}

/** The losses that row counts by table do not show. */
async function uncounted(
  connection: Connection,
  losses: readonly Loss[],
): Promise<readonly Loss[]> {
  if (losses.length === 0) return losses;
  const opaque = (await usersTables(connection)).filter(({ store }) => store === null);
  return losses.filter(({ table, columns }) =>
    columns !== undefined || opaque.some(({ name }) => name === table)
  );
}

/** Recounts the losses that still exist. */
async function recountLosses(
  connection: Connection,
  losses: readonly Loss[],
): Promise<Loss[]> {
  const counted: Loss[] = [];
  for (const { database, table, columns } of losses) {
    const there = await readColumns(connection, table);
    if (there.length === 0) continue;
    const left = columns?.filter((name) => has(there, name));
    if (left?.length === 0) continue;
    const rows = await countRows(connection, { table, columns: left });
    counted.push({ database, table, rows, ...(left === undefined ? {} : { columns: left }) });
  }
  return counted;
}

/** Counts before or after a migration. */
interface Counts {
  /** Numbers of rows by table. */
  readonly rows: ReadonlyMap<string, number>;
  /** Losses that the row counts do not show. */
  readonly others: readonly Loss[];
}

/** What was lost between two counts. */
function goneBetween(losses: readonly Loss[], before: Counts, after: Counts): Loss[] {
  const byTable = ({ others }: Counts) => new Map(others.map((one) => [one.table, one]));
  const [former, left] = [byTable(before), byTable(after)];
  return losses.flatMap((loss): Loss[] => {
    const { table } = loss;
    const other = former.get(table);
    if (other !== undefined) return goneOf(other, left.get(table));
    const rows = (before.rows.get(table) ?? 0) - (after.rows.get(table) ?? 0);
    return loss.columns === undefined && rows > 0 ? [{ ...loss, rows }] : [];
  });
}

function goneOf(before: Loss, after: Loss | undefined): Loss[] {
  const columns = before.columns?.filter((name) => !after?.columns?.includes(name));
  const rows = columns === undefined ? before.rows - (after?.rows ?? 0) : before.rows;
  if (rows <= 0 || columns?.length === 0) return [];
  return [{ ...before, rows, ...(columns === undefined ? {} : { columns }) }];
}

interface Dropped {
  readonly table: string;
  readonly columns?: readonly string[] | undefined;
}

/** Existing tables and columns that are in the reference before, and not after. */
export function dropped(
  before: Schema,
  after: Schema,
  { actual, renamed = new Map() }: {
    readonly actual: Schema;
    /** New names of renamed tables, by their old names in lower case. */
    readonly renamed?: ReadonlyMap<string, string>;
  },
): Dropped[] {
  const present = new Map(actual.tables.map((table) => [table.name.toLowerCase(), table]));
  const left = new Map(after.tables.map((table) => [table.name.toLowerCase(), table]));
  return before.tables.flatMap((table): Dropped[] => {
    const key = table.name.toLowerCase();
    const there = present.get(key);
    if (there === undefined || there.virtual && !table.virtual) return [];
    const remaining = left.get(key) ?? left.get((renamed.get(key) ?? "").toLowerCase());
    if (remaining === undefined) return [{ table: there.name }];
    const columns = table.columns
      .map(({ name }) => name)
      .filter((name) => has(there.columns, name) && !has(remaining.columns, name));
    return columns.length === 0 ? [] : [{ table: there.name, columns }];
  });
}

function has(columns: readonly { readonly name: string }[], name: string): boolean {
  return columns.some((column) => column.name.toLowerCase() === name.toLowerCase());
}
