/** Rules for every workflow, in addition to actionlint's. */

/** Violations in the text of a workflow, one line each. */
export function faultsOf(workflow: string): string[] {
  const lines = workflow.split("\n");
  const faults: string[] = [];
  if (!/^permissions:/m.test(workflow)) faults.push("the workflow has no permissions");
  for (const line of lines) {
    const used = /^\s*(?:- )?uses: (.*)$/.exec(line)?.[1];
    if (used === undefined || used.startsWith("./")) continue;
    if (!/^[\w.-]+\/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/.test(used)) {
      faults.push(`${used} is not pinned by a commit with its version beside it`);
    }
  }
  for (const [name, job] of jobsOf(lines)) {
    for (const key of ["timeout-minutes", "permissions"]) {
      if (!job.some((line) => line.startsWith(`    ${key}:`))) faults.push(`${name} has no ${key}`);
    }
  }
  // The value of ${{ }} becomes part of the script, so the name of a branch could inject commands.
  for (const script of scriptsOf(lines)) {
    if (script.includes("${{")) faults.push(`an expression in a script: ${script.trim()}`);
  }
  return faults;
}

/** Each action that a workflow uses, with its commit. */
export function actionsOf(workflow: string): (readonly [action: string, pin: string])[] {
  return [...workflow.matchAll(/uses: (\S+)@(.*)$/gm)].map(([, action = "", pin = ""]) =>
    [action, pin] as const
  );
}

/** The lines of each job; a job begins with its name, indented by two spaces. */
function jobsOf(lines: readonly string[]): Map<string, string[]> {
  const jobs = new Map<string, string[]>();
  let job: string[] | undefined;
  for (const line of lines.slice(lines.indexOf("jobs:") + 1)) {
    const name = /^ {2}([\w-]+):/.exec(line)?.[1];
    if (name === undefined) job?.push(line);
    else jobs.set(name, job = []);
  }
  return jobs;
}

/** The lines that a shell runs. */
function scriptsOf(lines: readonly string[]): string[] {
  const scripts: string[] = [];
  let depth: number | undefined;
  for (const line of lines) {
    const indent = line.search(/\S/);
    if (depth !== undefined && (indent === -1 || indent > depth)) {
      scripts.push(line);
      continue;
    }
    depth = undefined;
    const [, before = "", script] = /^(\s*(?:- )?)run: (.*)$/.exec(line) ?? [];
    if (script === undefined) continue;
    if (/^[|>]/.test(script)) depth = before.length;
    else scripts.push(script);
  }
  return scripts;
}
