/** A new user's machine: an empty directory, the program beside it, and an empty environment. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { showToAll } from "../another_user.ts";
import { copyTree } from "../lib/snapshot/files.ts";
import { decoded } from "../cli_helpers.ts";
import { type CliResult, outputOf } from "../helpers.ts";
import { runWarm } from "../warm_cli.ts";
import type { WayIn } from "./way.ts";

/** Options for running a command. */
export interface RunOptions {
  /** Working directory. Default: that of the place. */
  readonly cwd?: string;
  /** Environment variables. Default: none. */
  readonly env?: Readonly<Record<string, string>>;
  /** A program that starts it, with its arguments, such as `setpriv`. Default: none. */
  readonly through?: readonly string[];
  /** Content of stdin. Default: empty. */
  readonly input?: string;
  /** Whether it always gets a separate process. Default `false`. */
  readonly alone?: boolean;
  /** Whether all ways must produce the same output. Default `true`. */
  readonly same?: boolean;
}

/** An empty directory and a way to run the toolkit; removed on disposal. */
export class Place implements Disposable {
  readonly #root: string;
  readonly #way: WayIn;
  /** The program and its first arguments. */
  readonly command: readonly string[];
  /** Working directory of the commands. */
  readonly path: string;
  /** The commands and their output, without parts that differ between runs. */
  readonly transcript: string[] = [];

  constructor(way: WayIn, options: { readonly name?: string } = {}) {
    const { name = "home" } = options;
    this.#way = way;
    this.#root = Deno.realPathSync(Deno.makeTempDirSync({ prefix: "catalyst-place-" }));
    this.path = join(this.#root, name);
    Deno.mkdirSync(this.path);
    this.command = way.standalone ? [this.#installed(name)] : way.command;
    showToAll(this.#root);
  }

  get isStandalone(): boolean {
    return this.#way.standalone === true;
  }

  /** Path of a file in it. */
  file(name: string): string {
    return join(this.path, name);
  }

  /** Writes a file, and creates its directories. */
  write(name: string, text: string): void {
    Deno.mkdirSync(join(this.file(name), ".."), { recursive: true });
    Deno.writeTextFileSync(this.file(name), text);
  }

  /** Names of the files in one of its directories, sorted. */
  names(directory = "."): string[] {
    return [...Deno.readDirSync(this.file(directory))].map(({ name }) => name).toSorted();
  }

  /** Copies one of its directories to another place in it. */
  copy(from: string, to: string): void {
    copyTree(this.file(from), this.file(to));
  }

  /** Program and arguments of a command, with the wrapper that disables the network. */
  line(args: readonly string[], { through = [] }: RunOptions = {}): string[] {
    return [...this.#isolation(), ...through, ...this.command, ...args];
  }

  #isolation(): readonly string[] {
    return this.#way.offline === false ? [] : withoutNetwork();
  }

  /** The variables of a command's environment. */
  environment({ env = {} }: RunOptions = {}): Record<string, string> {
    return { ...this.#way.env, ...env };
  }

  /** A command that is not started yet. */
  start(args: readonly string[], options: RunOptions = {}): Deno.Command {
    const [program = "", ...rest] = this.line(args, options);
    return new Deno.Command(program, {
      args: rest,
      cwd: options.cwd ?? this.path,
      clearEnv: true,
      env: this.environment(options),
      stdin: options.input === undefined ? "null" : "piped",
      stdout: "piped",
      stderr: "piped",
    });
  }

  /** Runs a command and waits for its end. */
  async run(args: string | readonly string[], options: RunOptions = {}): Promise<CliResult> {
    const words = typeof args === "string" ? args.split(" ") : args;
    const { cwd = this.path, env = {}, through, input, alone = false } = options;
    const { warm } = this.#way;
    const result = warm === undefined || alone || through !== undefined || input !== undefined
      ? await this.#runAlone(words, options)
      : await runWarm(words, {
        ...{ cwd, env },
        program: { command: [...this.#isolation(), ...warm], env: this.environment() },
      });
    if (options.same ?? true) {
      const { code, stdout, stderr } = result;
      const text = this.normalized(`${stdout}--\n${stderr}`);
      this.transcript.push(`$ ${this.normalized(words.join(" "))}\n${text}exit ${code}`);
    }
    return result;
  }

  async #runAlone(args: readonly string[], options: RunOptions): Promise<CliResult> {
    const child = this.start(args, options).spawn();
    if (options.input !== undefined) {
      const writer = child.stdin.getWriter();
      await writer.write(new TextEncoder().encode(options.input));
      await writer.close();
    }
    return decoded(await outputOf(child));
  }

  /** Runs a command that must succeed. */
  async ok(args: string | readonly string[], options: RunOptions = {}): Promise<CliResult> {
    return await this.ends(0, args, options);
  }

  /** Runs a command that must end with an exit code. */
  async ends(
    code: number,
    args: string | readonly string[],
    options: RunOptions = {},
  ): Promise<CliResult> {
    const result = await this.run(args, options);
    assert.equal(result.code, code, `${args}\n${result.stdout}${result.stderr}`);
    return result;
  }

  /** Replaces the parts of a text that differ between runs and places. */
  normalized(text: string): string {
    return text
      .replaceAll(JSON.stringify(this.#root).slice(1, -1), "<root>") // backslashes twice, as in JSON
      .replaceAll(this.#root, "<root>")
      .replace(/catalyst-[a-z]+-[0-9a-f]{16}/g, "<temporary>")
      .replace(/\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+Z)?/g, "<time>")
      .replace(/\d{8}_\d{6}(_[0-9a-z]+)?/g, "<snapshot>")
      .replace(/"(\w+(?:At|Seconds))":( ?)[\d.e-]+/g, '"$1":$2<number>')
      .replace(/\b[0-9a-f]{64}\b/g, "<hash>") // rows contain the time of their creation
      .replace(/\bjust now\b|\b\d+ min ago\b/g, "<ago>")
      .replace(/(<1|\d+(\.\d+)?) (ms|s)\b/g, "<took>")
      // deno-lint-ignore no-control-regex -- which progress is shown depends on the speed
      .replace(/\r[^\r\n]*\x1b\[K/g, "")
      .replace(/\b\d+(\.\d)? kB\b/g, "<size>") // compressed files contain times
      .replace(/process \d+[^\n]*/g, "process <pid>")
      .replace(/ {2,}/g, "  "); // the width of columns depends on the replaced text
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.#root, { recursive: true });
  }

  /** Puts only the executable into an empty directory. */
  #installed(name: string): string {
    const directory = join(this.#root, `bin of ${name}`);
    Deno.mkdirSync(directory);
    const path = join(
      directory,
      Deno.build.os === "windows" ? "catalyst-migrate.exe" : "catalyst-migrate",
    );
    // A hard link: copying 100 MB for each test would take longer than the test.
    Deno.linkSync(this.#way.command[0] ?? "", path);
    return path;
  }
}

let isolation: readonly string[] | null = null;

/** Wrapper that runs a program without any network; empty if this user cannot do that. */
function withoutNetwork(): readonly string[] {
  return isolation ??= findIsolation();
}

function findIsolation(): readonly string[] {
  if (Deno.build.os !== "linux") return [];
  const flags = Deno.uid() === 0 ? "-n" : "-rn";
  for (const program of ["/usr/bin/unshare", "/bin/unshare"]) {
    try {
      const { success } = new Deno.Command(program, { args: [flags, "--", "/bin/true"] })
        .outputSync();
      if (success) return [program, flags, "--"];
    } catch {
      // not there
    }
  }
  // deno-lint-ignore no-console -- reports what is skipped
  console.log("skipped: running without a network, which this user may not");
  return [];
}
