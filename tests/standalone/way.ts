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
  const env = names.map((name) => [name, Deno.env.get(name) ?? ""] as const);
  return {
    name: "deno run",
    command: [Deno.execPath(), "run", "-A", "--no-prompt", cli],
    env: Object.fromEntries(env.filter(([, value]) => value !== "")),
  };
}

/** The standalone executable, built from this checkout. */
export async function executable(): Promise<WayIn> {
  const built = await builtExecutable();
  return {
    name: "the executable",
    standalone: true,
    ...built.kind === "built"
      ? { command: [built.path] }
      : { command: ["catalyst-migrate"], reason: built.reason },
  };
}
