import type { Connection } from "../database/connection.ts";
import { openMemory } from "../database/open.ts";
import { StatementError } from "../base/errors.ts";
import { type Axis, gridOf, isComparing } from "./grid.ts";
import type { CheckSchema, ColumnSchema } from "./model.ts";
import { closing, fold, is, render, type Token, tokenize } from "../sql/tokens.ts";

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
