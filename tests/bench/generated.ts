import type { Migration } from "../../lib/migration/migration.ts";

/** Generates migrations `00001_create_t_00001` and so on, each with one small table, for the database `main`. */
export function generatedMigrations(count: number): Migration[] {
  return Array.from({ length: count }, (_, index) => {
    const id = String(index + 1).padStart(5, "0");
    return {
      id,
      name: `${id}_create_t_${id}`,
      database: "main",
      upgrade: `CREATE TABLE t_${id} (id INTEGER PRIMARY KEY, name TEXT NOT NULL);`,
      downgrade: `DROP TABLE t_${id};`,
    };
  });
}
