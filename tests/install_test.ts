/** install.sh, against releases on 127.0.0.1. */
import assert from "node:assert/strict";
import {
  assertRefused,
  asset,
  cutAnswer,
  Installation,
  posixTest,
  program,
  type ReleaseServer,
  script,
  sha256,
  which,
} from "./install_support.ts";
import { builtExecutable } from "./standalone/build.ts";

const isLinux = Deno.build.os === "linux";

for (
  const shell of [["sh"], ["dash"], ["bash"], ["busybox", "sh"], ["zsh"], [
    "zsh",
    "--emulate",
    "sh",
  ]]
) {
  posixTest(`install.sh installs the latest release with ${shell.join(" ")}`, {
    needs: [shell[0] ?? ""],
  }, async () => {
    await using installation = await Installation.start();
    const { code, stdout, stderr } = await installation.run([], { shell });
    assert.equal(code, 0, stderr);
    assert.equal(stdout, `Installed ${installation.installed}: catalyst-migrate 1.2.3\n`);
    assert.equal(await Deno.readTextFile(installation.installed), program("1.2.3"));
    assert.equal((await Deno.stat(installation.installed)).mode! & 0o777, 0o755); // has one: no Windows
    assert.deepEqual(installation.list(".local"), ["bin", "bin/catalyst-migrate"]);
    assert.deepEqual(installation.server.requests, [
      "/latest/download/SHA256SUMS",
      "/download/v1.2.3/SHA256SUMS",
      `/latest/download/${asset}`,
      `/download/v1.2.3/${asset}`,
    ]);
  });
}

posixTest(
  "install.sh takes a version, with or without a v, as an argument or a variable",
  {},
  async () => {
    await using installation = await Installation.start();
    installation.server.publish("2.0.0-rc.1");
    installation.server.publish("3.0.0");
    const variable = installation.environment({ CATALYST_MIGRATE_VERSION: "1.2.3" });
    const runs = [
      [["2.0.0-rc.1"], installation.environment(), "2.0.0-rc.1"],
      [["v1.2.3"], installation.environment(), "1.2.3"],
      [[], variable, "1.2.3"],
      [["3.0.0"], variable, "3.0.0"],
    ] as const;
    for (const [args, env, version] of runs) {
      const { stdout, stderr } = await installation.run(args, { env });
      assert.equal(
        stdout,
        `Installed ${installation.installed}: catalyst-migrate ${version}\n`,
        stderr,
      );
    }
  },
);

posixTest("install.sh installs into the given directory, regardless of its name", {}, async () => {
  await using installation = await Installation.start();
  const { home: { path: home } } = installation;
  const name = "it's  Ünïcode $HOME\\n";
  const runs = [
    [["--dir", name], {}, `${home}/${name}`],
    [[`--dir=${home}/1//`], {}, `${home}/1`],
    [["--dir", "~/2"], {}, `${home}/2`],
    [[], { CATALYST_MIGRATE_DIR: "3/4" }, `${home}/3/4`],
    [["--dir", "5"], { CATALYST_MIGRATE_DIR: "6" }, `${home}/5`],
  ] as const;
  for (const [args, variables, directory] of runs) {
    const { code, stdout, stderr } = await installation.run(args, {
      env: installation.environment(variables),
    });
    assert.equal(code, 0, stderr);
    assert.equal(stdout, `Installed ${directory}/catalyst-migrate: catalyst-migrate 1.2.3\n`);
    // The suggested line works, even for such a directory.
    const line = /^To run it by name, add this line to ~\/.profile: (.+)$/m.exec(stderr)?.[1];
    const { stdout: found } = await new Deno.Command("sh", {
      args: ["-c", `${line}\ncommand -v catalyst-migrate`],
    }).output();
    assert.equal(new TextDecoder().decode(found), `${directory}/catalyst-migrate\n`);
  }
  assert(!installation.list().includes("6"));
});

posixTest(
  "install.sh does not mention PATH if the directory is on it, and names a program that hides it",
  {},
  async () => {
    await using installation = await Installation.start();
    const bin = installation.path(".local", "bin");
    const env = installation.environment({ PATH: `${bin}:${Deno.env.get("PATH")}` });
    const { stderr } = await installation.run([], { env });
    assert.match(stderr, /^Downloading .+\n$/);
    const PATH = `${bin}:${installation.path("later")}:${Deno.env.get("PATH")}`;
    const hidden = await installation.run(["--dir", "later"], { env: { ...env, PATH } });
    assert.match(
      hidden.stderr,
      /\nNote: your PATH finds another one first: .+\/bin\/catalyst-migrate\n$/,
    );
  },
);

const withOnly: readonly (readonly [string, readonly string[]])[] = [
  ["curl", ["curl", "sha256sum"]],
  ["wget", ["wget", "sha256sum"]],
  ["wget of BusyBox", ["busybox", "sha256sum"]],
  ["shasum", ["curl", "shasum"]],
  ["openssl", ["curl", "openssl"]],
];
for (const [what, needs] of withOnly) {
  posixTest(`install.sh downloads, and refuses, with only ${what}`, { needs }, async () => {
    await using installation = await Installation.start();
    const PATH = await installation.tools(Object.fromEntries(
      needs.map((name) => [name === "busybox" ? "wget" : name, which(name) ?? ""]),
    ));
    const shell = [which("sh") ?? "sh"];
    const env = { HOME: installation.home.path, PATH };
    const { code, stderr } = await installation.run([], { env, shell });
    assert.equal(code, 0, stderr);
    assertRefused(await installation.run(["9.9.9"], { env, shell }), /SHA256SUMS: .*404/);
    installation.server.put("1.2.3", asset, () => new Response(program("6.6.6")));
    assertRefused(await installation.run([], { env, shell }), /SHA-256/);
    const cut = () => cutAnswer(program("1.2.3"), { then: Promise.resolve() });
    installation.server.put("1.2.3", asset, cut);
    assertRefused(
      await installation.run([], { env, shell }),
      new RegExp(`download .+/${asset}: .`),
    );
    assert.equal(await Deno.readTextFile(installation.installed), program("1.2.3"));
    assert.deepEqual(installation.list(".local", "bin"), ["catalyst-migrate"]);
  });
}

posixTest("install.sh replaces a running executable", {
  unless: isLinux ? false : "only Linux refuses to write to one",
}, async () => {
  await using installation = await Installation.start();
  await Deno.mkdir(installation.path(".local", "bin"), { recursive: true });
  await Deno.copyFile(which("sh") ?? "/bin/sh", installation.installed);
  const old = new Deno.Command(installation.installed, {
    args: ["-c", "read line; echo still here: $line"],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  await assert.rejects(Deno.open(installation.installed, { write: true }), /busy/i);
  const { stdout, stderr } = await installation.run();
  assert.match(stdout, /: catalyst-migrate 1\.2\.3\n$/, stderr);
  const writer = old.stdin.getWriter();
  await writer.write(new TextEncoder().encode("yes\n"));
  await writer.close();
  const { stdout: said } = await old.output();
  assert.equal(new TextDecoder().decode(said), "still here: yes\n");
  assert.deepEqual(installation.list(".local"), ["bin", "bin/catalyst-migrate"]);
});

posixTest("install.sh selects the executable for the machine, also under Rosetta", {}, async () => {
  await using installation = await Installation.start();
  const linux = isLinux ? [["Linux", Deno.build.arch, "0", Deno.build.target]] as const : [];
  const machines = [
    ["Darwin", "x86_64", "0", "x86_64-apple-darwin"],
    ["Darwin", "x86_64", "1", "aarch64-apple-darwin"],
    ["Darwin", "arm64", "1", "aarch64-apple-darwin"],
    ...linux,
  ] as const;
  for (const [system, machine, isArm, target] of machines) {
    installation.server.put(
      "1.2.3",
      "SHA256SUMS",
      () => new Response(`${sha256(program("1.2.3"))} *catalyst-migrate-${target}`),
    );
    installation.server.put(
      "1.2.3",
      `catalyst-migrate-${target}`,
      () => new Response(program("1.2.3")),
    );
    const { code, stderr } = await installation.run([], {
      env: await installation.machine({ system, machine, isArm }),
    });
    assert.equal(code, 0, stderr);
    assert(installation.server.requests.at(-1)?.endsWith(`/catalyst-migrate-${target}`));
  }
});

for (const shell of ["sh", "bash", "zsh", "busybox"]) {
  posixTest(
    `install.sh truncated anywhere does nothing in ${shell}`,
    { needs: [shell] },
    async () => {
      await using installation = await Installation.start();
      const whole = await Deno.readTextFile(script);
      const log = installation.path("log");
      const names = "cat chmod curl head mkdir mktemp mv rm rmdir sed sha256sum tail uname wget"
        .split(" ");
      const PATH = await installation.tools(Object.fromEntries(
        names.map((name) => [name, `echo ${name} >>'${log}'`]),
      ));
      const env = { HOME: installation.home.path, PATH };
      const run = (text: string) =>
        installation.run([], {
          env,
          text,
          shell: [which(shell) ?? shell, ...(shell === "busybox" ? ["sh"] : [])],
        });
      const cuts = [...Array(Math.ceil(whole.length / 200)).keys()].map((number) => number * 200);
      for (const end of [...cuts, ...Array(16).keys().map((back) => whole.length - 2 - back)]) {
        const { stdout } = await run(whole.slice(0, end));
        assert.equal(stdout, "");
        assert(!installation.list().includes("log"), `the first ${end} characters ran something`);
      }
      assert.equal((await run(whole)).code, 1);
      assert(installation.list().includes("log"));
    },
  );
}

posixTest("install.sh passes shellcheck", { needs: ["shellcheck"] }, async () => {
  const { stdout } = await new Deno.Command("shellcheck", { args: [script] }).output();
  assert.equal(new TextDecoder().decode(stdout), "");
});

posixTest("install.sh installs the real executable, and it works", {}, async () => {
  const built = await builtExecutable();
  if (built.kind === "missing") return; // it has reported why
  await using installation = await Installation.start();
  const content = await Deno.readFile(built.path);
  installation.server.publish("1.2.3", content);
  const { code, stdout, stderr } = await installation.run();
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^Installed \S+: catalyst-migrate \d+\.\d+\.\d+\b/);
  assert.equal(sha256(await Deno.readFile(installation.installed)), sha256(content));
  const upgrade = await new Deno.Command(installation.installed, {
    args: ["upgrade"],
    cwd: installation.home.path,
    clearEnv: true,
  }).output();
  assert.equal(upgrade.code, 0, new TextDecoder().decode(upgrade.stderr));
  assert(installation.list("data").includes("trading.db"));
});

const page = Deno.readTextFileSync(new URL("../docs/installation.md", import.meta.url));

/** First lines of the page's installation blocks. */
const ways = ["curl -fsSL https://github.com/catalyst/migrate/releases/", "target="];

/** The page's block that starts with a line, adapted to run on this machine. */
function pageBlock(firstLine: string, server: ReleaseServer): string {
  const blocks = [...page.matchAll(/^```\w*\n([^]*?)^```/gm)].map((match) => match[1] ?? "");
  const block = blocks.find((text) => text.startsWith(firstLine));
  assert(block, `docs/installation.md has no block that starts with ${firstLine}`);
  return block.replaceAll("https://github.com/catalyst/migrate/releases", server.url)
    .replace(/^target=.*/, `target=${Deno.build.target}`)
    .replaceAll("sha256sum", Deno.build.os === "darwin" ? "shasum -a 256" : "sha256sum");
}

for (const shell of ["sh", "bash", "zsh"]) {
  posixTest(`the documented ways to install work in ${shell} and verify the checksum`, {
    needs: ["curl", Deno.build.os === "darwin" ? "shasum" : "sha256sum", shell],
  }, async () => {
    for (const firstLine of ways) {
      await using installation = await Installation.start();
      const { server } = installation;
      server.put("1.2.3", "install.sh", () => new Response(Deno.readTextFileSync(script)));
      const text = pageBlock(firstLine, server);
      const { code, stderr } = await installation.run([], { text, shell: [shell] });
      assert.equal(code, 0, stderr);
      assert.equal(await Deno.readTextFile(installation.installed), program("1.2.3"));
      assert.equal((await Deno.stat(installation.installed)).mode! & 0o100, 0o100); // not Windows
      server.put("1.2.3", asset, () => new Response(program("6.6.6")));
      assert.notEqual((await installation.run([], { text, shell: [shell] })).code, 0);
      assert.equal(await Deno.readTextFile(installation.installed), program("1.2.3"));
    }
  });
}
