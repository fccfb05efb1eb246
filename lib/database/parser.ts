import { DatabaseSync } from "node:sqlite";

/** SQLite's own parser, over an empty database: it runs nothing. */
export interface Parser extends Disposable {
  /** What SQLite says against the first statement of a text that holds one; null where nothing. */
  errorIn(sql: string): string | null;
}

/** Opens a parser. */
export function openParser(): Parser {
  const db = new DatabaseSync(":memory:");
  return {
    errorIn: (sql) => {
      try {
        db.prepare(sql);
        return null;
      } catch (error) {
        return error instanceof Error ? error.message : String(error);
      }
    },
    [Symbol.dispose]: () => db.close(),
  };
}
