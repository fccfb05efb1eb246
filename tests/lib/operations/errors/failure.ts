/** Runs a program's own migrations into their errors. */
import assert from "node:assert/strict";
import { CatalystError } from "../../../../lib/base/errors.ts";
import { defineMigration, type MigrationDefinition } from "../../../../lib/migration/migration.ts";
import { Migrator } from "../../../../lib/migrator.ts";
import { printableLines } from "../../../../lib/terminal/text.ts";
import { type Content, contentOf, existsSync } from "../../../helpers.ts";
import { TemporaryDirectory } from "../../support.ts";

/** A migration of the database `app`, with a generated name. */
export type Definition = Partial<MigrationDefinition> & Pick<MigrationDefinition, "upgrade">;

/** A directory with a program's database `app`, its ledger, and migrators for them. */
export class Program implements Disposable {
  readonly #directory = new TemporaryDirectory();
  /** Path of the database. */
  readonly path: string = this.#directory.file("app.db");
  /** Path of the ledger. */
  readonly ledger: string = this.#directory.file("migrations.db");

  /** A migrator for `001_step`, `002_step`, …, unless a definition has its own name. */
  migrator(...definitions: readonly Definition[]): Migrator {
    return new Migrator({
      databases: { app: this.path, other: this.#directory.file("other.db") },
      ledger: this.ledger,
      migrations: definitions.map((definition, index) =>
        defineMigration({
          name: `${String(index + 1).padStart(3, "0")}_step`,
          database: "app",
          ...definition,
        })
      ),
      timeout: 1,
    });
  }

  /** Every byte of the database; null if it does not exist. */
  bytes(): string | null {
    return existsSync(this.path) ? Deno.readFileSync(this.path).toHex() : null;
  }

  /** The content of the database, with its markers. */
  content(): Content {
    return contentOf(this.path);
  }

  [Symbol.dispose](): void {
    this.#directory[Symbol.dispose]();
  }
}

/** Runs work that must fail with one of the toolkit's errors, in the required form. */
export async function failureOf(work: () => unknown): Promise<CatalystError> {
  try {
    await work();
  } catch (error) {
    assert(error instanceof CatalystError, String(error));
    assert.match(error.message, /^Cannot \S+ .+: .+/s);
    assert(error.help !== undefined && error.help !== "", `no help: ${error.message}`);
    return error;
  }
  assert.fail("nothing was thrown");
}

/** An error as the user sees it, with its location. */
export function worded({ code, message, details, help, statement, line }: CatalystError): string {
  return printableLines([
    `${code}`,
    `error: ${message}`,
    ...details.map((detail) => `  ${detail}`),
    `help: ${help}`,
    ...(statement === undefined ? [] : [`statement: ${statement}`]),
    ...(line === undefined ? [] : [`line: ${line}`]),
  ].join("\n"));
}
