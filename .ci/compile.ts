/**
 * Builds the standalone executables: `deno task compile`.
 *
 *     deno task compile              dist/catalyst-migrate, for this machine
 *     deno task compile --all        dist/catalyst-migrate-TARGET for every target
 *     deno task compile --target T   one of them
 *     --out DIR                      another directory than dist
 *
 * It also writes SHA256SUMS, and LICENSES.txt with the licences of the packages in them.
 * `COMPILE_DENO` names another Deno to compile with, and `DENORT_BIN` the runtime to embed for this
 * machine; others are downloaded.
 *
 * @module
 */
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { UsageError } from "../lib/base/errors.ts";
import { createOutput } from "../lib/terminal/output.ts";
import { formatBytes } from "../lib/base/format.ts";
import { renderTable } from "../lib/terminal/text.ts";
import { build, type BuildOptions, releaseTargets } from "./build.ts";

export { releaseTargets };

/** Reads the command line. */
function parse(args: string[]): BuildOptions {
  const { values: flags } = parseArgs({
    args,
    options: {
      all: { type: "boolean", default: false },
      target: { type: "string" },
      out: { type: "string" },
    },
  });
  if (flags.all && flags.target !== undefined) {
    throw new UsageError("Cannot build: --all and --target exclude each other", {
      help: "give one of them",
    });
  }
  if (flags.target !== undefined && !releaseTargets.includes(flags.target)) {
    throw new UsageError(`Cannot build for "${flags.target}": unknown target`, {
      help: `the targets are ${releaseTargets.join(", ")}`,
    });
  }
  return {
    targets: flags.all ? releaseTargets : [flags.target ?? null],
    ...(flags.out === undefined ? {} : { out: resolve(flags.out) }),
  };
}

if (import.meta.main) {
  const output = createOutput();
  try {
    const executables = await build({
      ...parse(Deno.args),
      onTarget: (target) => output.narrate(`compiling for ${target}`),
    });
    output.answer(renderTable(
      executables.map(({ path, bytes, sha256 }) => [path, formatBytes(bytes), sha256]),
    ));
  } catch (error) {
    await output.error(error);
    Deno.exitCode = 1;
  }
}
