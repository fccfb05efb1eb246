import { StatementError } from "../base/errors.ts";
import type { Connection } from "../database/connection.ts";
import { openMemory } from "../database/open.ts";
import { closing, fold, is, render, type Token, tokenize } from "../sql/tokens.ts";
import { affinityOf, type CheckSchema, type ColumnSchema } from "./model.ts";

/** Where a check stands: the table whose columns it names. */
export interface CheckContext {
  /** Name of the table. */
  readonly table: string;
  /** Its columns; what is none of them in double quotes is a text. */
  readonly columns: readonly ColumnSchema[];
}

/** The checks that only one of two tables has, by meaning. */
export interface UnmatchedChecks {
  /** Those of the first. */
  readonly missing: readonly CheckSchema[];
  /** Those of the second. */
  readonly extra: readonly CheckSchema[];
}

/**
 * Tells whether two CHECK expressions accept the same rows: because they are the same text, or because
 * they are comparisons and agree on every order of values. Where that is not known, they differ.
 */
export async function sameCheck(a: string, b: string, context: CheckContext): Promise<boolean> {
  const left = understand(a, context);
  const right = understand(b, context);
  if (render(left) === render(right)) return true;
  const axes = gridOf([...left, ...right], context.columns);
  return axes !== null && await agree([left, right], axes);
}

/**
 * Pairs the checks of two tables by text, then by meaning, then as groups: a rule may stand in one
 * check here and in two there.
 */
export async function unmatchedChecks(
  expected: readonly CheckSchema[],
  actual: readonly CheckSchema[],
  context: CheckContext,
): Promise<UnmatchedChecks> {
  // By canonical spelling, so that the same check twice is one check.
  const spelled = (checks: readonly CheckSchema[]): Map<string, CheckSchema> =>
    new Map(checks.map((check) => [render(understand(check.expression, context)), check]));
  const wanted = spelled(expected);
  const found = spelled(actual);
  const missing: CheckSchema[] = [];
  const shared: CheckSchema[] = [];
  const extra = [...found].flatMap(([spelling, check]) => wanted.has(spelling) ? [] : check);
  for (const [spelling, check] of wanted) {
    const partner = found.has(spelling) ? -1 : await findSame(check, extra, context);
    if (partner !== -1) extra.splice(partner, 1);
    (partner !== -1 || found.has(spelling) ? shared : missing).push(check);
  }
  const unmatched: UnmatchedChecks[] = [];
  for (const group of groupByColumns({ missing, extra }, context)) {
    if (!await sameTogether(group, shared, context)) unmatched.push(group);
  }
  return {
    missing: unmatched.flatMap((group) => group.missing),
    extra: unmatched.flatMap((group) => group.extra),
  };
}

async function findSame(
  check: CheckSchema,
  others: readonly CheckSchema[],
  context: CheckContext,
): Promise<number> {
  for (const [place, other] of others.entries()) {
    if (await sameCheck(check.expression, other.expression, context)) return place;
  }
  return -1;
}

/** Checks that have columns in common, if only by way of another check. */
interface CheckGroup extends UnmatchedChecks {
  readonly columns: ReadonlySet<string>;
}

function groupByColumns(checks: UnmatchedChecks, context: CheckContext): CheckGroup[] {
  let groups: CheckGroup[] = [];
  const add = (check: CheckSchema, side: "missing" | "extra"): void => {
    let columns = columnsOf(check, context);
    const joined = groups.filter((group) => !group.columns.isDisjointFrom(columns));
    for (const group of joined) columns = columns.union(group.columns);
    const all = [...joined, { missing: [], extra: [], [side]: [check] }];
    groups = groups.filter((group) => !joined.includes(group));
    groups.push({
      columns,
      missing: all.flatMap((group) => group.missing),
      extra: all.flatMap((group) => group.extra),
    });
  };
  for (const check of checks.missing) add(check, "missing");
  for (const check of checks.extra) add(check, "extra");
  return groups;
}

/** Tells whether the two sides of a group agree, by themselves or where the shared checks hold. */
async function sameTogether(
  group: CheckGroup,
  shared: readonly CheckSchema[],
  context: CheckContext,
): Promise<boolean> {
  const { missing, extra, columns } = group;
  if (await sameCheck(all(missing), all(extra), context)) return true;
  const near = shared.filter((check) => columnsOf(check, context).isSubsetOf(columns));
  return near.length > 0 &&
    await sameCheck(all([...missing, ...near]), all([...extra, ...near]), context);
}

function columnsOf(check: CheckSchema, context: CheckContext): ReadonlySet<string> {
  const tokens = understand(check.expression, context);
  return new Set(tokens.flatMap((token) => token.kind === "quoted" ? token.value : []));
}

/** One expression that accepts what all of the checks accept. */
function all(checks: readonly CheckSchema[]): string {
  // A check accepts NULL, and AND of NULL and false is false, as it must be.
  return checks.map((check) => `(${check.expression}\n)`).join(" AND ") || "1";
}

/**
 * The tokens of a check without outer parentheses; each column as a `quoted` token and without its
 * table's name, and each double-quoted text, which SQLite lets pass, as a `string` token.
 */
function understand(expression: string, context: CheckContext): Token[] {
  const columns = new Set(context.columns.map((column) => fold(column.name)));
  const table = fold(context.table);
  let tokens = tokenize(expression);
  while (is(tokens[0], "(") && tokens.length > 1 && closing(tokens, 0) === tokens.length - 1) {
    tokens = tokens.slice(1, -1);
  }
  return tokens.flatMap((token, at): Token[] => {
    const isName = token.kind === "word" || token.kind === "quoted";
    const name = fold(token.value);
    if (isName && is(tokens[at + 1], ".") && name === table) return [];
    if (is(token, ".") && fold(tokens[at - 1]?.value ?? "") === table) return [];
    if (isName && columns.has(name) && !isComparing(token)) {
      return [{ ...token, kind: "quoted", value: name }];
    }
    if (token.kind === "quoted" && token.text.startsWith('"')) {
      return [{ ...token, kind: "string", text: `'${token.value.replaceAll("'", "''")}'` }];
    }
    return [token];
  });
}

/** Tries both expressions on every row of the grid. */
async function agree(
  expressions: readonly (readonly Token[])[],
  axes: readonly Axis[],
): Promise<boolean> {
  await using connection = openMemory();
  try {
    const sources = axes.map((_, place) => `axis_${place}`);
    for (const [place, axis] of axes.entries()) await fill(connection, `axis_${place}`, axis);
    const [left, right] = expressions.map((tokens) => `((${spell(tokens)}) IS NOT FALSE)`);
    const from = sources.length === 0 ? "" : `FROM ${sources.join(", ")}`;
    const row = await connection.get(`SELECT 1 AS found ${from} WHERE ${left} <> ${right} LIMIT 1`);
    return row === undefined;
  } catch (error) {
    // Not decided is different: the expression needs something that the scratch database lacks.
    if (error instanceof StatementError) return false;
    throw error;
  }
}

async function fill(connection: Connection, table: string, axis: Axis): Promise<void> {
  const { column, candidates } = axis;
  const collation = column.collation === "BINARY" ? "" : `COLLATE "${column.collation}"`;
  await connection.exec(
    `CREATE TABLE ${table} (${quote(column.name)} ${column.type} ${collation})`,
  );
  await connection.run(
    `INSERT INTO ${table} SELECT value FROM json_each(?)`,
    [JSON.stringify(candidates)],
  );
}

function spell(tokens: readonly Token[]): string {
  return tokens.map((token) => token.kind === "quoted" ? quote(token.value) : token.text).join(" ");
}

function quote(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** A value to try a column with. */
export type Candidate = null | number | string;

/** The values to try one column with. */
export interface Axis {
  readonly column: ColumnSchema;
  readonly candidates: readonly Candidate[];
}

/** The most rows that are tried; a few ten milliseconds of work. */
const MOST_ROWS = 50_000;

/**
 * Words and signs of expressions that only compare: for these a value matters by its place among the
 * literals and the other columns alone, so that trying one of each place tells all. With sums,
 * functions or patterns it would not.
 */
const COMPARING = new Set([
  ...["and", "or", "not", "in", "is", "null", "isnull", "notnull", "between", "distinct", "from"],
  ...["case", "when", "then", "else", "end", "true", "false"],
  ...["(", ")", ",", "=", "!=", "<", "<=", ">", ">="],
]);

/**
 * The values to try each column with that the expressions name, so that every order among columns
 * and literals occurs; null where no such list is known or it is too long.
 *
 * @param tokens of all the expressions; a column is a `quoted` token, a text a `string` token.
 */
export function gridOf(
  tokens: readonly Token[],
  columns: readonly ColumnSchema[],
): readonly Axis[] | null {
  const literals = literalsOf(tokens);
  if (literals === null) return null;
  const named = new Map(columns.map((column) => [fold(column.name), column]));
  const used = new Set<ColumnSchema>();
  for (const token of tokens) {
    const column = token.kind === "quoted" ? named.get(fold(token.value)) : undefined;
    if (column !== undefined) used.add(column);
    else if (token.kind === "quoted") return null;
  }
  // Columns that compare by different rules would need the places of each rule.
  if (used.size > 1 && used.values().some((column) => column.collation !== "BINARY")) return null;

  const places = [...used].map((column) => ({ column, affinity: comparisonOf(column.type) }));
  if (literals.exponents && places.some((place) => place.affinity !== "numeric")) return null;
  if (places.some(({ column }) => /^any$/i.test(column.type))) return null;
  const sharing = (affinity: Comparison): number =>
    places.filter((place) => place.affinity === affinity || place.affinity === "none").length;
  const numbers = [0, 1, ...spreadNumbers(literals.numbers, sharing("numeric"))];
  const strings = ["1", ...spreadStrings(literals.strings, sharing("text"))];
  const axes = places.map(({ column, affinity }): Axis => {
    // A numeric column may hold a text, which is above all numbers; a text column holds no number.
    const values = new Set<Candidate>([
      ...(affinity === "text" ? [] : numbers),
      ...(affinity === "numeric" ? spreadStrings(literals.strings, 0) : strings),
    ]);
    return { column, candidates: [...(column.notNull ? [] : [null]), ...values] };
  });
  const rows = axes.reduce((product, axis) => product * axis.candidates.length, 1);
  return rows <= MOST_ROWS ? axes : null;
}

/** What expressions compare columns with. */
interface Literals {
  readonly numbers: readonly number[];
  /** Texts, and the numbers as a text column sees them. */
  readonly strings: readonly string[];
  /** Whether a number is written like `1e3`, whose text is SQLite's own affair. */
  readonly exponents: boolean;
}

/** The literals of expressions that only compare; null where they do anything else. */
function literalsOf(tokens: readonly Token[]): Literals | null {
  const numbers = new Set<number>();
  const strings = new Set<string>([""]);
  let exponents = false;
  for (const [at, token] of tokens.entries()) {
    if (token.kind === "string") {
      strings.add(token.value);
      const value = Number(token.value);
      if (token.value.trim() !== "" && Number.isFinite(value)) numbers.add(value);
    } else if (token.kind === "number") {
      const value = Number(token.value);
      if (Math.abs(value) > Number.MAX_SAFE_INTEGER) return null;
      exponents ||= /e/.test(token.value) && !token.value.startsWith("0x");
      numbers.add(value).add(-value);
      for (const text of [token.value, String(value)]) strings.add(text).add(`-${text}`);
    } else if (token.kind !== "quoted" && !isComparing(token) && !isSign(tokens, at)) {
      return null;
    }
  }
  return { numbers: [...numbers], strings: [...strings], exponents };
}

/** Tells whether a token is a word or sign of an expression that compares. */
export function isComparing(token: Token | undefined): boolean {
  return token !== undefined && (token.kind === "word" || token.kind === "operator") &&
    COMPARING.has(token.value);
}

/** A minus or plus that belongs to a number, and is no sum. */
function isSign(tokens: readonly Token[], at: number): boolean {
  const before = tokens[at - 1];
  const ends = is(before, ")", "end", "null", "isnull", "notnull", "true", "false");
  return is(tokens[at], "-", "+") && tokens[at + 1]?.kind === "number" &&
    (before === undefined || (isComparing(before) && !ends));
}

/** The literals, and `others` numbers below, between and above them. */
function spreadNumbers(literals: readonly number[], others: number): number[] {
  const sorted = literals.toSorted((a, b) => a - b);
  const steps = Array.from({ length: others }, (_, place) => place + 1);
  const found = sorted.flatMap((low, place) => {
    const high = sorted[place + 1];
    const step = high === undefined ? stepFrom(low) : (high - low) / (others + 1);
    return [low, ...steps.map((count) => low + step * count)];
  });
  const [lowest] = sorted;
  if (lowest === undefined) return steps;
  return [...steps.map((count) => lowest - stepFrom(lowest) * count), ...found];
}

/** A distance from a number that makes another number, however large it is. */
function stepFrom(value: number): number {
  return Math.max(1, Math.abs(value) / 1024);
}

/** The literals, and `others` texts that sort right after each, or one at the end where it is 0. */
function spreadStrings(literals: readonly string[], others: number): string[] {
  if (others === 0) return [...literals, `${literals.toSorted().at(-1)}\u0001`];
  return literals.flatMap((literal) => [
    literal,
    ...Array.from({ length: others }, (_, place) => literal + "\u0001".repeat(place + 1)),
  ]);
}

/** How a column changes what is stored in it, as far as comparing goes. */
type Comparison = "text" | "numeric" | "none";

function comparisonOf(type: string): Comparison {
  const affinity = affinityOf(type, false);
  return affinity === "TEXT" ? "text" : affinity === "BLOB" ? "none" : "numeric";
}
