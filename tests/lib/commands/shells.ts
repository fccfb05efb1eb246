/** A directory with a bot, a program on its PATH, and the shells that complete its command lines. */
import { fileURLToPath } from "node:url";
import { createCatalystMigrator } from "../../../lib/catalyst.ts";
import { TemporaryDirectory } from "../support.ts";
import { outputOf } from "../../helpers.ts";

/** Name of a file of which a shell must expand nothing; on Windows none has quotation marks. */
export const hostileFile = `dump 'a' $(touch pwned) \`touch pwned\` ${
  Deno.build.os === "windows" ? "b" : '"b"'
}.sql`;

const cli = fileURLToPath(new URL("../../../cli.ts", import.meta.url));

/** A test in a shell; where it can't run, its name says why it is skipped. */
export function shellTest(
  shell: string,
  name: string,
  test: (directory: ShellDirectory) => Promise<void>,
): void {
  const reason = whyNot(shell);
  Deno.test({
    name: `${shell} ${name}${reason === null ? "" : ` (skipped: ${reason})`}`,
    ignore: reason !== null,
    fn: async () => {
      using directory = await ShellDirectory.create();
      await test(directory);
    },
  });
}

/** Why a program can't be run here; null if it can. */
export function whyNot(program: string): string | null {
  if (Deno.build.os === "windows") return `${program} needs a terminal as Unix has it`;
  try {
    new Deno.Command(program, { args: ["--version"], stdin: "null" }).outputSync();
    return null;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return `there is no ${program}`;
  }
}

/** What a shell works with: a bot in `data`, snapshots, migrations, and names that are hard to take. */
export class ShellDirectory extends TemporaryDirectory {
  /** Name of the snapshot of the bot in `data`. */
  snapshot = "";

  static async create(): Promise<ShellDirectory> {
    const directory = new ShellDirectory();
    const migrator = createCatalystMigrator({ dataDir: directory.file("data") });
    await migrator.upgrade();
    directory.snapshot = (await migrator.createSnapshot()).name;
    for (const path of ["migrations", "sub dir/backups", "other_backups", "bin", "mine"]) {
      Deno.mkdirSync(directory.file(path), { recursive: true });
    }
    const files = [
      hostileFile,
      "migrations/110_notes.sql",
      "migrations/120_$(touch pwned).sql",
      // No name of Windows has a line break.
      ...Deno.build.os === "windows" ? [] : ["migrations/130_a\nb.sql"],
      "mine/777_mine.ts",
      "sub dir/backups/snapshot_20200101_000000.json",
      "sub dir/backups/snapshot_20200101_$(touch pwned).json",
      "other_backups/snapshot_20210101_000000.json",
    ];
    for (const file of files) Deno.writeTextFileSync(directory.file(file), "");
    // What the shell gives to any other command line is shown, argument by argument.
    const program = [
      "#!/bin/sh",
      `case " $* " in *' --words '*) exec '${Deno.execPath()}' run -A '${cli}' "$@";; esac`,
      "printf got; for argument; do printf ' <%s>' \"$argument\"; done; echo",
    ].join("\n");
    Deno.writeTextFileSync(directory.file("bin/catalyst-migrate"), program, { mode: 0o755 });
    return directory;
  }

  /** Runs a program in here, apart from the terminal of the tests. */
  async run(program: string, args: readonly string[], input = ""): Promise<string> {
    const child = new Deno.Command(program, {
      args: [...args],
      cwd: this.path,
      env: {
        HOME: this.path,
        PATH: `${this.file("bin")}:${Deno.env.get("PATH")}`,
        INPUTRC: "/dev/null",
        TERM: "dumb",
        DB_PATH_PREFIX: "",
      },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
      detached: true,
    }).spawn();
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(input));
    await writer.close();
    const { stdout, stderr } = await outputOf(child);
    const decoder = new TextDecoder();
    return decoder.decode(stdout) + decoder.decode(stderr);
  }

  /** Writes the script for a shell to a file; returns the file's name. */
  async script(shell: string, ...flags: readonly string[]): Promise<string> {
    const name = `completion${flags.join("_")}.${shell}`;
    const args = ["run", "-A", cli, "completion", shell, ...flags];
    Deno.writeTextFileSync(this.file(name), await this.run(Deno.execPath(), args));
    return name;
  }

  /** Types lines into bash, each with its tabs; what the program got of each. */
  async typeIntoBash(lines: readonly string[], setUp: readonly string[]): Promise<string[]> {
    const input = [...setUp, ...lines, "exit"].map((line) => `${line}\n`).join("");
    const output = await this.run("bash", ["--norc", "--noprofile", "-i"], input);
    return this.#got(output, lines);
  }

  /** Types lines into zsh, each with its tabs; what the program got of each. */
  async typeIntoZsh(lines: readonly string[], setUp: readonly string[]): Promise<string[]> {
    const first = [
      "PROMPT_EOL_MARK=",
      "autoload -Uz compinit",
      "compinit -u -D",
      ...setUp,
      'print -r -- set""up',
    ];
    const driver = `zmodload zsh/zpty
      zpty shell zsh -f -i
      zpty -w shell "$1"
      zpty -r shell out '*setup*'
      for line in "\${@[2,-1]}"; do
        zpty -w shell "$line"
        zpty -r shell out $'*got*\\n'
        print -r -- "$out"
      done
      zpty -d shell`;
    Deno.writeTextFileSync(this.file("driver.zsh"), driver);
    const output = await this.run("zsh", ["-f", "driver.zsh", first.join("; "), ...lines]);
    return this.#got(output, lines);
  }

  #got(output: string, lines: readonly string[]): string[] {
    const got = [...output.matchAll(/^got(.*?)\r?$/gm)].map(([, args = ""]) => args.trim());
    if (got.length !== lines.length) throw new Error(`not every line was run:\n${output}`);
    return got;
  }

  /** What fish offers for a line: values, each with its description. */
  async askFish(line: string, setUp: readonly string[]): Promise<ReadonlyMap<string, string>> {
    const commands = [...setUp, "complete -C $argv[1]"].join("; ");
    const output = await this.run("fish", ["--no-config", "-c", commands, "--", line]);
    return new Map(
      output.split("\n").filter((one) => one !== "").map((one) => {
        const [value = "", description = ""] = one.split("\t");
        return [value, description];
      }),
    );
  }
}
