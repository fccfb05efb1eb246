import assert from "node:assert/strict";
import { hostileFile, type ShellDirectory, shellTest } from "./shells.ts";

/** What is typed, with a tab where the shell completes, and the arguments that the program must get. */
function typed({ snapshot }: ShellDirectory): readonly (readonly [string, string])[] {
  return [
    ["catalyst-migrate sta\t", "<status>"],
    ["catalyst-migrate status --ch\t --js\t", "<status> <--check> <--json>"],
    ["catalyst-migrate upgrade --to 1\t --dr\t", "<upgrade> <--to> <110> <--dry-run>"],
    ["catalyst-migrate upgrade --to=1\t", "<upgrade> <--to=110>"],
    [
      "catalyst-migrate --migrations-dir mine repair --acc\t 7\t",
      "<--migrations-dir> <mine> " +
      "<repair> <--accept-changed> <777>",
    ],
    ["catalyst-migrate restore lat\t tra\t", "<restore> <latest> <trading>"],
    ["catalyst-migrate backup ver\t 2\t", `<backup> <verify> <${snapshot}>`],
    [
      "catalyst-migrate restore --data-dir 'sub dir' 2\t",
      "<restore> <--data-dir> <sub dir> " +
      "<20200101_000000>",
    ],
    [
      "catalyst-migrate new x --kind j\t --database ml\t",
      "<new> <x> <--kind> <js> <--database> " +
      "<ml_training>",
    ],
    ["catalyst-migrate import dum\t", `<import> <${hostileFile}>`],
    [
      "catalyst-migrate export positions --out=dum\t",
      `<export> <positions> <--out=${hostileFile}>`,
    ],
    ["catalyst-migrate status --data-dir su\t", "<status> <--data-dir> <sub dir/>"],
    ["catalyst-migrate history --limit x\t", "<history> <--limit> <x>"],
    ["catalyst-migrate nonsense x\t", "<nonsense> <x>"],
    ["catalyst-migrate hel\t bac\t pru\t", "<help> <backup> <prune>"],
  ];
}

shellTest(
  "bash",
  "puts commands, flags, values and paths into the line, and runs nothing in a name",
  async (directory) => {
    const cases = typed(directory);
    const script = await directory.script("bash");
    const got = await directory.typeIntoBash(cases.map(([line]) => line), [`source ${script}`]);
    assert.deepEqual(got, cases.map(([, args]) => args));
    assert(!directory.names().includes("pwned"));
  },
);

shellTest(
  "bash",
  "completes after an exported prefix, an alias, a function, a path and a redirection",
  async (directory) => {
    const setUp = [
      `source ${await directory.script("bash")}`,
      `source ${await directory.script("bash", "--name", "cm")}`,
      `source ${await directory.script("bash", "--name", "cr")}`,
      `source ${await directory.script("bash", "--name", "fr")}`,
      "alias cm='catalyst-migrate --migrations-dir mine'",
      "alias cr='catalyst-migrate restore'",
      'fr() { catalyst-migrate restore "$@"; }',
    ];
    const cases = [
      ["cm upgrade --to 7\t", "<--migrations-dir> <mine> <upgrade> <--to> <777>"],
      ["cr lat\t", "<restore> <latest>"],
      ["fr lat\t", "<restore> <latest>"],
      ["./bin/catalyst-migrate sta\t", "<status>"],
      ["~/bin/catalyst-migrate sta\t", "<status>"],
      [
        "catalyst-migrate restore --data-dir ~/sub\\ dir 2\t",
        "<restore> <--data-dir> " +
        `<${directory.path}/sub dir> <20200101_000000>`,
      ],
      ["catalyst-migrate status > /dev/nul\t; catalyst-migrate veri\t", "<verify>"],
      ["catalyst-migrate x; export DB_PATH_PREFIX=other_", "<x>"],
      ["catalyst-migrate restore 2\t", "<restore> <20210101_000000>"],
    ] as const;
    assert.deepEqual(
      await directory.typeIntoBash(cases.map(([line]) => line), setUp),
      cases.map(([, args]) => args),
    );
  },
);

shellTest(
  "bash",
  "runs no other command that a function has in it, and lists what each candidate is",
  async (directory) => {
    const script = await directory.script("bash", "--name", "cm");
    const input = [
      `source ${script}`,
      'cm() { catalyst-migrate new --database trading "$@"; }',
      "cm add\t",
      'cm() { catalyst-migrate "$@"; }',
      "cm upgrade --migra\t\t\t",
      "exit\n",
    ].join("\n");
    const output = await directory.run("bash", ["--norc", "--noprofile", "-i"], input);
    assert.match(output, /^--migration +apply only this one$/m);
    assert.match(output, /^--migrations-dir +directory of your own migrations/m);
    assert.equal([...Deno.readDirSync(directory.file("migrations"))].length, 3);
  },
);

shellTest(
  "zsh",
  "puts commands, flags, values and paths into the line, and runs nothing in a name",
  async (directory) => {
    const cases = typed(directory);
    const script = await directory.script("zsh");
    const got = await directory.typeIntoZsh(cases.map(([line]) => line), [`source ${script}`]);
    // zsh removes the slash that it added after a directory.
    assert.deepEqual(got, cases.map(([, args]) => args.replace("/>", ">")));
    assert(!directory.names().includes("pwned"));
  },
);

shellTest(
  "zsh",
  "completes as a function of $fpath, after a prefix, an alias and a path",
  async (directory) => {
    Deno.renameSync(
      directory.file(await directory.script("zsh")),
      directory.file("_catalyst-migrate"),
    );
    const setUp = [
      "fpath+=($PWD)",
      "compinit -u -D",
      "alias cm='catalyst-migrate --migrations-dir mine'",
      "setopt no_complete_aliases",
    ];
    const cases = [
      ["cm upgrade --to 7\t", "<--migrations-dir> <mine> <upgrade> <--to> <777>"],
      ["./bin/catalyst-migrate sta\t", "<status>"],
      [
        "catalyst-migrate restore --data-dir ~/sub\\ dir 2\t",
        `<restore> <--data-dir> <${directory.path}/sub dir> <20200101_000000>`,
      ],
      ["DB_PATH_PREFIX=other_ catalyst-migrate restore 2\t", "<restore> <20210101_000000>"],
    ] as const;
    assert.deepEqual(
      await directory.typeIntoZsh(cases.map(([line]) => line), setUp),
      cases.map(([, args]) => args),
    );
  },
);

shellTest(
  "fish",
  "offers commands, flags, values and paths, with what each is",
  async (directory) => {
    const { snapshot } = directory;
    const setUp = [`source ${await directory.script("fish")}`];
    const cases: readonly (readonly [string, readonly string[]])[] = [
      ["catalyst-migrate sta", ["status"]],
      ["catalyst-migrate upgrade --to ", ["001", "002", "003", "110"]],
      ["catalyst-migrate upgrade --to=1", ["--to=110"]],
      ["catalyst-migrate --migrations-dir mine redo ", ["001", "002", "003", "777"]],
      ["catalyst-migrate backup verify ", ["latest", snapshot]],
      ["catalyst-migrate restore --data-dir 'sub dir' 2", ["20200101_000000"]],
      ["DB_PATH_PREFIX=other_ catalyst-migrate restore 2", ["20210101_000000"]],
      ["catalyst-migrate new x --kind ", ["sql", "ts", "js"]],
      ["catalyst-migrate import dum", [hostileFile]],
      ["catalyst-migrate status --data-dir su", ["sub dir/"]],
      ["catalyst-migrate status --data-dir=su", ["--data-dir=sub dir/"]],
      ["catalyst-migrate history --limit ", []],
      ["catalyst-migrate nonsense ", []],
      ["./bin/catalyst-migrate sta", ["status"]],
    ];
    for (const [line, values] of cases) {
      assert.deepEqual([...(await directory.askFish(line, setUp)).keys()], values, line);
    }
    const described = await directory.askFish("catalyst-migrate upgrade --migra", setUp);
    assert.equal(described.get("--migration"), "apply only this one");
    assert(!directory.names().includes("pwned"));
  },
);

shellTest(
  "fish",
  "completes an alias with flags of its own, by its own script and by the program's",
  async (directory) => {
    const alias = "alias cm 'catalyst-migrate --migrations-dir mine'";
    for (const flags of [[], ["--name", "cm"]]) {
      const setUp = [alias, `source ${await directory.script("fish", ...flags)}`];
      const values = await directory.askFish("cm upgrade --to 7", setUp);
      assert.deepEqual([...values.keys()], ["777"]);
    }
  },
);

shellTest(
  "fish",
  "offers nothing and says nothing where the program can't be found",
  async (directory) => {
    const setUp = [`source ${await directory.script("fish")}`, "set -e PATH[1]"];
    for (const line of ["catalyst-migrate sta", "./gone/catalyst-migrate sta"]) {
      assert.deepEqual([...(await directory.askFish(line, setUp)).keys()], [], line);
    }
  },
);
