/** A local registry that serves this package like JSR. */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** Directory of the package. */
export const root: string = fileURLToPath(new URL("../../", import.meta.url));

/** The part of `deno.json` that a registry needs. */
export interface PackageConfiguration {
  readonly name: string;
  readonly version: string;
  readonly exports: Readonly<Record<string, string>>;
}

/** Reads the package's `deno.json`. */
export function configuration(): PackageConfiguration {
  return JSON.parse(Deno.readTextFileSync(join(root, "deno.json")));
}

/** Output of `deno publish --dry-run`, and the paths of the files to publish. */
export async function dryRun(
  options: readonly string[] = [],
): Promise<{ readonly said: string; readonly files: readonly string[] }> {
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["publish", "--dry-run", "--allow-dirty", ...options],
    cwd: root,
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "null",
  }).output();
  const said = new TextDecoder().decode(stderr);
  if (code !== 0) throw new Error(said);
  const files = [...said.matchAll(/^\s+(file:\/\/\S+) \([\d.]+ ?[KM]?B\)$/gm)]
    .map(([, url = ""]) => fileURLToPath(url).slice(root.length).replaceAll("\\", "/"));
  return { said, files };
}

/** A running registry. */
export interface Registry extends AsyncDisposable {
  /** Its address, for the variable `JSR_URL`; ends with a slash. */
  readonly url: string;
  /** Requested paths, in order. */
  readonly requests: readonly string[];
}

let packaged: ReturnType<typeof dryRun> | undefined;

/** Serves the current files of the package on a local port. */
export async function startRegistry(): Promise<Registry> {
  const { name, version, exports } = configuration();
  const { files } = await (packaged ??= dryRun(["--no-check"])); // other tests check the types
  const contents = new Map(
    files.map((file) => [`/${file}`, Deno.readFileSync(join(root, file))]),
  );
  const manifest = Object.fromEntries(
    [...contents].map(([path, bytes]) => [path, {
      size: bytes.length,
      checksum: `sha256-${createHash("sha256").update(bytes).digest("hex")}`,
    }]),
  );
  const [scope, base] = name.slice(1).split("/");
  const documents = new Map<string, unknown>([
    [`/${name}/meta.json`, { scope, name: base, latest: version, versions: { [version]: {} } }],
    [`/${name}/${version}_meta.json`, { manifest, exports }],
  ]);
  const requests: string[] = [];
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, (request) => {
    const { pathname } = new URL(request.url);
    requests.push(pathname);
    const document = documents.get(pathname);
    if (document !== undefined) return Response.json(document);
    const content = contents.get(pathname.replace(`/${name}/${version}`, ""));
    return content === undefined
      ? new Response("not found", { status: 404 })
      : new Response(content, { headers: { "content-type": contentType(pathname) } });
  });
  return {
    url: `http://127.0.0.1:${server.addr.port}/`,
    requests,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

function contentType(path: string): string {
  return path.endsWith(".ts") ? "text/typescript" : "text/plain; charset=utf-8";
}
