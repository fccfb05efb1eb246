/** What a migration file's name says. */
interface MigrationFileName {
  /** The number it begins with. */
  readonly id: string;
  /** What stands between the number and the ending. */
  readonly description: string;
  readonly kind: "sql" | "ts" | "js";
}

// Any character may be in a file's name, even a line break.
const NAME = /^(\d+)_(.*)\.(sql|ts|js)$/is;

/** Reads the name of a migration file, such as `004_add_notes.sql`; null if it is another name. */
export function parseFileName(name: string): MigrationFileName | null {
  const [, id, description, ending] = NAME.exec(name) ?? [];
  if (id === undefined || description === undefined || ending === undefined) return null;
  if (/\.d$/i.test(description)) return null; // declarations of types
  const kind = ending.toLowerCase();
  return { id, description, kind: kind === "ts" || kind === "js" ? kind : "sql" };
}

const NEARLY = [
  /\.sql\s*$/i,
  /^\s*v?\d.*\.(sql\.txt|[cm]?[jt]sx?)\s*$/is,
  /^\d+[ _-][^.]*$/s,
];

/** Whether a file looks like a migration and isn't one, for its name: `004-notes.sql`, `notes.sql`, `004_notes.mts`. */
export function isNearlyMigration(name: string): boolean {
  if (name.startsWith(".") || /\.d\.[cm]?ts$/i.test(name)) return false;
  return parseFileName(name) === null && NEARLY.some((pattern) => pattern.test(name));
}
