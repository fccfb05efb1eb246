/** The ways in: each is a command line that runs the toolkit, and all have to behave the same. */
import { fileURLToPath } from "node:url";
import { builtExecutable } from "./build.ts";

/** One way to run the toolkit. */
export interface WayIn {
  readonly name: string;
  /** The program and its first arguments. */
  readonly command: readonly string[];
  /** Variables that it can't do without; it gets no others. Default: none. */
  readonly env?: Readonly<Record<string, string>>;
  /** Whether it is the standalone executable. Default `false`. */
  readonly standalone?: boolean;
  /** Whether it runs without a network. Default `true`. */
  readonly offline?: boolean;
  /** Why it can't be tested here. Default: it can. */
  readonly reason?: string;
}

/** This checkout, run by this Deno. */
export function checkout(): WayIn {
  const cli = fileURLToPath(new URL("../../cli.ts", import.meta.url));
  // Where Deno keeps compiled code: without it each start would compile all of it anew.
  const names = ["HOME", "DENO_DIR", "XDG_CACHE_HOME", "LOCALAPPDATA", "SYSTEMROOT"];
  return {
    name: "deno run",
    command: [Deno.execPath(), "run", "-A", "--no-prompt", cli],
    env: variablesOf(names),
  };
}

/** Those of some variables that are set here. */
export function variablesOf(names: readonly string[]): Record<string, string> {
  const all = names.map((name) => [name, Deno.env.get(name) ?? ""] as const);
  return Object.fromEntries(all.filter(([, value]) => value !== ""));
}

/** The standalone executable, built from this checkout. */
export async function executable(): Promise<WayIn> {
  const built = await builtExecutable();
  return {
    name: "the executable",
    standalone: true,
    env: variablesOf(["SYSTEMROOT"]), // without it no program starts on Windows
    ...built.kind === "built"
      ? { command: [built.path] }
      : { command: ["catalyst-migrate"], reason: built.reason },
  };
}
