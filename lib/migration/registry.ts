import { RegistryError } from "../base/errors.ts";
import type { Migration } from "./migration.ts";

/** The ordered list of known migrations. */
export interface Registry {
  /** All migrations, lowest number first. */
  readonly migrations: readonly Migration[];
  /** Names of the databases that they belong to, in the order given. */
  readonly databases: readonly string[];
  /** Finds a migration by the id that the registry gave it. */
  readonly byId: ReadonlyMap<string, Migration>;
}

/**
 * Checks and orders migrations.
 *
 * @throws {RegistryError} if two have the same number, or one names an unknown database.
 */
export function createRegistry(
  migrations: readonly Migration[],
  databases: readonly string[],
): Registry {
  const sorted = migrations.toSorted((a, b) => compareIds(a.id, b.id));
  sorted.forEach((migration, index) => {
    const previous = sorted[index - 1];
    if (previous !== undefined && compareIds(previous.id, migration.id) === 0) {
      throw sameNumber(previous.name, migration.name);
    }
    if (!databases.includes(migration.database)) {
      throw new RegistryError(
        `Cannot use migration "${migration.name}": its database "${migration.database}" is not known`,
        { migration: migration.name, help: `the databases are ${databases.join(", ")}` },
      );
    }
  });
  return { migrations: sorted, databases, byId: new Map(sorted.map((one) => [one.id, one])) };
}

/** Orders ids as numbers of any length: `2` before `010` before `20250120123000`. */
export function compareIds(a: string, b: string): number {
  const [left, right] = [a.replace(/^0+/, ""), b.replace(/^0+/, "")];
  if (left.length !== right.length) return left.length - right.length;
  return left < right ? -1 : left > right ? 1 : 0;
}

/** The error for two migrations of one number. */
export function sameNumber(first: string, second: string): RegistryError {
  return new RegistryError(
    `Cannot use the migrations: "${first}" and "${second}" have the same number`,
    { migration: second, help: "give one of them the next free number" },
  );
}
