import { CatalystError, MigrationCheckError, type MigrationProblem } from "../base/errors.ts";
import { openMemory } from "../database/open.ts";
import { runMigration } from "../engine/apply.ts";
import { readUsableMigrations } from "../migration/loader.ts";
import { checksumOf, type Migration, type Registry } from "../migration/migration.ts";
import { refuseSyntaxErrors } from "../migration/syntax.ts";
import { compareSchemas } from "../schema/compare.ts";
import type { Schema } from "../schema/model.ts";
import { readSchema } from "../schema/read.ts";
import { createWorkspace, type Workspace } from "../state/workspace.ts";
import { isAllowed, type LintFinding } from "./finding.ts";
import { lint } from "./lint.ts";
import { createdTables, type Pass, upDownUp } from "./up_down_up.ts";

/** A directory of migrations, and its context. */
export interface DirectoryCheck {
  readonly migrationsDir: string;
  readonly databases: readonly string[];
  /** Migrations that precede those of the directory and are not checked. */
  readonly bundled: readonly Migration[];
  /** Whether the warnings of `lint` count as problems. */
  readonly strict: boolean;
}

/** Checks a directory of migrations, as described for `checkMigrations`. */
export async function checkDirectory(options: DirectoryCheck): Promise<CheckMigrationsResult> {
  const { migrationsDir, strict } = options;
  const problems: MigrationProblem[] = [];
  const own = await load(options, problems);
  const { workspace, usable } = resolve(options, own, problems);
  const warnings: LintFinding[] = [];
  for (const migration of usable) note(problems, () => refuseSyntaxErrors([migration]));
  if (problems.length === 0) {
    const { findings } = await lint(workspace);
    const ran: MigrationProblem[] = [];
    for (const database of workspace.registry.databases) {
      ran.push(...await tryInMemory(workspace.registry, database));
    }
    for (const finding of findings) {
      const counts = strict || finding.severity === "error" || ran.some(isAlso(finding));
      if (counts) problems.push(problemOf(finding));
      else warnings.push(finding);
    }
    // A finding of lint explains the same problem better.
    problems.push(...ran.filter((one) => !findings.some(isAlso(one))));
  }
  if (problems.length > 0) throw failed(migrationsDir, problems, own);
  return { migrations: own.map(({ id }) => id), warnings };
}

/**
 * Makes a test for whether a problem repeats a finding: a migration that loses a view also fails.
 */
function isAlso(
  { migration, code }: Pick<MigrationProblem, "migration" | "code">,
): (other: Pick<MigrationProblem, "migration" | "code">) => boolean {
  return (other) =>
    other.migration === migration &&
    (other.code === code || other.code === "lost-view" && code === "fails");
}

/** Reads all files. An invalid one is reported and left out. */
async function load(
  { migrationsDir, databases, bundled }: DirectoryCheck,
  problems: MigrationProblem[],
): Promise<readonly Migration[]> {
  const except = bundled.map(({ name }) => name);
  const { migrations, unusable } = await readUsableMigrations(migrationsDir, { databases, except });
  for (const error of unusable) {
    if (error.path === undefined) throw error;
    problems.push(problemOfError(error));
  }
  return migrations;
}

interface Resolved {
  readonly workspace: Workspace;
  /** The migrations that the registry accepts. */
  readonly usable: readonly Migration[];
}

/** Combines the migrations with the bundled ones. A conflicting one is reported and left out. */
function resolve(
  { databases, bundled }: DirectoryCheck,
  own: readonly Migration[],
  problems: MigrationProblem[],
): Resolved {
  let usable = own;
  for (;;) {
    try {
      const workspace = createWorkspace({
        databases: Object.fromEntries(databases.map((name) => [name, ":memory:"])),
        ledger: ":memory:",
        migrations: [...bundled, ...usable],
        trusted: bundled,
        alone: true,
      });
      return { workspace, usable };
    } catch (error) {
      if (!(error instanceof CatalystError)) throw error;
      const refused = usable.find(({ name }) => name === error.migration) ?? usable.at(-1);
      problems.push(problemOfError(error, refused));
      if (refused === undefined) throw error;
      usable = usable.filter((one) => one !== refused);
    }
  }
}

/**
 * Runs the migrations of one database up, down and up again in memory, and compares the schemas.
 */
async function tryInMemory(registry: Registry, database: string): Promise<MigrationProblem[]> {
  await using connection = openMemory();
  await connection.exec("PRAGMA foreign_keys = ON");
  const problems: MigrationProblem[] = [];
  const upgrades = new Map<Migration, { readonly before: Schema; readonly after: Schema }>();
  let schema = await readSchema(connection);
  const run = async (migration: Migration, pass: Pass): Promise<boolean> => {
    const direction = pass === "down" ? "downgrade" : "upgrade";
    const before = schema;
    const first = upgrades.get(migration);
    const created = pass === "down" && first !== undefined
      ? createdTables(first.before, first.after)
      : [];
    try {
      await runMigration(connection, {
        migration,
        direction,
        checksum: await checksumOf(migration[direction]),
        snapshot: null,
        destroys: [...created, ...migration.destroys ?? []],
        timeout: 0,
      });
    } catch (error) {
      if (!(error instanceof CatalystError)) throw error;
      problems.push({ ...problemOfError(error, migration), code: "fails" });
      return false;
    }
    schema = await readSchema(connection);
    if (first === undefined) upgrades.set(migration, { before, after: schema });
    else {
      const [expected, what] = pass === "down"
        ? [first.before, "its downgrade does not restore the schema"]
        : [first.after, "applied again after its downgrade, it creates a different schema"];
      problems.push(...compare(migration, { what, expected, actual: schema }));
    }
    return true;
  };
  await upDownUp(registry.migrations.filter((one) => one.database === database), run);
  return problems;
}

function compare(
  migration: Migration,
  { what, expected, actual }: {
    readonly what: string;
    readonly expected: Schema;
    readonly actual: Schema;
  },
): MigrationProblem[] {
  const code = "downgrade-differs";
  if (isAllowed(migration, code)) return [];
  const differences = compareSchemas(expected, actual);
  if (differences.length === 0) return [];
  return [{
    migration: migration.name,
    code,
    file: migration.source?.path ?? null,
    line: migration.source?.downgradeLine ?? null,
    reason: `${what}: ${differences.map(({ detail }) => detail).join("; ")}`,
    fix: "fix the downgrade so that it reverts everything that the upgrade does",
  }];
}

function note(problems: MigrationProblem[], check: () => void): void {
  try {
    check();
  } catch (error) {
    if (!(error instanceof CatalystError)) throw error;
    problems.push(problemOfError(error));
  }
}

function problemOf({ migration, code, file, line, reason, fix }: LintFinding): MigrationProblem {
  return { migration, code, file, line, reason, fix };
}

function problemOfError(error: CatalystError, migration?: Migration): MigrationProblem {
  const { code, message, help, line, path } = error;
  return {
    migration: error.migration ?? migration?.name ?? null,
    code,
    file: path ?? migration?.source?.path ?? null,
    line: line ?? null,
    reason: message,
    fix: help ?? "fix the migration",
  };
}

function failed(
  directory: string,
  problems: readonly MigrationProblem[],
  own: readonly Migration[],
): MigrationCheckError {
  const names = own.map(({ name }) => name);
  const ordered = problems.toSorted((a, b) =>
    names.indexOf(a.migration ?? "") - names.indexOf(b.migration ?? "") ||
    (a.line ?? 0) - (b.line ?? 0)
  );
  const lines = ordered.map(({ file, line, migration, reason, code, fix }) => {
    const place = file === null ? migration : line === null ? file : `${file}:${line}`;
    // The error includes the location, too.
    const what = place === null ? reason : `${place}: ${reason.replace(` (${place})`, "")}`;
    return `${what} [${code}]\n    ${fix.replaceAll("\n", "\n    ")}`;
  });
  const count = problems.length === 1 ? "1 problem was" : `${problems.length} problems were`;
  return new MigrationCheckError(
    `Cannot use the migrations in ${directory}: ${count} found\n${lines.join("\n")}`,
    { problems: ordered, help: "fix the files; migrations were run only in memory" },
  );
}

/** Result of a check without problems. */
export interface CheckMigrationsResult {
  /** Ids of the directory's migrations, in order. */
  readonly migrations: readonly string[];
  /** Warnings of `lint`, which do not count as problems. */
  readonly warnings: readonly LintFinding[];
}
