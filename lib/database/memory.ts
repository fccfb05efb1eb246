import { DatabaseSync } from "node:sqlite";
import type { Connection } from "./connection.ts";
import { NodeSqliteConnection } from "./node_sqlite.ts";

/** Opens a new, empty database in memory; it is gone when the connection is closed. */
export function openMemory({ label = ":memory:" }: { readonly label?: string } = {}): Connection {
  return new NodeSqliteConnection(new DatabaseSync(":memory:"), { label, owned: true });
}

/** Version of the SQLite that drives local databases, such as `3.53.2`. */
export function sqliteVersion(): string {
  using db = new DatabaseSync(":memory:");
  return String(db.prepare("SELECT sqlite_version() AS version").get()?.version);
}
