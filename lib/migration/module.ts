/**
 * Loads a migration that is a TypeScript or JavaScript module.
 *
 * @module
 */
import { MigrationFileError } from "../base/errors.ts";
import type { LintAllowance, Migration, MigrationBody } from "./migration.ts";
import { didYouMean, messageOf } from "../base/format.ts";
import { keepProcess } from "../base/own_process.ts";

/** The module to load, and options for loading it. */
interface MigrationModuleOptions {
  /** Its path. */
  readonly path: string;
  /** The number at the start of its name. */
  readonly id: string;
  /** Its name without the extension. */
  readonly name: string;
  /** Names of the known databases; any name is allowed if absent. */
  readonly databases?: readonly string[] | undefined;
  /** Seconds to wait for the import. Default 10. */
  readonly timeout?: number | undefined;
  /** Whether this is the standalone executable, which has no TypeScript compiler. Default: detected. */
  readonly standalone?: boolean;
}

/**
 * Imports a `.ts` or `.js` migration and checks what it exports.
 *
 * @throws {MigrationFileError} if it cannot be imported, or its default export is not a migration.
 */
export async function loadMigrationModule(module: MigrationModuleOptions): Promise<Migration> {
  const { path, name, standalone = Deno.build.standalone } = module;
  if (standalone && path.toLowerCase().endsWith(".ts")) {
    throw invalid(module, {
      reason: "the standalone executable cannot load TypeScript",
      help:
        `write the migration as .sql or .js (\`new --kind sql\`), or run the toolkit with Deno: ` +
        "deno run -A jsr:@catalyst/migrate",
    });
  }
  const exported = await importWithin(module);
  if (!("default" in exported)) {
    throw invalid(module, {
      reason: "it has no default export",
      help: `write \`export default defineMigration({ name: "${name}", ... })\``,
    });
  }
  try {
    return migrationFrom(exported.default, module);
  } catch (error) {
    if (error instanceof MigrationFileError) throw error;
    throw invalid(module, {
      reason: `reading its default export fails: ${messageOf(error)}`,
      help: "export a plain object",
      cause: error,
    });
  }
}

async function importWithin(module: MigrationModuleOptions): Promise<Record<string, unknown>> {
  const { path, timeout = 10, standalone = Deno.build.standalone } = module;
  const [{ resolve }, { pathToFileURL }] = await Promise.all([
    import("node:path"),
    import("node:url"),
  ]);
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(invalid(module, {
        reason: `its import did not finish within ${timeout} s`,
        help: "look for an `await` outside its functions that never settles",
      }));
    }, timeout * 1000);
  });
  try {
    // The import is not analyzable. As a literal `import()` in a published package it would cause a warning.
    const { load } = await import("data:text/javascript,export const load = (url) => import(url)");
    const { href } = pathToFileURL(resolve(path));
    const loaded = keepProcess(() => load(href), (call) => new Error(`it calls ${call}`));
    return await Promise.race([loaded, late]);
  } catch (error) {
    if (error instanceof MigrationFileError) throw error;
    const [message = ""] = messageOf(error).split("\n");
    const isSyntax = error instanceof SyntaxError ||
      /^SyntaxError: |could not be parsed/.test(message);
    const what = isSyntax ? "it cannot be parsed" : "importing it fails";
    const isUnmapped = /not a dependency|not in import map/.test(message);
    throw invalid(module, {
      reason: `${what}: ${message.replace(/^SyntaxError: /, "")}`,
      help: !isUnmapped
        ? "correct it; --verbose shows the stack trace"
        : standalone
        ? "the standalone executable has no packages: import only files, by their paths"
        : 'write the full name, such as "jsr:@catalyst/migrate", or run deno with --config deno.json',
      cause: error,
    });
  } finally {
    clearTimeout(timer);
  }
}

interface Problem {
  readonly reason: string;
  readonly help: string;
  readonly cause?: unknown;
}

function invalid(
  { path, name }: MigrationModuleOptions,
  { reason, help, cause }: Problem,
): MigrationFileError {
  const options = { help, path, migration: name };
  return new MigrationFileError(
    `Cannot use ${path}: ${reason}`,
    cause === undefined ? options : { ...options, cause },
  );
}

const FIELDS = [
  "id",
  "name",
  "database",
  "upgrade",
  "downgrade",
  "destroys",
  "foreignKeys",
  "transaction",
  "allows",
  "source",
];

/** Creates a migration from a module's exports, or reports what is missing. */
function migrationFrom(exported: unknown, module: MigrationModuleOptions): Migration {
  const fail = (reason: string, help: string): never => {
    throw invalid(module, { reason, help });
  };
  if (typeof exported !== "object" || exported === null || Array.isArray(exported)) {
    return fail(
      "its default export is not a migration",
      `write \`export default defineMigration({ name: "${module.name}", ... })\``,
    );
  }
  const fields = new Map<string, unknown>(Object.entries(exported));
  const field = <T>(key: string, is: (value: unknown) => value is T, what: string) => {
    const value = fields.get(key);
    if (value === undefined) return undefined;
    if (is(value)) return value;
    return fail(`its "${key}" is not ${what}`, `write ${what}, or leave it out`);
  };
  for (const key of fields.keys()) {
    if (FIELDS.includes(key)) continue;
    fail(
      `a migration has no field "${key}"`,
      `${didYouMean(key, FIELDS)}the fields are ${FIELDS.slice(1, -1).join(", ")}`,
    );
  }
  const name = field("name", isString, "a string") ?? module.name;
  if (name !== module.name) {
    return fail(
      `its name "${name}" does not match its file name`,
      `write name: "${module.name}", or rename the file`,
    );
  }
  const { databases } = module;
  const known = databases === undefined ? "" : `the databases are ${databases.join(", ")}`;
  const database = field("database", isString, "a string") ??
    fail('it has no "database"', known || "name the database that it changes");
  if (databases !== undefined && !databases.includes(database)) {
    return fail(`unknown database "${database}"`, didYouMean(database, databases) + known);
  }
  const bodyType = "SQL text or a function";
  const upgrade = field("upgrade", isBody, bodyType) ??
    fail('it has no "upgrade"', "write SQL text or a function that makes the change");
  const downgrade = field("downgrade", isBody, bodyType);
  const destroys = field("destroys", isStrings, "a list of table names");
  const foreignKeys = field("foreignKeys", isBoolean, "true or false");
  const transaction = field("transaction", isBoolean, "true or false");
  const allows = field("allows", isAllowances, "a list of { code, reason }");
  return Object.freeze({
    id: module.id,
    name,
    database,
    upgrade,
    ...(downgrade === undefined ? {} : { downgrade }),
    ...(destroys === undefined ? {} : { destroys }),
    ...(foreignKeys === undefined ? {} : { foreignKeys }),
    ...(transaction === undefined ? {} : { transaction }),
    ...(allows === undefined ? {} : { allows }),
    source: { path: module.path },
  });
}

function isString(value: unknown): value is string {
  return typeof value === "string";
}

function isBoolean(value: unknown): value is boolean {
  return typeof value === "boolean";
}

function isBody(value: unknown): value is MigrationBody {
  return typeof value === "string" || typeof value === "function";
}

function isStrings(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every(isString);
}

function isAllowances(value: unknown): value is readonly LintAllowance[] {
  return Array.isArray(value) &&
    value.every((one: unknown) =>
      typeof one === "object" && one !== null && "code" in one && isString(one.code) &&
      "reason" in one && isString(one.reason)
    );
}
