/** Helpers for tests of `doctor`. */
import assert from "node:assert/strict";
import { join } from "node:path";
import type { Check } from "../../../lib/doctor/facts.ts";
import { run, type RunOptions } from "../../cli_helpers.ts";

/** The output of `doctor --json`. */
export interface Diagnosis {
  readonly code: number;
  readonly checks: readonly Check[];
  /** The check with a code, which must occur once. */
  only(code: string): Check;
  /** Codes of a level. */
  codes(level: Check["level"]): readonly string[];
}

/** Runs `doctor` on `data/` in a directory, or with the given arguments. */
export async function examine(
  options: RunOptions,
  args: readonly string[] = [],
): Promise<Diagnosis> {
  const { code, stdout, stderr } = await run(["doctor", "--json", ...args], options);
  assert.equal(stderr, "");
  const { ok, problems, notices, checks } = JSON.parse(stdout);
  const codes = (level: Check["level"]) =>
    checks.filter((check: Check) => check.level === level).map((check: Check) => check.code);
  assert.equal(problems, codes("problem").length);
  assert.equal(notices, codes("notice").length);
  assert.equal(ok, problems === 0);
  assert.equal(code, ok ? 0 : 1);
  return {
    code,
    checks,
    codes,
    only: (wanted) => {
      const found = checks.filter((check: Check) => check.code === wanted);
      assert.equal(found.length, 1, `${wanted} in ${JSON.stringify(checks, null, 1)}`);
      return found[0];
    },
  };
}

/** Everything about the files of a directory that an examination could change. */
export function traces(directory: string): Record<string, string> {
  const found: Record<string, string> = {};
  const look = (path: string) => {
    const { ino, size, mtime, mode, isDirectory, isFile } = Deno.lstatSync(path);
    const bytes = isFile ? Deno.readFileSync(path).toHex() : "";
    found[path] = `${ino} ${isDirectory ? "" : size} ${mtime?.getTime()} ${mode} ${bytes}`;
    if (!isDirectory) return;
    for (const { name } of Deno.readDirSync(path)) look(join(path, name));
  };
  look(directory);
  return found;
}

/** Why the examination of other processes isn't tested; null if it is. */
export const noLinux: string | null = Deno.build.os === "linux" ? null : "only Linux tells this";

/** A test that only runs on Linux, and is reported as skipped elsewhere. */
export function testOnLinux(name: string, fn: () => Promise<void> | void): void {
  Deno.test({
    name: name + (noLinux === null ? "" : ` (skipped: ${noLinux})`),
    ignore: noLinux !== null,
    fn,
  });
}

/** Statements of a program that reads, and keeps its view of the data. */
export const HOLD_OLD_ROWS = `db.exec("BEGIN"); db.prepare("SELECT * FROM mine").all()`;

/** Statements of a program that writes 24 MB, more than a log usually has. */
export const FILL = `for (let n = 0; n < 60; n++) {
  db.exec("INSERT INTO mine VALUES (randomblob(400000))");
}`;
