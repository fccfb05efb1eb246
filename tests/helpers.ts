/** Helpers for tests of the whole program: its process, a temporary directory, and file contents. */
import { join } from "node:path";
import { DatabaseSync, type SQLOutputValue } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { createCatalystMigrator } from "../lib/catalyst.ts";
import { type ReferenceTable, referenceTables } from "./migrations/reference.ts";
import { PATIENCE, runWarm } from "./warm_cli.ts";

/** Names of the bot's databases with the id of the migration that creates each. */
export const idOf = { positions: "001", trading: "002", ml_training: "003" } as const;

/** Name of one of the bot's databases. */
export type DatabaseName = keyof typeof idOf;

/** Names of the bot's databases. */
export const databaseNames = Object.keys(idOf) as readonly DatabaseName[];

/** Where and with what a command runs. */
export interface CliOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Deno's permissions. Default `-A`. */
  readonly permissions?: readonly string[];
  /** Source of stdin of a {@link cliCommand}. Default: empty. */
  readonly stdin?: "null" | "piped";
  /** Whether it gets a separate process. Default: only with permissions. */
  readonly alone?: boolean;
}

/** Result of a command. */
export interface CliResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The command line as a process that is not started yet. */
export function cliCommand(
  args: readonly string[],
  { permissions = ["-A"], stdin = "null", cwd, env }: CliOptions = {},
): Deno.Command {
  const cli = fileURLToPath(new URL("../cli.ts", import.meta.url));
  return new Deno.Command(Deno.execPath(), {
    args: ["run", ...permissions, cli, ...args],
    stdin,
    stdout: "piped",
    stderr: "piped",
    ...(cwd === undefined ? {} : { cwd }),
    env: { DB_PATH_PREFIX: "", NO_COLOR: "1", ...env },
  });
}

/** Runs the command line. */
export async function runCli(
  args: readonly string[],
  options: CliOptions = {},
): Promise<CliResult> {
  const { alone = options.permissions !== undefined } = options;
  if (!alone) return await runWarm(args, options);
  const { code, stdout, stderr } = await outputOf(cliCommand(args, options).spawn());
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

/** Waits for the end of a process whose output is piped; kills it if it hangs. */
export async function outputOf(child: Deno.ChildProcess): Promise<Deno.CommandOutput> {
  const hangs = AbortSignal.timeout(PATIENCE);
  hangs.onabort = () => child.kill("SIGKILL");
  try {
    return await child.output();
  } finally {
    hangs.onabort = null;
  }
}

/** A directory that is removed when it is disposed of. */
export interface TempDir extends AsyncDisposable {
  readonly path: string;
  /** Path of one of the bot's databases, or of its ledger. */
  database(name: DatabaseName | "migrations"): string;
}

/** Creates a temporary directory for a test. */
export function tempDir(): Promise<TempDir> {
  const path = makeTemporaryDirectory("catalyst-migrate-");
  return Promise.resolve({
    path,
    database: (name) => `${path}/${name}.db`,
    [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }),
  });
}

/**
 * Creates a temporary directory and returns its real path, as seen by a process in it and by SQLite; on
 * macOS the usual path is a link. Its separators have no special meaning in a regular expression.
 */
export function makeTemporaryDirectory(prefix: string): string {
  const path = Deno.realPathSync(Deno.makeTempDirSync({ prefix }));
  return Deno.build.os === "windows" ? path.replaceAll("\\", "/") : path;
}

let upgraded: Promise<ReadonlyMap<string, Uint8Array>> | undefined;

/** Creates the bot's databases as after an upgrade, by copying the files of one shared upgrade. */
export async function copyUpgraded(directory: string): Promise<void> {
  for (const [name, bytes] of await (upgraded ??= filesOfUpgrade())) {
    await Deno.writeFile(join(directory, name), bytes);
  }
}

async function filesOfUpgrade(): Promise<ReadonlyMap<string, Uint8Array>> {
  await using dir = await tempDir();
  await createCatalystMigrator({ dataDir: dir.path }).upgrade();
  const names = [...Deno.readDirSync(dir.path)].map(({ name }) => name);
  return new Map(names.map((name) => [name, Deno.readFileSync(join(dir.path, name))]));
}

/** Copies every file of a directory, none of which may be open; creates the target. */
export async function copyDirectory(from: string, to: string): Promise<void> {
  await Deno.mkdir(to, { recursive: true });
  for await (const { name } of Deno.readDir(from)) {
    await Deno.copyFile(join(from, name), join(to, name));
  }
}

/** Every file of a directory with its content, as text for comparison. */
export function filesOf(directory: string): Record<string, string> {
  const names = [...Deno.readDirSync(directory)].map(({ name }) => name).toSorted();
  return Object.fromEntries(
    names.map((name) => [name, Deno.readFileSync(join(directory, name)).toHex()]),
  );
}

/** All files in a directory and below, by path, with their contents. */
export function contents(path: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const { name, isDirectory, isSymlink } of Deno.readDirSync(path)) {
    const one = `${path}/${name}`;
    if (isDirectory) { for (const [key, value] of contents(one)) found.set(key, value); }
    else if (isSymlink) found.set(one, `link to ${Deno.readLinkSync(one)}`);
    else found.set(one, new TextDecoder("latin1").decode(Deno.readFileSync(one)));
  }
  return found;
}

/** A row as a plain object. */
export type PlainRow = Record<string, SQLOutputValue>;

/** Opens a database and reads all rows of a query. */
export function query(path: string, sql: string): PlainRow[] {
  using db = new DatabaseSync(path);
  return db.prepare(sql).all().map((row) => ({ ...row }));
}

/** Opens a database and runs a script. */
export function execute(path: string, sql: string): void {
  using db = new DatabaseSync(path);
  db.exec(sql);
}

/** Content of a database without markers, read from the file alone. */
export interface Content {
  readonly objects: readonly PlainRow[];
  readonly rows: Readonly<Record<string, readonly PlainRow[]>>;
  /** Ids of the migrations with a marker. */
  readonly markers: readonly string[];
  /** Result of `PRAGMA integrity_check`. */
  readonly integrity: string;
}

/** Reads a database; a missing one is empty. */
export function contentOf(path: string): Content {
  if (!existsSync(path)) return { objects: [], rows: {}, markers: [], integrity: "ok" };
  using db = new DatabaseSync(path);
  const all = (sql: string): PlainRow[] => db.prepare(sql).all().map((row) => ({ ...row }));
  const integrity = all("PRAGMA integrity_check").map((row) => row["integrity_check"]).join("\n");
  const schema = all(
    `SELECT type, name, tbl_name, sql FROM sqlite_schema
    WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND tbl_name <> 'catalyst_migrations'
    ORDER BY type, name`,
  );
  const tables = schema.filter(({ type }) => type === "table").map(({ name }) => String(name));
  const hasMarkers =
    all("SELECT 1 FROM sqlite_schema WHERE name = 'catalyst_migrations'").length > 0;
  const markers = hasMarkers
    ? all("SELECT migration_id FROM catalyst_migrations ORDER BY rowid")
    : [];
  return {
    objects: schema,
    rows: Object.fromEntries(tables.map((name) => [name, all(`SELECT * FROM "${name}"`)])),
    markers: markers.map((row) => String(row["migration_id"])),
    integrity,
  };
}

/** Whether a path exists. */
export function existsSync(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Inserts a number of valid rows into each table of a database, parents first. */
export function insertRows(path: string, database: DatabaseName, count = 3): void {
  using db = new DatabaseSync(path);
  db.exec("PRAGMA synchronous = OFF; BEGIN");
  for (const { name, table } of referenceTables().filter((one) => one.database === database)) {
    for (let number = 1; number <= count; number++) {
      const values = Object.entries(rowOf(table, number));
      const columns = values.map(([column]) => `"${column}"`).join(", ");
      db.prepare(`INSERT INTO "${name}" (${columns}) VALUES (${values.map(() => "?").join(", ")})`)
        .run(...values.map(([, value]) => value));
    }
  }
  db.exec("COMMIT");
}

/** Values for the required columns. */
function rowOf(table: ReferenceTable, number: number): Record<string, string | number> {
  const required = table.columns.filter(({ notNull, primaryKey, type, default: value }) =>
    (notNull && value === undefined) || (primaryKey && type === "TEXT")
  );
  return Object.fromEntries(required.map(({ name, type }) => {
    const choice = table.checks.find((check) => "oneOf" in check && check.column === name);
    if (choice !== undefined && "oneOf" in choice) return [name, choice.oneOf[0] ?? ""];
    // The same number in every table, so that foreign keys match.
    return [name, type === "TEXT" ? `${name}-${number}` : name === "weight" ? 1 / number : number];
  }));
}
