import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import type { CommandLine } from "./measure.ts";

/** Names of the bot's databases, without the ledger. */
export const DATABASES = ["positions", "trading", "ml_training"] as const;

/** A temporary directory, removed on disposal. */
export class Workspace implements Disposable {
  /** Path of the directory. */
  readonly path: string = Deno.makeTempDirSync({ prefix: "catalyst_migrate_bench_" });

  /** Creates an empty directory in the workspace, replacing an existing one, and returns its path. */
  empty(name: string): string {
    const path = `${this.path}/${name}`;
    try {
      Deno.removeSync(path, { recursive: true });
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
    Deno.mkdirSync(path);
    return path;
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.path, { recursive: true });
  }
}

/** Creates four small databases for the floor. */
export function makeFloorDatabases(directory: string): void {
  for (const name of [...DATABASES, "migrations"]) {
    using database = new DatabaseSync(`${directory}/${name}.db`);
    database.exec("PRAGMA journal_mode = WAL; CREATE TABLE t (id INTEGER PRIMARY KEY);");
  }
}

/** The command line of a script of this project; `script` is relative to this directory. */
export function denoRun(script: string, ...args: string[]): CommandLine {
  const path = fileURLToPath(new URL(script, import.meta.url));
  return [Deno.execPath(), "run", "-A", path, ...args];
}
