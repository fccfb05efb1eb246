import { deepStrictEqual as equal, ok, throws } from "node:assert/strict";
import { UsageError } from "../../../lib/base/errors.ts";
import {
  isLibsqlAddress,
  locate,
  namespaceHeader,
  parseLibsqlAddress,
  tokenVariables,
} from "../../../lib/database/location.ts";

Deno.test("an address determines whether the connection uses TLS, and the namespace", () => {
  for (const scheme of ["libsql", "https", "wss"]) {
    equal(parseLibsqlAddress(`${scheme}://db.example.com?namespace=ml_training`), {
      socket: "wss://db.example.com/",
      http: "https://db.example.com/",
      namespace: "ml_training",
      label: `${scheme}://db.example.com?namespace=ml_training`,
    });
  }
  for (const scheme of ["http", "ws"]) {
    equal(parseLibsqlAddress(`${scheme}://localhost:8080/`), {
      socket: "ws://localhost:8080/",
      http: "http://localhost:8080/",
      namespace: null,
      label: `${scheme}://localhost:8080`,
    });
  }
  equal(namespaceHeader({ ...parseLibsqlAddress("ws://h?namespace=a b") }), {
    "x-namespace-bin": "YSBi",
  });
  equal(namespaceHeader(parseLibsqlAddress("ws://h")), {});
});

Deno.test("an address with a secret is refused, and the secret is not repeated", () => {
  for (
    const address of [
      "libsql://db.example.com?authToken=s3cret",
      "libsql://db.example.com?namespace=a&jwt=s3cret",
      "https://user:s3cret@db.example.com",
      "libsql://s3cret@db.example.com",
    ]
  ) {
    throws(() => parseLibsqlAddress(address), (error) => {
      ok(error instanceof UsageError && /contains a token or a password/.test(error.message));
      return !Deno.inspect(error).includes("s3cret") &&
        /CATALYST_LIBSQL_TOKEN/.test(error.help ?? "");
    });
  }
});

Deno.test("an invalid address is refused", () => {
  for (
    const address of [
      "libsql://",
      "libsql:///x",
      "libsql://h/path",
      "ws://h?tls=0",
      "ws://h#x",
      "ws://[",
    ]
  ) {
    throws(() => parseLibsqlAddress(address), UsageError, address);
  }
});

Deno.test("a path is not mistaken for an address, nor an address for a path", () => {
  for (const path of ["data/app.db", "libsql.db", "C:\\data\\app.db", "http.db", "./ws:x"]) {
    equal([isLibsqlAddress(path), locate(path).kind], [false, "file"], path);
  }
  for (const source of ["LIBSQL://h?namespace=a", new URL("libsql://h?namespace=a"), "ws://h"]) {
    equal(locate(source, "app").kind, "server");
  }
});

Deno.test("the token variable of a database takes precedence over the general one", () => {
  equal(tokenVariables("ml-training"), [
    "CATALYST_LIBSQL_TOKEN_ML_TRAINING",
    "CATALYST_LIBSQL_TOKEN",
  ]);
});

Deno.test("without a server, none of the modules for servers are loaded", async () => {
  const root = new URL("../../../", import.meta.url);
  const loaded = new Set<string>();
  const load = async (url: URL): Promise<void> => {
    if (loaded.has(url.href)) return;
    loaded.add(url.href);
    const source = await Deno.readTextFile(url);
    // Without type imports and dynamic imports.
    const code = source.replaceAll(/(import|export) type [^;]*;/g, "");
    for (const [, path = ""] of code.matchAll(/^(?:import|export|\})[^;]*? from "(\.[^"]+)";/gm)) {
      await load(new URL(path, url));
    }
  };
  for (const file of ["cli.ts", "mod.ts", "lib/commands/status.ts", "lib/commands/upgrade.ts"]) {
    await load(new URL(file, root));
  }
  ok(loaded.size > 30, String(loaded.size));
  const names = [...loaded].map((url) => url.slice(root.href.length));
  equal(names.filter((name) => /libsql|temporary_copy|to_server|lease/.test(name)), []);
});
