import type { LintFinding } from "../../../lib/trial/finding.ts";
import type { LintOptions } from "../../../lib/trial/lint.ts";
import type { Migration, MigrationDefinition } from "../../../lib/migration/migration.ts";
import { Migrator } from "../../../lib/migrator.ts";
import { execute, migrationOf, TemporaryDirectory } from "../support.ts";

/** The parts of a pending migration; a plain SQL text is its upgrade. */
export type Step = string | (Partial<MigrationDefinition> & Pick<MigrationDefinition, "upgrade">);

const SCHEMA = `CREATE TABLE owners (
    owner_id INTEGER PRIMARY KEY,
    name TEXT NOT NULL CHECK (name <> ''),
    side TEXT CONSTRAINT side_known CHECK (side IN ('buy', 'sell')),
    empty TEXT
  );
  CREATE TABLE pets (
    pet_id INTEGER PRIMARY KEY,
    owner_id INTEGER REFERENCES owners ON DELETE CASCADE
  );
  CREATE TABLE plain (a, b);
  CREATE TABLE bare (a, b);
  CREATE TABLE log (name);
  CREATE INDEX owners_by_name ON owners (name);
  CREATE TRIGGER owners_log AFTER UPDATE ON owners BEGIN INSERT INTO log VALUES (new.name); END;`;

const ROWS = `INSERT INTO owners VALUES (1, 'Ann', 'buy', NULL), (2, 'Bob', 'sell', NULL);
  INSERT INTO pets VALUES (1, 1), (2, 1), (3, 2);
  INSERT INTO plain VALUES (1, NULL), (2, NULL);`;

/**
 * A real database of owners (2 rows), their pets (3), a table `plain` (2) that nothing refers to,
 * an empty table `bare`, and a trigger that writes to `log`; and the findings of `lint` for its
 * migrations.
 */
export class Subject implements Disposable {
  readonly directory: TemporaryDirectory = new TemporaryDirectory();

  /** Applies the schema and inserts the rows. */
  static async create(more = ""): Promise<Subject> {
    const subject = new Subject();
    await subject.migrator([], more).upgrade();
    execute(subject.path, ROWS);
    return subject;
  }

  #schema = SCHEMA;

  /** Path of the database. */
  get path(): string {
    return this.directory.file("app.db");
  }

  /** A migrator of the schema's migration and the given ones, numbered from 002. */
  migrator(steps: readonly Step[], more = ""): Migrator {
    if (more !== "") this.#schema += more;
    return new Migrator({
      databases: { app: this.path },
      ledger: this.directory.file("migrations.db"),
      migrations: [
        migrationOf({ name: "001_schema", upgrade: this.#schema }),
        ...steps.map(numbered),
      ],
    });
  }

  /** All findings. If no downgrade is given, an empty one is added. */
  async findings(steps: Step | readonly Step[], options?: LintOptions): Promise<LintFinding[]> {
    const list = (Array.isArray(steps) ? steps : [steps]) as readonly Step[];
    return [...(await this.migrator(list).lint(options)).findings];
  }

  /** Severity and code of each finding, except those about a missing downgrade. */
  async codes(steps: Step | readonly Step[], options?: LintOptions): Promise<string[]> {
    const findings = await this.findings(steps, options);
    return findings.filter(({ code }) => code !== "no-downgrade")
      .map(({ severity, code }) => `${severity} ${code}`);
  }

  [Symbol.dispose](): void {
    this.directory[Symbol.dispose]();
  }
}

function numbered(step: Step, index: number): Migration {
  const definition = typeof step === "string" ? { upgrade: step } : step;
  return migrationOf({ name: `00${index + 2}_step`, ...definition });
}

/** A correct rebuild of `owners`; parts of it may be replaced or left out. */
export function rebuildOwners(parts: {
  readonly columns?: string;
  readonly after?: string;
  readonly before?: string;
} = {}): string {
  const {
    columns = `name TEXT NOT NULL CHECK (name <> ''),
      side TEXT CONSTRAINT side_known CHECK (side IN ('buy', 'sell', 'short')),
      empty TEXT`,
    before = "",
    after = `CREATE INDEX owners_by_name ON owners (name);
      CREATE TRIGGER owners_log AFTER UPDATE ON owners
      BEGIN INSERT INTO log VALUES (new.name); END;`,
  } = parts;
  return `${before}
    CREATE TABLE new_owners (owner_id INTEGER PRIMARY KEY, ${columns});
    INSERT INTO new_owners SELECT owner_id, name, side, empty FROM owners;
    DROP TABLE owners;
    ALTER TABLE new_owners RENAME TO owners;
    ${after}`;
}
