/** Runs failing commands and checks the form of every error. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type CliResult, outputOf } from "./helpers.ts";
import { checkDocument } from "./json_documents.ts";
import { runWarm } from "./warm_cli.ts";

/** Where and how a command runs. */
export interface RunOptions {
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Deno's permissions. Default `-A`. */
  readonly permissions?: readonly string[];
  /** Program that starts Deno, with its arguments, such as `setpriv`. */
  readonly through?: readonly string[];
  /** Whether it gets a separate process. Default: only with permissions or through a program. */
  readonly alone?: boolean;
}

/** The command line as a process that is not started yet. */
export function command(args: readonly string[], options: RunOptions): Deno.Command {
  const { cwd, env = {}, permissions = ["-A"], through = [] } = options;
  const cli = fileURLToPath(new URL("../cli.ts", import.meta.url));
  const line = [...through, Deno.execPath(), "run", "--no-prompt", ...permissions, cli, ...args];
  return new Deno.Command(line[0] ?? "", {
    args: line.slice(1),
    cwd,
    env: { DB_PATH_PREFIX: "", NO_COLOR: "1", ...env },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
}

/** Runs a command and waits for its end. */
export async function run(args: readonly string[], options: RunOptions): Promise<CliResult> {
  const { permissions, through } = options;
  const { alone = permissions !== undefined || through !== undefined } = options;
  const result = alone
    ? decoded(await outputOf(command(args, options).spawn()))
    : await runWarm(args, options);
  await checkDocument(args, result.stdout);
  return result;
}

/** The output of a process as text. */
export function decoded({ code, stdout, stderr }: Deno.CommandOutput): CliResult {
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

/** Runs a command that must succeed, to prepare a test. */
export async function prepare(args: readonly string[], options: RunOptions): Promise<CliResult> {
  const result = await run(args, options);
  assert.equal(result.code, 0, result.stderr);
  return result;
}

/** A command that must fail, and how. */
export interface ExpectedFailure extends RunOptions {
  readonly args: readonly string[];
  /** Exit code. Default 1. */
  readonly exit?: number;
  /** Stable name of the condition. */
  readonly code: string;
  /** Files that may change, such as the ledger, which records a failed attempt. Default: none. */
  readonly mayChange?: RegExp;
  /** Compares the message with the snapshot of this name. */
  readonly snapshot?: (text: string) => void;
}

/** Runs a command as text and as JSON; checks the form of the error and that no file is changed. */
export async function expectFailure(expected: ExpectedFailure): Promise<void> {
  const { args, cwd, code, exit = 1, mayChange, snapshot } = expected;
  const before = filesIn(cwd, mayChange);
  const text = await run(args, expected);
  checkText(text, { exit });
  assert.equal(text.stdout, "");
  const json = await run([...args, "--json"], expected);
  checkJson(json, { exit, code });
  assert.deepEqual(filesIn(cwd, mayChange), before, "files were changed");
  snapshot?.(kept(args, expected, text));
}

/** A failed command as stored in a snapshot: command line, exit code and output. */
export function kept(
  args: readonly string[],
  { env = {} }: Pick<RunOptions, "env">,
  result: CliResult,
): string {
  const variables = Object.entries(env)
    .filter(([variable]) => /^(DB|SQLITE)_/.test(variable))
    .map(([variable, value]) => `${variable}=${value} `).join("");
  const line = ["catalyst-migrate", ...args.map((arg) => arg === "" ? '""' : arg)].join(" ");
  return `$ ${variables}${line}\n${result.stdout}${result.stderr}exit ${result.code}`;
}

/** One `error:` line, then `help:`, no stack trace. */
export function checkText({ code, stderr }: CliResult, { exit }: { readonly exit: number }): void {
  assert.equal(code, exit, stderr);
  const [error, ...others] = stderr.split("\n").filter((line) => line.startsWith("error: "));
  assert.match(error ?? stderr, /^error: Cannot \S+ .+: .+/);
  assert.deepEqual(others, []);
  assert.match(stderr, /^error: .+\nhelp: .+/m);
  assert.doesNotMatch(stderr, /^\s+at |bug in catalyst-migrate|undefined|\[object/m);
}

/** Checks for one JSON document with the same content on stdout, and only narration on stderr. */
export function checkJson(
  { code, stdout, stderr }: CliResult,
  expected: { readonly exit: number; readonly code: string },
): void {
  assert.equal(code, expected.exit, stderr);
  assert.doesNotMatch(stderr, /^(error|help):/m);
  const document: unknown = JSON.parse(stdout);
  assert(typeof document === "object" && document !== null);
  assert("ok" in document && document.ok === false);
  assert("error" in document && typeof document.error === "object" && document.error !== null);
  assert.deepEqual(Object.keys(document.error), ["code", "message", "help"]);
  const { code: name, message, help } = document.error as Record<string, unknown>;
  assert.equal(name, expected.code);
  assert.match(String(message), /^Cannot \S+ .+: .+/);
  assert(typeof help === "string" && help !== "");
}

/** Every file below a directory with its size and checksum, without those that match `except`. */
export function filesIn(directory: string, except?: RegExp): Record<string, string> {
  const files: Record<string, string> = {};
  const look = (below: string) => {
    for (const { name, isDirectory, isFile } of Deno.readDirSync(join(directory, below))) {
      const path = below === "" ? name : `${below}/${name}`;
      if (except?.test(path)) continue;
      if (isDirectory) look(path);
      files[path] = isFile ? checksum(join(directory, path)) : "";
    }
  };
  look("");
  return files;
}

function checksum(path: string): string {
  try {
    const bytes = Deno.readFileSync(path);
    return `${bytes.length} bytes, ${createHash("sha256").update(bytes).digest("hex")}`;
  } catch (error) {
    if (Deno.build.os !== "windows") throw error;
    return `${Deno.statSync(path).size} bytes, locked`; // Windows does not allow reading a locked file
  }
}
