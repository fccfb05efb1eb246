import type { Migration } from "../migration/migration.ts";
import type { Schema } from "../schema/model.ts";
import { fold, tokenize } from "../sql/tokens.ts";

/** Objects that are always kept: to look for more costs more than to keep them. */
const FEW = 64;

/**
 * Tells which objects of a scratch database no later migration can touch, so that they can be dropped:
 * else each of thousands of migrations would be tried among what all the others made.
 */
export class NeededObjects {
  /** Place of the last migration that names something. */
  readonly #lastNamed = new Map<string, number>();
  /** Place of the last migration of which nobody can say what it names: one that is a function. */
  #lastFunction = -1;
  readonly #names = new Map<string, ReadonlySet<string>>();
  /** Number of objects from which on it is worth looking. */
  #limit = FEW;

  /** Reads all migrations that will be tried, in their order. */
  constructor(migrations: readonly Migration[]) {
    for (const [place, { upgrade, downgrade = "" }] of migrations.entries()) {
      for (const body of [upgrade, downgrade]) {
        if (typeof body !== "string") this.#lastFunction = place;
        else for (const name of namesIn(body)) this.#lastNamed.set(name, place);
      }
    }
  }

  /** Names of the tables and views that nothing after the migration at a place needs. */
  needless(schema: Schema, place: number): string[] {
    const objects = [...schema.tables, ...schema.views, ...schema.triggers, ...schema.indexes];
    if (objects.length < this.#limit || place < this.#lastFunction) return [];
    const needed = this.#neededAmong(objects, place);
    this.#limit = 2 * needed.size + FEW;
    return [...schema.views, ...schema.tables].map(({ name }) => name)
      .filter((name) => !needed.has(fold(name)));
  }

  /** What later migrations name, and all that names it or is named by it, directly or by way of others. */
  #neededAmong(
    objects: readonly { readonly name: string; readonly sql: string }[],
    place: number,
  ): Set<string> {
    const neighbours = new Map(objects.map(({ name }) => [fold(name), new Set<string>()]));
    for (const { name, sql } of objects) {
      const own = fold(name);
      for (const other of this.#namesIn(sql)) {
        if (other === own) continue;
        neighbours.get(other)?.add(own);
        if (neighbours.has(other)) neighbours.get(own)?.add(other);
      }
    }
    const needed = new Set(
      neighbours.keys().filter((name) => (this.#lastNamed.get(name) ?? -1) > place),
    );
    for (const name of needed) {
      for (const other of neighbours.get(name) ?? []) needed.add(other);
    }
    return needed;
  }

  #namesIn(sql: string): ReadonlySet<string> {
    let names = this.#names.get(sql);
    if (names === undefined) this.#names.set(sql, names = namesIn(sql));
    return names;
  }
}

/** All that may be a name in an SQL text. */
function namesIn(sql: string): Set<string> {
  return new Set(
    tokenize(sql).flatMap(({ kind, value }) =>
      kind === "word" || kind === "quoted" || kind === "string" ? [fold(value)] : []
    ),
  );
}
