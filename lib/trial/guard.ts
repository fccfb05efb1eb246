import { LintError } from "../base/errors.ts";
import { mayTouchRows } from "../engine/checks.ts";
import type { Migration } from "../migration/migration.ts";
import type { Workspace } from "../state/workspace.ts";
import { dataLossCodes, type LintFinding } from "./finding.ts";
import { Lane } from "./lint_run.ts";
import { isCutShort, keep } from "./lint.ts";
import { lossFaults, rebuildFaults } from "./rules_loss.ts";

/**
 * Looks, before anything is changed, whether migrations lose rows or values that they don't declare.
 *
 * @throws {LintError} where they do; it names each statement.
 */
export async function refuseDataLoss(
  workspace: Workspace,
  apply: readonly Migration[],
): Promise<void> {
  const suspects = apply.filter((one) =>
    mayTouchRows(one.upgrade) && !workspace.trusted.includes(one)
  );
  if (suspects.length > 0) await refuseLosses(workspace, { apply, suspects });
}

/** What is about to be applied. */
interface GuardOptions {
  /** The migrations, in order. */
  readonly apply: readonly Migration[];
  /** Which of them are to be looked at; the others are only run. */
  readonly suspects: readonly Migration[];
}

async function refuseLosses(
  workspace: Workspace,
  { apply, suspects }: GuardOptions,
): Promise<void> {
  const findings: LintFinding[] = [];
  for (const database of new Set(suspects.map((one) => one.database))) {
    const own = apply.filter((one) => one.database === database);
    const last = own.findLastIndex((one) => suspects.includes(one));
    await using lane = await Lane.open(workspace, { database });
    // Without tables there is nothing to lose, and no reason to call the functions of migrations twice.
    if (!lane.hasTables) continue;
    for (const migration of own.slice(0, last + 1)) {
      const failure = suspects.includes(migration)
        ? await lane.upgrade(migration, async (rehearsed) => {
          if (isCutShort(rehearsed)) return;
          const faults = [...await lossFaults(rehearsed), ...await rebuildFaults(rehearsed)];
          findings.push(...keep(migration, faults.filter(({ code }) => dataLossCodes.has(code))));
        })
        : await lane.pass(migration);
      // It may fail here only for want of rows; in earnest it will say so itself.
      if (failure !== null) break;
    }
  }
  const [first] = findings;
  if (first !== undefined) throw refused(first, findings);
}

function refused(first: LintFinding, findings: readonly LintFinding[]): LintError {
  const { migration, database, line, statement } = first;
  const others = new Set(findings.map((one) => one.migration));
  const subject = others.size === 1 ? migration : [...others].join(", ");
  return new LintError(
    `Cannot apply ${subject}: it would lose data that it doesn't declare: ${
      findings.map(describe).join("; ")
    }`,
    {
      migration,
      database,
      ...(line === null ? {} : { line }),
      ...(statement === null ? {} : { statement }),
      help: `${
        [...new Set(findings.map(({ fix }) => fix))].join("; ")
      }. Nothing was changed; \`lint\` shows it all.`,
    },
  );
}

function describe({ file, line, reason, code }: LintFinding): string {
  const place = file === null
    ? line === null ? "" : ` (line ${line} of its SQL)`
    : ` (${file}${line === null ? "" : `:${line}`})`;
  return `${reason}${place} [${code}]`;
}
