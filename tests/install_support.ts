/** Helpers for the tests of install.sh: a server like that of the releases, and running the script. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { decoded } from "./cli_helpers.ts";
import { type CliResult, existsSync, outputOf, type TempDir, tempDir } from "./helpers.ts";

/** The script under test. */
export const script: string = fileURLToPath(new URL("../install.sh", import.meta.url));

/** Name of the executable for this machine in a release. */
export const asset: string = `catalyst-migrate-${Deno.build.target}`;

/** Programs that install.sh requires, besides one for downloads and one for hashes. */
const tools = "cat chmod head mkdir mktemp mv rm rmdir sed tail uname".split(" ");

/** A substitute for the executable that prints its version. */
export function program(version: string): string {
  return `#!/bin/sh\necho "catalyst-migrate ${version}"\necho "deno 0.0.0"\n`;
}

/** Path of a program, if this machine has it. */
export function which(name: string): string | undefined {
  return (Deno.env.get("PATH") ?? "").split(":")
    .map((directory) => join(directory, name))
    .find((path) => existsSync(path));
}

/** A test for POSIX systems, skipped with the reason if a program is missing. */
export function posixTest(
  name: string,
  { needs = [], unless = false }: {
    /** Programs that the test requires. Default: none. */
    readonly needs?: readonly string[];
    /** Why it cannot run here, or false. Default: false. */
    readonly unless?: string | false;
  },
  test: () => Promise<void>,
): void {
  const missing = needs.filter((program) => which(program) === undefined);
  const reason = Deno.build.os === "windows"
    ? "install.sh is for Linux and macOS"
    : missing.length > 0
    ? `${missing.join(", ")} missing`
    : unless;
  Deno.test({ name: reason ? `${name} (skipped: ${reason})` : name, ignore: !!reason, fn: test });
}

/** Releases on 127.0.0.1, with the addresses of the real ones. */
export class ReleaseServer implements AsyncDisposable {
  /** Requested paths. */
  readonly requests: string[] = [];
  readonly #files = new Map<string, () => Response>();
  readonly #server: Deno.HttpServer<Deno.NetAddr>;

  constructor() {
    const onListen = (): void => {};
    this.#server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen }, (request) => {
      const { pathname } = new URL(request.url);
      this.requests.push(pathname);
      return this.#files.get(pathname)?.() ?? new Response("Not Found", { status: 404 });
    });
  }

  /** Value for `--base-url`. */
  get url(): string {
    return `http://127.0.0.1:${this.#server.addr.port}`;
  }

  /** Publishes an executable and its checksum as the latest release. */
  publish(version: string, content: string | Uint8Array<ArrayBuffer> = program(version)): void {
    const other = "0".repeat(64);
    this.put(version, asset, () => new Response(content));
    this.put(
      version,
      "SHA256SUMS",
      () => new Response(`${other}  ${asset}.exe\n${sha256(content)}  ${asset}\n${other}  other\n`),
    );
  }

  /** Serves one file of a release; as on GitHub, the latest release is a redirect. */
  put(version: string, name: string, answer: () => Response): void {
    const path = `/download/v${version}/${name}`;
    this.#files.set(path, answer);
    this.#files.set(
      `/latest/download/${name}`,
      () => new Response(null, { status: 302, headers: { location: `${this.url}${path}` } }),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}

/** A response that is shorter than announced; the test can wait for the part that was sent. */
export function cutAnswer(text: string, { then }: { readonly then: Promise<void> }): Response {
  const body = new ReadableStream<Uint8Array>({
    async start(controller) {
      controller.enqueue(new TextEncoder().encode(text));
      await then;
      controller.close();
    },
  });
  return new Response(body, { headers: { "content-length": String(text.length + 1000) } });
}

/** SHA-256 as `sha256sum` prints it. */
export function sha256(content: string | Uint8Array): string {
  return createHash("sha256").update(content).digest("hex");
}

/** Options for running install.sh. */
export interface InstallOptions {
  /** The shell with its arguments. Default `sh`. */
  readonly shell?: readonly string[];
  /** The complete environment. Default: HOME is the directory, PATH is that of the test. */
  readonly env?: Readonly<Record<string, string>>;
  /** Text of the script. Default: the file. */
  readonly text?: string;
}

/** A home directory and a server for running install.sh. */
export class Installation implements AsyncDisposable {
  private constructor(readonly home: TempDir, readonly server: ReleaseServer) {}

  /** Creates both and publishes version 1.2.3. */
  static async start(): Promise<Installation> {
    const server = new ReleaseServer();
    server.publish("1.2.3");
    return new Installation(await tempDir(), server);
  }

  /** A path below the home directory. */
  path(...names: readonly string[]): string {
    return join(this.home.path, ...names);
  }

  /** Default path of the executable. */
  get installed(): string {
    return this.path(".local", "bin", "catalyst-migrate");
  }

  /** Runs install.sh from a pipe. */
  async run(args: readonly string[] = [], options: InstallOptions = {}): Promise<CliResult> {
    const { shell = ["sh"], env = this.environment(), text } = options;
    const [name = "", ...more] = shell;
    const child = new Deno.Command(which(name) ?? name, {
      args: [...more, "-s", "--", ...args],
      cwd: this.home.path,
      clearEnv: true,
      env: { CATALYST_MIGRATE_BASE_URL: this.server.url, ...env },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const output = outputOf(child);
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(text ?? await Deno.readTextFile(script)))
      .then(() => writer.close()).catch(() => {}); // a shell may stop reading early
    return decoded(await output);
  }

  /** The variables of a login shell, with additional ones. */
  environment(others: Readonly<Record<string, string>> = {}): Record<string, string> {
    return { HOME: this.home.path, PATH: Deno.env.get("PATH") ?? "", ...others };
  }

  /** A directory with only the programs that install.sh needs and these; a text is a script. */
  async tools(others: Readonly<Record<string, string>>): Promise<string> {
    const directory = await Deno.makeTempDir({ dir: this.home.path, prefix: "tools" });
    for (const name of tools) {
      if (name in others) continue;
      await Deno.symlink(which(name) ?? `/usr/bin/${name}`, join(directory, name));
    }
    for (const [name, target] of Object.entries(others)) {
      const path = join(directory, name);
      if (target.startsWith("/")) await Deno.symlink(target, path);
      else await Deno.writeTextFile(path, `#!/bin/sh\n${target}\n`, { mode: 0o755 });
    }
    return directory;
  }

  /** The environment of another machine. */
  async machine(
    { system, machine, isArm = "0" }: {
      /** Output of `uname -s`. */
      readonly system: string;
      /** Output of `uname -m`. */
      readonly machine: string;
      /** Output of macOS's `sysctl` about the hardware. Default: `0`. */
      readonly isArm?: string;
    },
  ): Promise<Record<string, string>> {
    const uname = `case $1 in -s) echo ${system} ;; -m) echo ${machine} ;; esac`;
    const tools = await this.tools({ uname, sysctl: `echo ${isArm}` });
    return this.environment({ PATH: `${tools}:${Deno.env.get("PATH")}` });
  }

  /** Everything below a directory of the home, which may be missing. */
  list(...names: readonly string[]): string[] {
    const directory = this.path(...names);
    if (!existsSync(directory)) return [];
    return [...Deno.readDirSync(directory)].flatMap(({ name, isDirectory }) =>
      isDirectory ? [name, ...this.list(...names, name).map((path) => `${name}/${path}`)] : [name]
    ).toSorted();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server[Symbol.asyncDispose]();
    await this.home[Symbol.asyncDispose]();
  }
}

/** Checks a refusal: exit code, one matching error line, one line of help, and no output. */
export function assertRefused({ code, stdout, stderr }: CliResult, error: RegExp, exit = 1): void {
  assert.equal(code, exit, stderr);
  assert.equal(stdout, "");
  const lines = stderr.split("\n").filter((line) => !line.startsWith("Downloading "));
  assert.equal(lines.length, 3, stderr);
  assert.match(lines[0] ?? "", /^error: Cannot \S+ .+: .+/);
  assert.match(lines[0] ?? "", error);
  assert.match(lines[1] ?? "", /^help: .+/);
}
