/** Refusals of install.sh: nothing is installed or left behind, and an old executable is kept. */
import assert from "node:assert/strict";
import { showToAll } from "./another_user.ts";
import {
  assertRefused,
  asset,
  cutAnswer,
  Installation,
  posixTest,
  program,
  script,
  sha256,
  which,
} from "./install_support.ts";

const isRoot = Deno.build.os !== "windows" && Deno.uid() === 0;

/** Answers of a server for which nothing may be installed, with the expected messages. */
const faults: Readonly<Record<string, readonly [RegExp, (of: Installation) => void]>> = {
  "whose sum differs": [
    /Cannot trust .+: its SHA-256 is [0-9a-f]{64}, and SHA256SUMS says [0-9a-f]{64}$/,
    ({ server }) => server.put("1.2.3", asset, () => new Response(program("6.6.6"))),
  ],
  "that is missing": [
    new RegExp(`Cannot download .+/${asset}: .*404`),
    ({ server }) => server.put("1.2.3", asset, () => new Response("", { status: 404 })),
  ],
  "without sums": [
    /Cannot download .+SHA256SUMS: .*404/,
    ({ server }) => server.put("1.2.3", "SHA256SUMS", () => new Response("", { status: 404 })),
  ],
  "without a checksum": [
    /SHA256SUMS has no checksum for it$/,
    ({ server }) => {
      const sums = `${sha256(program("1.2.3"))}  x${asset}\n${"0".repeat(64)}  ${asset}.exe`;
      server.put("1.2.3", "SHA256SUMS", () => new Response(sums));
    },
  ],
  "with a truncated checksum": [
    /SHA256SUMS has no checksum for it$/,
    ({ server }) => server.put("1.2.3", "SHA256SUMS", () => new Response(`e3b0c442  ${asset}\n`)),
  ],
  "instead of which a page comes": [
    /SHA256SUMS has no checksum for it$/,
    ({ server }) => server.put("1.2.3", "SHA256SUMS", () => new Response("<html>Log in</html>")),
  ],
  "whose download is cut": [
    new RegExp(`Cannot download .+/${asset}: .`),
    ({ server }) => {
      const then = Promise.resolve();
      server.put("1.2.3", asset, () => cutAnswer(program("1.2.3"), { then }));
    },
  ],
  "that can't start": [
    /Cannot start the new executable: exit code 3, no such thing$/,
    ({ server }) => server.publish("1.2.3", "#!/bin/sh\necho no such thing >&2\necho 2\nexit 3\n"),
  ],
};
for (const [what, [error, prepare]] of Object.entries(faults)) {
  posixTest(`install.sh refuses an executable ${what}, and keeps the old one`, {}, async () => {
    await using installation = await Installation.start();
    prepare(installation);
    assertRefused(await installation.run(), error);
    assert.deepEqual(installation.list(), []);
    // An existing directory is kept.
    await Deno.mkdir(installation.path(".local", "bin"), { recursive: true });
    assertRefused(await installation.run(), error);
    assert.deepEqual(installation.list(".local"), ["bin"]);
    await Deno.writeTextFile(installation.installed, program("0.9.0"), { mode: 0o700 });
    const before = await Deno.stat(installation.installed);
    assertRefused(await installation.run(), error);
    assert.deepEqual(await Deno.stat(installation.installed), before);
    assert.equal(await Deno.readTextFile(installation.installed), program("0.9.0"));
    assert.deepEqual(installation.list(".local"), ["bin", "bin/catalyst-migrate"]);
  });
}

posixTest("install.sh says which program is missing", { needs: ["curl"] }, async () => {
  await using installation = await Installation.start();
  const shell = [which("sh") ?? "sh"];
  const without = async (others: Record<string, string>) =>
    await installation.run(["--dir", "new"], {
      env: { PATH: await installation.tools(others) },
      shell,
    });
  assertRefused(await without({ sha256sum: "" }), /download anything: neither curl nor wget/);
  assertRefused(await without({ curl: which("curl") ?? "" }), /check a download: sha256sum, /);
  assert.deepEqual(installation.server.requests, []);
});

posixTest("install.sh killed during a download leaves nothing behind", {
  needs: ["setsid"],
}, async () => {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    await using installation = await Installation.start();
    const asked = Promise.withResolvers<void>();
    const ended = Promise.withResolvers<void>();
    installation.server.put("1.2.3", asset, () => {
      asked.resolve();
      return cutAnswer(program("1.2.3"), { then: ended.promise });
    });
    const child = new Deno.Command("setsid", {
      args: ["sh", script],
      clearEnv: true,
      env: installation.environment({ CATALYST_MIGRATE_BASE_URL: installation.server.url }),
      stdout: "null",
      stderr: "null",
    }).spawn();
    await Promise.race([asked.promise, child.status]);
    assert.match(installation.list(".local", "bin").join(), /^\.catalyst-migrate\./);
    Deno.kill(-child.pid, signal); // the whole group, like a terminal
    const { success } = await child.status;
    ended.resolve();
    assert(!success);
    assert.deepEqual(installation.list(), []);
  }
});

posixTest("install.sh works without HOME for an ordinary user, and names an unwritable directory", {
  needs: isRoot ? ["setpriv"] : [],
}, async () => {
  await using installation = await Installation.start();
  const user = ["--reuid=65534", "--regid=65534", "--clear-groups"];
  const shell = isRoot ? ["setpriv", ...user, "sh"] : ["sh"];
  const PATH = Deno.env.get("PATH") ?? "";
  const run = (args: readonly string[]) => installation.run(args, { shell, env: { PATH } });
  await Deno.chmod(installation.home.path, 0o555);
  assertRefused(await run([]), /Cannot choose a directory: HOME is not set$/);
  assertRefused(await run(["--dir", "a/b"]), /Cannot write to .+\/a\/b\/: Permission denied$/);
  assertRefused(await run(["--dir", "."]), /Cannot write to .+: Permission denied$/);
  await Deno.chmod(installation.home.path, 0o777);
  await Deno.writeTextFile(installation.path("file"), "");
  assertRefused(await run(["--dir", "file"]), /Cannot write to .+\/file\/: /);
  await Deno.mkdir(installation.path("taken", "catalyst-migrate"), { recursive: true });
  showToAll(installation.path("taken"));
  assertRefused(await run(["--dir", "taken"]), /: a directory has that name$/);
  assert.deepEqual(installation.server.requests, []);
  const { code, stdout, stderr } = await run(["--dir", "a/b"]);
  assert.equal(code, 0, stderr);
  assert.equal(
    stdout,
    `Installed ${installation.path("a/b")}/catalyst-migrate: catalyst-migrate 1.2.3\n`,
  );
});

posixTest(
  "install.sh refuses a machine without an executable, and suggests using Deno",
  {},
  async () => {
    await using installation = await Installation.start();
    const other = Deno.build.arch === "x86_64" ? "aarch64" : "x86_64";
    const loader =
      { aarch64: "/lib/ld-linux-aarch64.so.1", x86_64: "/lib64/ld-linux-x86-64.so.2" }[other];
    const machines: [string, string, RegExp][] = [
      [
        "Linux",
        "riscv64",
        /Cannot install on Linux riscv64: there are executables for .+ and arm64/,
      ],
      ["FreeBSD", "amd64", /Cannot install on FreeBSD amd64: there are executables for /],
      ["MINGW64_NT-10.0", "x86_64", /Cannot install on Windows: /],
    ];
    // On a system with musl, glibc's loader is missing.
    if (!await Deno.stat(loader).catch(() => false)) {
      machines.push([
        "Linux",
        other,
        /the executable needs glibc, and \S+ is missing, as on .+musl \(Alpine\)/,
      ]);
    }
    for (const [system, machine, error] of machines) {
      const result = await installation.run([], {
        env: await installation.machine({ system, machine }),
      });
      assertRefused(result, error);
      assert.match(
        result.stderr,
        /\nhelp: Use (Deno.+: deno run -A jsr:@catalyst\/migrate|the PowerShell .+)\n$/,
      );
    }
    assert.deepEqual(installation.server.requests, []);
  },
);

posixTest("install.sh reports invalid options", {}, async () => {
  await using installation = await Installation.start();
  for (const args of [["--force"], ["--dir"], ["--dir", ""], ["--dir="], ["-x"]]) {
    assertRefused(await installation.run(args), new RegExp(`${args[0]} .*value`), 2);
  }
  for (const version of ["/usr/local/bin", "1.0/../..", "v", "one", "1 0"]) {
    assertRefused(await installation.run([version]), /is not a version such as 0\.1\.0$/, 2);
  }
  assertRefused(
    await installation.run(["--base-url", "mirror"]),
    /mirror is not a web address$/,
    2,
  );
  const { code, stdout, stderr } = await installation.run(["--help"]);
  assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
  for (const name of ["--dir", "--base-url", "VERSION", "CATALYST_MIGRATE_DIR"]) {
    assert(stdout.includes(name));
  }
  assert(stdout.split("\n").every((line) => line.length <= 100));
  assert.deepEqual([installation.server.requests, installation.list()], [[], []]);
});
