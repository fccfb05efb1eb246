/** The ways to run the toolkit: each is a command line, and all must behave the same. */
import { fileURLToPath } from "node:url";
import { warmProgram } from "../warm_cli.ts";
import { builtExecutable } from "./build.ts";

/** One way to run the toolkit. */
export interface WayIn {
  readonly name: string;
  /** The program and its first arguments. */
  readonly command: readonly string[];
  /** The same for a process that runs many commands. Default: none. */
  readonly warm?: readonly string[];
  /** Required variables; it gets no others. Default: none. */
  readonly env?: Readonly<Record<string, string>>;
  /** Whether it is the standalone executable. Default `false`. */
  readonly standalone?: boolean;
  /** Whether it runs without a network. Default `true`. */
  readonly offline?: boolean;
  /** Why it cannot be tested here. Default: it can. */
  readonly reason?: string;
}

/** This checkout, run by this Deno. */
export function checkout(): WayIn {
  const cli = fileURLToPath(new URL("../../cli.ts", import.meta.url));
  // Deno's cache of compiled code: without it every start would compile everything again.
  const names = ["HOME", "DENO_DIR", "XDG_CACHE_HOME", "LOCALAPPDATA", "SYSTEMROOT"];
  return {
    name: "deno run",
    command: [Deno.execPath(), "run", "-A", "--no-prompt", cli],
    warm: [Deno.execPath(), "run", "-A", "--no-prompt", warmProgram],
    env: variablesOf(names),
  };
}

/** The variables that are set here. */
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
    env: variablesOf(["SYSTEMROOT"]), // no program starts on Windows without it
    ...built.kind === "built"
      ? { command: [built.path] }
      : { command: ["catalyst-migrate"], reason: built.reason },
  };
}
