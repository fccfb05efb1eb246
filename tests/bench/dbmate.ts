import type { Migration } from "../../lib/migration/migration.ts";
import { type CommandLine, runToEnd } from "./measure.ts";

/** The version for which the limits were set. */
const VERSION = "2.36.0";

/** Path of dbmate's executable, or why there is none. */
export type Dbmate =
  | { readonly kind: "found"; readonly binary: string }
  | { readonly kind: "missing"; readonly reason: string };

/** A database and the directory of its migrations. */
export interface DbmateProject {
  /** Path of the database file. */
  readonly database: string;
  /** Path of the directory with the migrations. */
  readonly migrationsDir: string;
}

/** Installs dbmate from the npm registry into a directory. */
export function fetchDbmate(directory: string): Dbmate {
  const arch = Deno.build.arch === "x86_64" ? "x64" : "arm64";
  const name = `@dbmate/${Deno.build.os}-${arch}`;
  try {
    // npm's cache makes the second time fast.
    const quiet = ["--no-audit", "--no-fund", "--prefer-offline", "--fetch-retries=0"];
    runToEnd(["npm", "install", ...quiet, "--prefix", directory, `${name}@${VERSION}`]);
    const binary = `${directory}/node_modules/${name}/bin/dbmate`;
    runToEnd([binary, "--version"]);
    return { kind: "found", binary };
  } catch (error) {
    const reason = error instanceof Deno.errors.NotFound
      ? "npm, which fetches it, is not on the PATH"
      : String(error);
    return { kind: "missing", reason };
  }
}

/** Writes migrations as files for dbmate. */
export function writeProject(directory: string, migrations: readonly Migration[]): void {
  Deno.mkdirSync(directory, { recursive: true });
  for (const { name, upgrade, downgrade } of migrations) {
    if (typeof upgrade !== "string") throw new TypeError(`Migration ${name} is not SQL text`);
    const down = typeof downgrade === "string" ? downgrade : "";
    Deno.writeTextFileSync(
      `${directory}/${name}.sql`,
      `-- migrate:up\n${upgrade}\n\n-- migrate:down\n${down}\n`,
    );
  }
}

/** The command line of a call of dbmate. */
export function dbmateCall(
  binary: string,
  { database, migrationsDir, call }: DbmateProject & { readonly call: "up" | "status" },
): CommandLine {
  const where = ["--url", `sqlite:${database}`, "--migrations-dir", migrationsDir];
  return [binary, ...where, "--no-dump-schema", call];
}
