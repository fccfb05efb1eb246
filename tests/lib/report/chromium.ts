/** Opens pages in Chromium and talks to it over its debugging protocol. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";

/** Name of the program, or null if there is none. */
export const chromium: string | null =
  ["chromium", "chromium-browser", "google-chrome"].find((name) =>
    spawnSync(name, ["--version"]).status === 0
  ) ?? null;

/** What the browser reported, such as a console message or a network request. */
export interface BrowserEvent {
  readonly method: string;
  readonly params: Readonly<Record<string, unknown>>;
}

/** A page in a browser. */
export class Page implements AsyncDisposable {
  readonly events: BrowserEvent[] = [];
  readonly #child: ChildProcess;
  readonly #profile: string;
  readonly #socket: WebSocket;
  readonly #answers = new Map<number, (result: Record<string, unknown>) => void>();
  readonly #waiting = new Map<string, () => void>();
  #last = 0;

  private constructor(child: ChildProcess, profile: string, socket: WebSocket) {
    this.#child = child;
    this.#profile = profile;
    this.#socket = socket;
    socket.onmessage = ({ data }) => {
      const message = JSON.parse(String(data));
      if (typeof message.id === "number") this.#answers.get(message.id)?.(message);
      else {
        this.events.push(message);
        this.#waiting.get(message.method)?.();
      }
    };
  }

  /** Starts the browser with an empty page. */
  static async start(program: string): Promise<Page> {
    const profile = await Deno.makeTempDir({ prefix: "chromium-" });
    const child = spawn(program, [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--no-first-run",
      "--hide-scrollbars",
      "--remote-debugging-port=0",
      `--user-data-dir=${profile}`,
      "about:blank",
    ], { stdio: ["ignore", "ignore", "pipe"] });
    const address = await new Promise<string>((resolve, reject) => {
      let said = "";
      child.stderr?.on("data", (chunk) => {
        said += chunk;
        const found = /ws:\/\/([\d.:a-z]+)\//.exec(said)?.[1];
        if (found !== undefined) resolve(found);
      });
      child.on("exit", () => reject(new Error(`Chromium ended: ${said}`)));
    });
    const targets: { type: string; webSocketDebuggerUrl: string }[] =
      await (await fetch(`http://${address}/json`)).json();
    const target = targets.find(({ type }) => type === "page");
    if (target === undefined) throw new Error("Chromium has no page");
    const socket = new WebSocket(target.webSocketDebuggerUrl);
    await new Promise((resolve) => socket.onopen = resolve);
    const page = new Page(child, profile, socket);
    for (const domain of ["Page", "Runtime", "Log", "Network"]) await page.send(`${domain}.enable`);
    return page;
  }

  /** Sends a command and returns its result. */
  async send(
    method: string,
    params: Readonly<Record<string, unknown>> = {},
  ): Promise<Record<string, unknown>> {
    const id = ++this.#last;
    const answer = new Promise<Record<string, unknown>>((resolve) =>
      this.#answers.set(id, resolve)
    );
    this.#socket.send(JSON.stringify({ id, method, params }));
    const { result, error } = await answer;
    if (error !== undefined) throw new Error(`${method}: ${JSON.stringify(error)}`);
    return result as Record<string, unknown>;
  }

  /** Opens a file at a width in pixels. */
  async open(
    path: string,
    { width, dark = false, media = "screen" }: {
      readonly width: number;
      readonly dark?: boolean;
      readonly media?: "screen" | "print";
    },
  ): Promise<void> {
    await this.send("Emulation.setDeviceMetricsOverride", {
      width,
      height: 900,
      deviceScaleFactor: 1,
      mobile: width < 600,
    });
    await this.send("Emulation.setEmulatedMedia", {
      media,
      features: [{ name: "prefers-color-scheme", value: dark ? "dark" : "light" }],
    });
    const loaded = new Promise<void>((resolve) =>
      this.#waiting.set("Page.loadEventFired", resolve)
    );
    await this.send("Page.navigate", { url: `file://${path}` });
    await loaded;
  }

  /** Evaluates an expression in the page; its value must be JSON. */
  async evaluate<T>(expression: string): Promise<T> {
    const { result, exceptionDetails } = await this.send("Runtime.evaluate", {
      expression,
      returnByValue: true,
    }) as { result: { value: T }; exceptionDetails?: unknown };
    if (exceptionDetails !== undefined) throw new Error(JSON.stringify(exceptionDetails));
    return result.value;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once("exit", resolve));
    const closed = new Promise((resolve) => this.#socket.onclose = resolve);
    await this.send("Browser.close").catch(() => {});
    await Promise.all([ended, closed]);
    await Deno.remove(this.#profile, { recursive: true }).catch(() => {});
  }
}
