import { type Connection, number } from "../database/connection.ts";
import { needsExtension } from "../database/failure.ts";
import { quoteName } from "../sql/tokens.ts";
import { affinityOf, type Finding } from "./model.ts";
import { readColumns, usersTables } from "./tables.ts";

/** Names of columns that hold times, in epoch seconds if they are integers. */
const TIME = /(_at|_time|_ts|timestamp|epoch)$/i;

/** The year 2100 in epoch seconds: a larger value is milliseconds or a mistake. */
const LATEST = 4_102_444_800;

/** A check of the values of a column. */
interface Question {
  readonly column: string;
  /** Condition for a row with a wrong value. */
  readonly condition: string;
  readonly what: string;
  readonly fix: string;
}

/**
 * Finds values that no constraint forbids but that are certainly mistakes: text or fractions in integer
 * columns, text in real columns, and times far in the future. Reads each table once.
 */
export async function checkValues(connection: Connection): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const { name, type } of await usersTables(connection)) {
    if (type === "virtual") continue;
    const questions = (await readColumns(connection, name)).flatMap(questionsAbout);
    if (questions.length === 0) continue;
    const counts = questions.map(({ condition }, index) =>
      `count(*) FILTER (WHERE ${condition}) AS c${index}`
    );
    try {
      const row = await connection.get(
        `SELECT ${counts.join(", ")} FROM main.${quoteName(name)} NOT INDEXED`,
      );
      for (const [index, { column, what, fix }] of questions.entries()) {
        const rows = row === undefined ? 0 : number(row, `c${index}`);
        if (rows === 0) continue;
        findings.push({
          kind: "value",
          object: `${name}.${column}`,
          detail: `${rows} ${rows === 1 ? "row" : "rows"} of ${name}: ${column} ${what}`,
          fix,
        });
      }
    } catch (error) {
      if (!needsExtension(error)) throw error;
    }
  }
  return findings;
}

function questionsAbout(
  { name, type }: { readonly name: string; readonly type: string },
): Question[] {
  const affinity = affinityOf(type, false);
  if (affinity !== "INTEGER" && affinity !== "REAL") return [];
  const column = quoteName(name);
  const isInteger = affinity === "INTEGER";
  const wrong = isInteger ? "'text', 'blob', 'real'" : "'text', 'blob'";
  const questions: Question[] = [{
    column: name,
    condition: `typeof(${column}) IN (${wrong})`,
    what: isInteger ? "holds text or a fraction, not an integer" : "holds text, not a number",
    fix: `find them: SELECT rowid, ${name} FROM … WHERE typeof(${name}) IN (${wrong})`,
  }];
  if (isInteger && TIME.test(name)) {
    questions.push({
      column: name,
      condition: `typeof(${column}) = 'integer' AND ${column} > ${LATEST}`,
      what: "is after the year 2100: milliseconds instead of seconds, or a mistake",
      fix: `divide milliseconds by 1000: UPDATE … SET ${name} = ${name} / 1000`,
    });
  }
  return questions;
}
