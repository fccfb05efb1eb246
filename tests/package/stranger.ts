/** A machine with only Deno: an empty directory, an empty cache, a minimal environment. */
import { delimiter, dirname, join } from "node:path";
import { type CliResult, outputOf } from "../helpers.ts";

/** Options for running a command. */
export interface StrangerRun {
  /** Environment variables, besides those that Deno needs. Default: none. */
  readonly env?: Readonly<Record<string, string>>;
}

/** A user who has just installed Deno. All files are removed on disposal. */
export class Stranger implements Disposable {
  readonly #root: string = Deno.makeTempDirSync({ prefix: "catalyst-stranger-" });
  readonly #registry: string;
  /** Working directory. */
  readonly home: string = join(this.#root, "home");
  /** Deno's cache of downloads. */
  readonly cache: string;

  /** `registry` is the address of a registry; `cache` a directory for Deno's downloads, which is kept. */
  constructor(registry: string, options: { readonly cache?: string } = {}) {
    this.#registry = registry;
    this.cache = options.cache ?? join(this.#root, "cache");
    Deno.mkdirSync(this.home);
  }

  /** Variables that Deno needs to find the registry and its cache. */
  get environment(): Record<string, string> {
    const system = Deno.env.get("SYSTEMROOT"); // no program starts on Windows without it
    // Behind a proxy, npm may need additional certificates.
    const certificates = ["DENO_TLS_CA_STORE", "DENO_CERT", "NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE"]
      .flatMap((name) => {
        const value = Deno.env.get(name);
        return value === undefined ? [] : [[name, value]];
      });
    return {
      ...(system === undefined ? {} : { SYSTEMROOT: system }),
      ...Object.fromEntries(certificates),
      DENO_DIR: this.cache,
      HOME: this.#root,
      JSR_URL: this.#registry,
      NO_COLOR: "1",
      PATH: [dirname(Deno.execPath()), ...systemPath()].join(delimiter),
    };
  }

  /** Path of a file in the directory. */
  file(name: string): string {
    return join(this.home, name);
  }

  /** Writes a file into the directory. */
  write(name: string, text: string): void {
    Deno.mkdirSync(dirname(this.file(name)), { recursive: true });
    Deno.writeTextFileSync(this.file(name), text);
  }

  /** Names of the entries of the directory, sorted. */
  names(directory = "."): string[] {
    return [...Deno.readDirSync(this.file(directory))].map(({ name }) => name).toSorted();
  }

  /** Runs Deno and waits for its end. */
  async deno(args: readonly string[], options: StrangerRun = {}): Promise<CliResult> {
    return await this.run(Deno.execPath(), args, options);
  }

  /** Runs a program and waits for its end. */
  async run(
    program: string,
    args: readonly string[],
    { env = {} }: StrangerRun = {},
  ): Promise<CliResult> {
    const { code, stdout, stderr } = await outputOf(new Deno.Command(program, {
      args: [...args],
      cwd: this.home,
      clearEnv: true,
      env: { ...this.environment, ...env },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn());
    const decoder = new TextDecoder();
    return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.#root, { recursive: true });
  }
}

/** Directories of the system's programs; the script created by `deno install` needs a shell. */
function systemPath(): string[] {
  return Deno.build.os === "windows"
    ? [`${Deno.env.get("SYSTEMROOT")}\\system32`]
    : ["/usr/bin", "/bin"];
}
