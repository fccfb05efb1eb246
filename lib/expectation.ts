import type { Connection } from "./database/connection.ts";
import { SchemaConflictError } from "./base/errors.ts";
import { readMarkers } from "./state/marker.ts";
import type { Migration } from "./migration/migration.ts";
import type { Registry } from "./migration/registry.ts";
import { compareSchemas } from "./schema/compare.ts";
import { describeDifference } from "./schema/model.ts";
import { readSchema } from "./schema/read.ts";
import { buildReferenceSteps } from "./schema/reference.ts";

/**
 * Checks that what a migration creates has the shape that it makes in an empty database: with
 * `IF NOT EXISTS`, SQLite silently keeps an object of the same name and another shape.
 *
 * @throws {SchemaConflictError} where it hasn't; the message names each difference.
 */
export async function expectCreated(
  connection: Connection,
  migration: Migration,
  registry: Registry,
): Promise<void> {
  const { markers } = await readMarkers(connection);
  const earlier = (markers ?? []).flatMap(({ id }) => registry.byId.get(id) ?? []);
  const reference = await buildReferenceSteps([...earlier, migration]);
  const created = reference.known ? reference.steps.at(-1)?.made : undefined;
  if (created === undefined) return;
  const actual = await readSchema(connection);
  const differences = (await compareSchemas(created, actual)).filter((one) => one.kind !== "extra");
  if (differences.length === 0) return;
  throw new SchemaConflictError(
    `Cannot apply ${migration.name} to ${migration.database}: what is there has another shape: ` +
      differences.map(describeDifference).join("; "),
    {
      migration: migration.name,
      database: migration.database,
      help: "rename or mend what is there, then run upgrade again. Nothing was changed.",
    },
  );
}

/** Whether an upgrade may find its objects there already. */
export function mayFindExisting(migration: Migration): boolean {
  return typeof migration.upgrade !== "string" || /\bif\s+not\s+exists\b/i.test(migration.upgrade);
}
