/**
 * Parses the text of a migration in an SQL file.
 *
 * @module
 */
import { lineOf, splitStatements, type Unfinished } from "../sql/tokens.ts";
import { MigrationFileError } from "../base/errors.ts";
import { excerpt, placeOf } from "../base/excerpt.ts";
import type { LintAllowance, Migration } from "./migration.ts";
import { didYouMean } from "../base/format.ts";

/** The file that a text was read from. */
interface MigrationFileOptions {
  /** Its path, for messages. */
  readonly path: string;
  /** The number at the start of its name. */
  readonly id: string;
  /** Its name without the extension. */
  readonly name: string;
  /** Names of the known databases; any name is allowed if absent. */
  readonly databases?: readonly string[] | undefined;
}

/** Directives of the toolkit, at the start of a line, inside sections and before them. */
const DIRECTIVE =
  /^[ \t]*--[ \t]*(?:(migrate:)[ \t]*(up\b|down\b|(?<=:)[^\s:]+)|(database:|replaces:|lint:allow\b))([^\r\n]*)/gm;

interface Directive {
  readonly kind: string;
  /** Start and end of its line; `end` is before the line break. */
  readonly start: number;
  readonly end: number;
  /** The text after it on its line. */
  readonly rest: string;
  /** Where that text begins. */
  readonly restAt: number;
}

/** The options of `migrate:up` and `migrate:down`. */
const OPTIONS = ["transaction", "foreign-keys", "destroys", "database"];

interface SectionOptions {
  transaction?: boolean;
  foreignKeys?: boolean;
  destroys?: readonly string[];
  database?: { readonly name: string; readonly at: number };
}

/**
 * Parses an SQL migration file: the sections `-- migrate:up` and `-- migrate:down`, and the database in
 * `-- database:`. Strings, comments and triggers must be terminated; SQLite checks the rest later.
 *
 * @throws {MigrationFileError} if something is missing or wrong; the message has its line and column.
 */
export function parseMigrationFile(content: string, file: MigrationFileOptions): Migration {
  // A checkout with CRLF must not change the migration or its string literals.
  const text = content.replace(/^\uFEFF/, "").replaceAll("\r\n", "\n");
  const fail = (at: number, fault: Fault): never => {
    throw faultIn(text, { ...fault, at, path: file.path, name: file.name });
  };
  const found = directives(text);
  const { up, down } = sections(text, found, fail);
  const upgrade = textOf(text, up.end, down?.start ?? text.length);
  const options = optionsOf(up, fail);
  if (down !== undefined) refuseOther(options, down, fail);
  checkSection(upgrade, "migrate:up", fail);
  const downgrade = down === undefined ? null : textOf(text, down.end, text.length);
  const hasDowngrade = downgrade !== null && checkSection(downgrade, null, fail);
  const allows = found.filter(({ kind }) => kind === "lint:allow").map((one) =>
    allowanceOf(one, fail)
  );
  const replaces = replacesOf(found, file.id, fail);
  return {
    id: file.id,
    name: file.name,
    database: databaseOf(found, { options, up, databases: file.databases }, fail),
    upgrade: upgrade.sql,
    ...(hasDowngrade ? { downgrade: downgrade.sql } : {}),
    ...(options.transaction === false ? { transaction: false } : {}),
    ...(options.foreignKeys === false ? { foreignKeys: false } : {}),
    ...(options.destroys === undefined ? {} : { destroys: options.destroys }),
    ...(replaces === undefined ? {} : { replaces }),
    ...(allows.length === 0 ? {} : { allows }),
    source: {
      path: file.path,
      upgradeLine: lineOf(text, upgrade.at),
      ...(hasDowngrade ? { downgradeLine: lineOf(text, downgrade.at) } : {}),
    },
  };
}

/** An error in a file and its fix. */
interface Fault {
  readonly reason: string;
  readonly help: string;
  /** Where the statement that contains the error begins. */
  readonly from?: number;
}

type Fail = (at: number, fault: Fault) => never;

/** Creates an error for a position in a migration file, shown with a caret. */
export function faultIn(
  text: string,
  { reason, help, at, from, path, name, firstLine = 1 }: Fault & {
    readonly at: number;
    readonly path: string;
    readonly name: string;
    readonly firstLine?: number;
  },
): MigrationFileError {
  const { line, column } = placeOf(text, at, firstLine);
  const shown = text.trim() === ""
    ? ""
    : `\n${excerpt(text, { at, firstLine, ...(from === undefined ? {} : { from }) })}`;
  return new MigrationFileError(`Cannot use ${path}:${line}:${column}: ${reason}`, {
    help: help + shown,
    path,
    line,
    column,
    migration: name,
  });
}

function directives(text: string): Directive[] {
  return Array.from(text.matchAll(DIRECTIVE), (match): Directive => {
    const [line, migrate, section, other, rest = ""] = match;
    const end = match.index + line.length;
    const kind = migrate === undefined ? other ?? "" : migrate + section;
    return { kind, start: match.index, end, rest, restAt: end - rest.length };
  });
}

interface Sections {
  readonly up: Directive;
  readonly down: Directive | undefined;
}

function sections(text: string, found: readonly Directive[], fail: Fail): Sections {
  const all = found.filter(({ kind }) => kind.startsWith("migrate:"));
  for (const { kind, start } of all) {
    if (kind === "migrate:up" || kind === "migrate:down") continue;
    fail(start, {
      reason: `unknown section "${kind}"`,
      help: `${didYouMean(kind, ["migrate:up", "migrate:down"])}the sections are ` +
        "-- migrate:up and -- migrate:down",
    });
  }
  const [up, down, third] = all;
  if (up === undefined) {
    return fail(0, {
      reason: text.trim() === "" ? "the file is empty" : 'it has no section "-- migrate:up"',
      help:
        'add a line "-- migrate:up" above the statements of the upgrade, and "-- migrate:down" ' +
        "above the statements that undo it",
    });
  }
  if (up.kind === "migrate:down") {
    return fail(up.start, {
      reason: '"-- migrate:down" comes before "-- migrate:up"',
      help: "move the section -- migrate:up to the top",
    });
  }
  const double = down?.kind === "migrate:up" ? down : third;
  if (double !== undefined) {
    return fail(double.start, {
      reason: `it has two sections "-- ${double.kind}"`,
      help: "merge them, or split them into two files",
    });
  }
  const early = splitStatements(text.slice(0, up.start));
  if (early.unfinished !== null) return failUnfinished(early.unfinished, 0, fail);
  if (early.statements[0] !== undefined) {
    return fail(early.statements[0].start, {
      reason: 'there is SQL before "-- migrate:up"',
      help: "move it below that line; only comments are allowed above it",
    });
  }
  return { up, down };
}

interface SectionText {
  readonly sql: string;
  /** Its offset in the file. */
  readonly at: number;
}

/** The text below a directive's line. */
function textOf(text: string, lineEnd: number, end: number): SectionText {
  const at = Math.min(lineEnd + 1, end);
  return { sql: text.slice(at, end).trimEnd(), at };
}

/** Whether a section has a statement; fails if it requires one, or if one is unterminated. */
function checkSection({ sql, at }: SectionText, required: string | null, fail: Fail): boolean {
  const { statements, unfinished } = splitStatements(sql);
  if (unfinished !== null) return failUnfinished(unfinished, at, fail);
  if (statements.length > 0) return true;
  if (required === null) return false;
  return fail(sql === "" ? Math.max(0, at - 1) : at, {
    reason: `its section "-- ${required}" has no statement`,
    help: "write the statements of the upgrade below that line",
  });
}

function failUnfinished({ what, at, statement }: Unfinished, offset: number, fail: Fail): never {
  return fail(offset + at, { ...unfinishedFault(what), from: offset + statement });
}

/** Reason and help for an unterminated part. */
export function unfinishedFault(what: Unfinished["what"]): { reason: string; help: string } {
  const help = {
    "the string": "close it with '; double a quote inside a string: ''",
    "the quoted name": "close it with the quote character that opens it",
    "the comment": "close it with */; to disable a section, put -- before each of its lines",
    "the trigger": "close it with END; as the last line of the trigger",
  }[what];
  return { reason: `${what} that begins here is not closed`, help };
}

/** An option, whose value may contain quoted parts. */
const OPTION = /(?:[^\s"]|"(?:[^"]|"")*"|")+/g;

/** The tables of `destroys:`, separated by commas. */
const TABLES = /^(?:[^\s",]+|"(?:[^"]|"")+")(?:,(?:[^\s",]+|"(?:[^"]|"")+"))*$/;

function tablesOf(value: string): string[] {
  return Array.from(
    value.matchAll(/"((?:[^"]|"")+)"|[^",]+/g),
    ([name, quoted]) => quoted === undefined ? name : quoted.replaceAll('""', '"'),
  );
}

function optionsOf(section: Directive, fail: Fail): SectionOptions {
  const options: SectionOptions = {};
  for (const match of section.rest.matchAll(OPTION)) {
    const at = section.restAt + match.index;
    const [, key = match[0], value = ""] = /^([^:]*):(.*)$/.exec(match[0]) ?? [];
    const choice = (...values: readonly string[]): boolean => {
      if (values.includes(value)) return value === values[0];
      return fail(at, {
        reason: `"${match[0]}" is not an option of "-- ${section.kind}"`,
        help: `write ${values.map((one) => `${key}:${one}`).join(" or ")}`,
      });
    };
    if (key === "transaction") options.transaction = choice("true", "false");
    else if (key === "foreign-keys") options.foreignKeys = choice("on", "off");
    else if (key === "destroys" && TABLES.test(value)) options.destroys = tablesOf(value);
    else if (key === "database" && value !== "") options.database = { name: value, at };
    else {
      const known = OPTIONS.includes(key);
      fail(at, {
        reason: known
          ? `"${match[0]}" has no value` + (value.includes('"') ? ", or a quote is not closed" : "")
          : `"${match[0]}" is not an option of "-- ${section.kind}"`,
        help: known
          ? `write ${key}:NAME, without a space` +
            (key === "destroys" ? "; put a name with a space in quotes" : "")
          : `${
            didYouMean(key, OPTIONS)
          }the options are transaction:false, foreign-keys:off, destroys:TABLE,TABLE and ` +
            `database:NAME; put a table name with a space in quotes`,
      });
    }
  }
  return options;
}

/** Refuses options of the down section that contradict the up section. */
function refuseOther(up: SectionOptions, section: Directive, fail: Fail): void {
  const down = optionsOf(section, fail);
  const differs = (down.transaction !== undefined && down.transaction !== (up.transaction ?? true))
    ? "transaction"
    : (down.foreignKeys !== undefined && down.foreignKeys !== (up.foreignKeys ?? true))
    ? "foreign-keys"
    : down.database !== undefined && up.database !== undefined &&
        down.database.name !== up.database.name
    ? "database"
    : null;
  if (differs === null) return;
  fail(section.restAt, {
    reason: `"-- migrate:down" has a different ${differs} option than "-- migrate:up"`,
    help: `put ${differs}: on the "-- migrate:up" line, where it applies to both sections`,
  });
}

function allowanceOf({ rest, start }: Directive, fail: Fail): LintAllowance {
  const [, code, reason] = /^[ \t]+([a-z][a-z-]*)[ \t]+(\S.*?)[ \t]*$/.exec(rest) ?? [];
  if (code !== undefined && reason !== undefined) return { code, reason };
  return fail(start, {
    reason: '"-- lint:allow" needs the code of a finding and a reason',
    help: "write it like -- lint:allow table-dropped the table was never used",
  });
}

/** Ids of the migrations that the file replaces, including its own, as written by `squash`. */
function replacesOf(
  found: readonly Directive[],
  id: string,
  fail: Fail,
): readonly string[] | undefined {
  const directive = found.find(({ kind }) => kind === "replaces:");
  if (directive === undefined) return undefined;
  const ids = directive.rest.split(",").map((one) => one.trim());
  if (ids.every((one) => /^\d+$/.test(one)) && ids.includes(id)) return ids;
  return fail(directive.start, {
    reason: '"-- replaces:" needs the numbers of the migrations, including that of this file',
    help: `write it like -- replaces: 004,005,${id}`,
  });
}

interface DatabaseQuestion {
  readonly options: SectionOptions;
  readonly up: Directive;
  readonly databases: readonly string[] | undefined;
}

function databaseOf(
  found: readonly Directive[],
  { options, up, databases }: DatabaseQuestion,
  fail: Fail,
): string {
  const named = found.filter(({ kind }) => kind === "database:").map(({ rest, restAt }) => ({
    name: rest.trim(),
    at: restAt + rest.length - rest.trimStart().length,
    isAbove: restAt < up.start,
  }));
  const above = named.filter(({ isAbove }) => isAbove);
  const all = [...above, ...options.database === undefined ? [] : [options.database]];
  const [first] = all;
  const known = databases === undefined ? "" : `; the databases are ${databases.join(", ")}`;
  if (first === undefined || first.name === "") {
    return fail(first?.at ?? named[0]?.at ?? up.start, {
      reason: "it does not name its database",
      help: `write "-- database: NAME" above "-- migrate:up"${known}`,
    });
  }
  const other = all.find(({ name }) => name !== first.name);
  if (other !== undefined) {
    return fail(other.at, {
      reason: `it names two databases, "${first.name}" and "${other.name}"`,
      help: "split it into two files: a migration changes one database",
    });
  }
  if (databases !== undefined && !databases.includes(first.name)) {
    return fail(first.at, {
      reason: `unknown database "${first.name}"`,
      help: `${didYouMean(first.name, databases)}the databases are ${databases.join(", ")}`,
    });
  }
  return first.name;
}
