import { SchemaConflictError, StatementError } from "../base/errors.ts";
import { type Connection, text } from "../database/connection.ts";
import { driverMessage, needsExtension } from "../database/failure.ts";
import type { Migration, Registry } from "../migration/migration.ts";
import { describeDifference } from "../schema/model.ts";
import { fold, quoteName } from "../sql/tokens.ts";
import { readMarkers } from "../state/marker.ts";
import { type Allowance, failed } from "./migration_failure.ts";

/** Folded names of all tables, views, indexes and triggers. */
export async function objectNames(connection: Connection): Promise<Set<string>> {
  const rows = await connection.all("SELECT name FROM main.sqlite_schema");
  return new Set(rows.map((row) => fold(text(row, "name"))));
}

/**
 * Views, triggers and foreign keys that do not work, with SQLite's errors.
 *
 * @param among Folded names. Only views, and triggers and foreign keys of tables, with these names are
 * checked. Default: all.
 */
export async function brokenObjects(
  connection: Connection,
  among?: ReadonlySet<string>,
): Promise<Map<string, string>> {
  const counts = (...names: string[]) =>
    among === undefined || names.some((name) => among.has(fold(name)));
  const broken = new Map<string, string>();
  const attempt = async (object: string, sql: string, noTrigger = "") => {
    try {
      await connection.get(sql);
    } catch (error) {
      if (!(error instanceof StatementError) || needsExtension(error)) return;
      const message = driverMessage(error);
      // A view does not need an INSTEAD OF trigger for every kind of change.
      if (message !== noTrigger) broken.set(object, message);
    }
  };
  const objects = await connection.all(
    "SELECT type, name, tbl_name FROM main.sqlite_schema WHERE type IN ('view', 'trigger')",
  );
  for (const row of objects) {
    const [name, table] = [text(row, "name"), text(row, "tbl_name")];
    if (!counts(name, table)) continue;
    if (row["type"] === "view") {
      await attempt(`view "${name}"`, `SELECT 1 FROM main.${quoteName(name)} LIMIT 0`);
      continue;
    }
    const column = await connection.get(
      "SELECT name FROM pragma_table_xinfo(?, 'main') WHERE hidden = 0",
      [table],
    );
    if (column === undefined) continue;
    const target = `main.${quoteName(table)}`;
    const first = quoteName(text(column, "name"));
    const changes = [
      `DELETE FROM ${target}`,
      `INSERT INTO ${target} (${first}) VALUES (1)`,
      `UPDATE ${target} SET ${first} = ${first}`,
    ];
    for (const change of changes) {
      const noTrigger = `cannot modify ${table} because it is a view`;
      await attempt(`a trigger of "${table}"`, `EXPLAIN ${change}`, noTrigger);
    }
  }
  const keys = await connection.all(
    `SELECT child.name AS child, key.id AS id, key."table" AS parent, there.name AS found,
      json_group_array(lower(key."to")) AS columns
    FROM main.sqlite_schema AS child, pragma_foreign_key_list(child.name) AS key
      LEFT JOIN main.sqlite_schema AS there
      ON there.type = 'table' AND there.name = key."table" COLLATE NOCASE
    WHERE child.type = 'table'
    GROUP BY child.name, key.id`,
  );
  for (const row of keys.filter((row) => counts(text(row, "child")))) {
    const parent = text(row, "parent");
    const columns: (string | null)[] = JSON.parse(text(row, "columns"));
    const isThere = row["found"] !== null;
    if (isThere && await isUnique(connection, parent, columns)) continue;
    const names = columns.some((name) => name === null) ? "" : `(${columns.join(", ")}) `;
    broken.set(
      `a foreign key of "${text(row, "child")}"`,
      isThere ? `${names}is no unique key of "${parent}"` : `table "${parent}" is missing`,
    );
  }
  return broken;
}

/** Whether columns in small letters are the primary key of a table or unique in it; null stands for the key. */
async function isUnique(
  connection: Connection,
  table: string,
  columns: readonly (string | null)[],
): Promise<boolean> {
  const keys = await connection.all(
    `SELECT json_group_array(name) AS columns, 1 AS is_primary FROM (
      SELECT lower(name) AS name FROM pragma_table_xinfo(?1, 'main') WHERE pk > 0 ORDER BY 1
    ) UNION ALL
    SELECT (SELECT json_group_array(name) FROM (
        SELECT lower(name) AS name FROM pragma_index_info(list.name, 'main') ORDER BY 1
      )), 0
    FROM pragma_index_list(?1, 'main') AS list WHERE list."unique" AND NOT list.partial`,
    [table],
  );
  const wanted = JSON.stringify(columns.toSorted());
  return keys.some((row) =>
    columns.includes(null)
      ? row["is_primary"] === 1 && JSON.parse(text(row, "columns")).length === columns.length
      : text(row, "columns") === wanted
  );
}

/**
 * Refuses a migration that breaks a view, trigger or foreign key that worked before. New objects may
 * depend on a later migration.
 *
 * @throws {MigrationFailedError} if it breaks one; the message names the first.
 */
export function compareObjects(
  before: ReadonlyMap<string, string>,
  after: ReadonlyMap<string, string>,
  allowed: Allowance,
): void {
  for (const [object, reason] of after) {
    if (before.has(object)) continue;
    const help = "change or drop it in the same migration";
    throw failed(allowed, `it breaks ${object}: ${reason}`, help);
  }
}

/**
 * Checks that the objects that a migration creates have the same schema as in an empty database: with
 * `IF NOT EXISTS`, SQLite silently keeps an existing object with a different schema.
 *
 * @throws {SchemaConflictError} if they differ; the message names each difference.
 */
export async function requireExpectedShape(
  connection: Connection,
  migration: Migration,
  registry: Registry,
): Promise<void> {
  const { markers } = await readMarkers(connection);
  const earlier = (markers ?? []).flatMap(({ id }) => registry.byId.get(id) ?? []);
  // Loaded here because few migrations need it.
  const [{ buildReferenceSteps }, { readSchema }, { compareSchemas }] = await Promise.all([
    import("../schema/reference.ts"),
    import("../schema/read.ts"),
    import("../schema/compare.ts"),
  ]);
  const reference = await buildReferenceSteps([...earlier, migration]);
  const created = reference.known ? reference.steps.at(-1)?.made : undefined;
  if (created === undefined) return;
  const actual = await readSchema(connection);
  const differences = compareSchemas(created, actual).filter((one) => one.kind !== "extra");
  if (differences.length === 0) return;
  throw new SchemaConflictError(
    `Cannot apply ${migration.name} to ${migration.database}: existing objects differ: ` +
      differences.map(describeDifference).join("; "),
    {
      migration: migration.name,
      database: migration.database,
      help: "rename or correct the existing objects, then run upgrade again. Nothing was changed.",
    },
  );
}

/** Whether an upgrade accepts existing objects. */
export function mayFindExisting(migration: Migration): boolean {
  return typeof migration.upgrade !== "string" || /\bif\s+not\s+exists\b/i.test(migration.upgrade);
}
