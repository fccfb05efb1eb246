import { fold, tokenize } from "../../sql/tokens.ts";
import type { Schema } from "../../schema/model.ts";
import type { Fault } from "../../trial/finding.ts";
import type { Rebuild } from "../../trial/tables.ts";
import { isDeclared } from "./loss.ts";
import { names, type Rehearsed } from "./rule.ts";

/** Rebuilds of tables that empty others, or that leave others pointing to the old table. */
export async function rebuildFaults(rehearsed: Rehearsed): Promise<Fault[]> {
  const faults: Fault[] = [];
  for (const rebuild of rehearsed.rebuilds) {
    faults.push(...await withForeignKeys(rehearsed, rebuild), ...inWrongOrder(rehearsed, rebuild));
  }
  return faults;
}

async function withForeignKeys(rehearsed: Rehearsed, rebuild: Rebuild): Promise<Fault[]> {
  const { migration, fates, at, before, book } = rehearsed;
  const { name, dropped } = rebuild;
  if (!areForeignKeysOn(rehearsed, rebuild)) return [];
  const emptied: string[] = [];
  for (const child of before.tables) {
    if (fold(child.name) === fold(name)) continue;
    if (!child.foreignKeys.some(({ table }) => fold(table) === fold(name))) continue;
    const fate = fates.find(({ original }) => original === child.name);
    if (fate === undefined || !at.get(dropped)?.has(fate)) continue;
    if (isDeclared(migration.destroys, fate)) continue;
    const rows = await book.count({ name: child.name, sources: fate.sources });
    if (rows !== 0) emptied.push(child.name);
  }
  if (emptied.length === 0) return [];
  const pointing = emptied.length === 1 ? "points" : "point";
  return [{
    code: "rebuild-with-foreign-keys",
    place: dropped,
    reason:
      `it rebuilds table "${name}" with foreign keys on: DROP TABLE first deletes its rows, and with ` +
      `them those of ${names(emptied)}, which ${pointing} to it, or fails`,
    fix: 'turn them off for this migration: foreign-keys:off behind "-- migrate:up", or ' +
      "foreignKeys: false in a module",
  }];
}

/** Outside of a transaction a migration may turn them off by itself. */
function areForeignKeysOn({ migration, run }: Rehearsed, { dropped }: Rebuild): boolean {
  let isOn = migration.foreignKeys !== false;
  for (const step of run.steps) {
    if (step === dropped) break;
    if (migration.transaction !== false) continue;
    const pragma = step.deeds.find(({ action, first }) =>
      action === "pragma" && fold(first) === "foreign_keys"
    );
    if (pragma !== undefined && pragma.second !== "") isOn = isTrue(pragma.second);
  }
  return isOn;
}

/** How SQLite reads the value of a pragma that is on or off. */
export function isTrue(value: string): boolean {
  return /^(on|yes|true|0*[1-9]\d*)$/i.test(value);
}

function inWrongOrder({ after }: Rehearsed, { old, name }: Rebuild): Fault[] {
  const { renamed } = old;
  if (renamed === null || fold(old.name) === fold(name)) return [];
  const broken = referring(after, old.name);
  return [{
    code: "rebuild-order",
    severity: broken.length > 0 ? "error" : "warning",
    place: renamed,
    reason: `it renames table "${name}" to "${old.name}" before it makes the new one` +
      (broken.length > 0
        ? `: SQLite lets ${names(broken)} follow the old table, which is then dropped`
        : ": what refers to it would follow the old table"),
    fix:
      `make the new table under another name, copy the rows, drop "${name}", and rename the new ` +
      "one last",
  }];
}

/** Tables, views and triggers that refer to a table of this name. */
function referring(schema: Schema, table: string): string[] {
  const name = fold(table);
  const mentions = ({ sql }: { readonly sql: string }): boolean =>
    tokenize(sql).some((token) =>
      (token.kind === "word" || token.kind === "quoted") && fold(token.value) === name
    );
  return [
    ...schema.tables.filter(({ foreignKeys }) =>
      foreignKeys.some((key) => fold(key.table) === name)
    ),
    ...schema.views.filter(mentions),
    ...schema.triggers.filter(mentions),
  ].map((object) => object.name);
}
