import { unifiedDiff } from "./base/diff.ts";
import { ChangedMigrationError } from "./base/errors.ts";
import type { Registry } from "./migration/registry.ts";
import type { FoundState } from "./state/assess.ts";

/** Adds to an error what was applied and what is there now, line by line. */
export function withDifference(
  error: ChangedMigrationError,
  registry: Registry,
  found: FoundState,
): ChangedMigrationError {
  const { migration: name, database } = error;
  const migration = registry.migrations.find((one) => one.name === name);
  const marker = found.databases.get(database ?? "")?.markers?.find(({ id }) =>
    id === migration?.id
  );
  if (migration === undefined || marker === undefined) return error;
  const changes = [
    ...marker.name === migration.name ? [] : [`it was called ${marker.name}`],
    ...typeof migration.upgrade === "string" && marker.upgradeSql !== null
      ? [unifiedDiff(marker.upgradeSql, migration.upgrade, {
        before: `${marker.name} as applied`,
        after: migration.source?.path ?? migration.name,
      })]
      : [],
  ].filter((change) => change !== "");
  return new ChangedMigrationError(error.message, {
    cause: error,
    migration: migration.name,
    database: migration.database,
    help: [error.help ?? "", ...changes].join("\n"),
  });
}
