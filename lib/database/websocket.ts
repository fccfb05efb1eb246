/** Options of a {@link Socket}. */
export interface SocketOptions {
  /** Name of the protocol that the server must accept. */
  readonly protocol: string;
  /** Additional headers of the request. */
  readonly headers: Readonly<Record<string, string>>;
}

/** Kinds of frames. */
const CONTINUATION = 0;
const BINARY = 2;
const CLOSE = 8;
const PING = 9;
const PONG = 10;

/** The code 1000. */
const NORMAL_END = new Uint8Array([0x03, 0xE8]);

/** Marks the last frame of a message. */
const FINAL = 0x80;

/** Marks a frame as masked, as required for a client. */
const MASKED = 0x80;

/** The protocol appends this to a request's key to compute the server's answer. */
const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/** Maximum size of a message in bytes; a server sends at most 10 MB of rows. */
const LARGEST_MESSAGE = 100e6;

/** Number of bytes read at once. */
const BUFFER = 65_536;

/**
 * A WebSocket for binary messages with the features that the libSQL client needs. Deno's WebSocket sends
 * the head of a message above 1 kB separately, and TCP delays the rest until the server acknowledges the
 * head, which takes 40 ms. This one sends each message as a whole without delay.
 */
export class Socket extends EventTarget {
  /** The protocol that the server accepted; empty until then. */
  protocol = "";
  /** Set by the client; no other type is supported. */
  binaryType = "arraybuffer";
  readonly #connecting = new AbortController();
  #connection: Deno.Conn | null = null;
  #isClosed = false;
  #written: Promise<unknown> = Promise.resolve();

  /** Starts to connect; emits the events `open`, `message`, `error` and `close`. */
  constructor(address: string, options: SocketOptions) {
    super();
    this.#run(new URL(address), options).catch((error) => this.#end(error));
  }

  /** Sends a message. */
  send(message: Uint8Array): void {
    this.#write(BINARY, message);
  }

  /** Closes the connection. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#connecting.abort();
    // A server that no longer reads must not prevent the program from ending.
    this.#connection?.write(frameOf(CLOSE, NORMAL_END)).catch(() => {});
    this.#connection?.close();
  }

  async #run(url: URL, options: SocketOptions): Promise<void> {
    const connection = await connect(url, this.#connecting.signal);
    if (this.#isClosed) return connection.close();
    this.#connection = connection;
    const input = new Input(connection);
    this.protocol = await shakeHands(url, { connection, input, ...options });
    this.dispatchEvent(new Event("open"));
    let parts: Uint8Array<ArrayBuffer>[] = [];
    for (;;) {
      const [head = 0, second = 0] = await input.take(2);
      const payload = await input.take(await lengthOf(second & 0x7F, input));
      const kind = head & 0x0F;
      if (kind === PING) this.#write(PONG, payload);
      else if (kind === CLOSE) throw new Error(closeReason(payload));
      else if (kind === BINARY || kind === CONTINUATION) {
        parts.push(payload);
        if ((head & FINAL) === 0) continue;
        this.dispatchEvent(new MessageEvent("message", { data: joined(parts).buffer }));
        parts = [];
      }
    }
  }

  #write(kind: number, payload: Uint8Array): void {
    const connection = this.#connection;
    if (this.#isClosed || connection === null) return;
    const bytes = frameOf(kind, payload);
    this.#written = this.#written.then(() => writeAll(connection, bytes)).catch((error) =>
      this.#end(error)
    );
  }

  #end(error: unknown): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#connection?.close();
    const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    this.dispatchEvent(new ErrorEvent("error", { message, error }));
    this.dispatchEvent(new CloseEvent("close", { code: 1006 }));
  }
}

async function connect(url: URL, signal: AbortSignal): Promise<Deno.Conn> {
  const isTls = url.protocol === "wss:";
  const hostname = url.hostname.replace(/^\[|\]$/g, "");
  const port = Number(url.port || (isTls ? 443 : 80));
  const connection = await Deno.connect({ hostname, port, signal });
  connection.setNoDelay(true);
  return isTls
    ? await Deno.startTls(connection, { hostname, alpnProtocols: ["http/1.1"] })
    : connection;
}

/** Requests the protocol from the server; returns its name. */
async function shakeHands(
  url: URL,
  { connection, input, protocol, headers }: SocketOptions & {
    readonly connection: Deno.Conn;
    readonly input: Input;
  },
): Promise<string> {
  const key = crypto.getRandomValues(new Uint8Array(16)).toBase64();
  const request = [
    `GET ${url.pathname} HTTP/1.1`,
    `Host: ${url.host}`,
    "Upgrade: websocket",
    "Connection: Upgrade",
    `Sec-WebSocket-Key: ${key}`,
    "Sec-WebSocket-Version: 13",
    `Sec-WebSocket-Protocol: ${protocol}`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
  ];
  await writeAll(connection, new TextEncoder().encode(`${request.join("\r\n")}\r\n\r\n`));
  const [status = "", ...lines] = await input.lines();
  if (!/^HTTP\/1\.1 101\b/.test(status)) throw new Error(`the server answered: ${status}`);
  const answer = new Map(
    lines.map((line) => {
      const [name = "", ...value] = line.split(":");
      return [name.trim().toLowerCase(), value.join(":").trim()];
    }),
  );
  const digest = await crypto.subtle.digest("SHA-1", new TextEncoder().encode(key + GUID));
  if (
    answer.get("sec-websocket-accept") !== new Uint8Array(digest).toBase64() ||
    answer.get("sec-websocket-protocol") !== protocol
  ) throw new Error("the server speaks another protocol");
  return protocol;
}

/** Reads from a connection. */
class Input {
  readonly #connection: Deno.Conn;
  #buffer = new Uint8Array(BUFFER);
  #start = 0;
  #end = 0;

  constructor(connection: Deno.Conn) {
    this.#connection = connection;
  }

  /** The next bytes. */
  async take(count: number): Promise<Uint8Array<ArrayBuffer>> {
    while (this.#end - this.#start < count) await this.#read(count);
    this.#start += count;
    return this.#buffer.slice(this.#start - count, this.#start);
  }

  /** The lines at the start, up to an empty one. */
  async lines(): Promise<string[]> {
    const decoder = new TextDecoder("latin1"); // one character per byte
    while (this.#end < this.#buffer.length) {
      await this.#read(1);
      const text = decoder.decode(this.#buffer.subarray(0, this.#end));
      const end = text.indexOf("\r\n\r\n");
      if (end === -1) continue;
      this.#start = end + 4;
      return text.slice(0, end).split("\r\n");
    }
    throw new Error("the server's answer has no end");
  }

  async #read(count: number): Promise<void> {
    if (this.#buffer.length - this.#start < count) {
      const buffer = new Uint8Array(Math.max(count, BUFFER));
      buffer.set(this.#buffer.subarray(this.#start, this.#end));
      this.#buffer = buffer;
      this.#end -= this.#start;
      this.#start = 0;
    }
    const read = await this.#connection.read(this.#buffer.subarray(this.#end));
    if (read === null) throw new Error("the connection was closed");
    this.#end += read;
  }
}

async function lengthOf(short: number, input: Input): Promise<number> {
  if (short < 126) return short;
  const bytes = await input.take(short === 126 ? 2 : 8);
  const view = new DataView(bytes.buffer);
  const length = short === 126 ? view.getUint16(0) : Number(view.getBigUint64(0));
  if (length > LARGEST_MESSAGE) throw new Error(`a message of ${length} bytes is too large`);
  return length;
}

/** A complete masked frame. */
function frameOf(kind: number, payload: Uint8Array): Uint8Array {
  const size = payload.length;
  const head = size < 126 ? 2 : size < 65_536 ? 4 : 10;
  const frame = new Uint8Array(head + 4 + size);
  const view = new DataView(frame.buffer);
  frame[0] = FINAL | kind;
  frame[1] = MASKED | (head === 2 ? size : head === 4 ? 126 : 127);
  if (head === 4) view.setUint16(2, size);
  if (head === 10) view.setBigUint64(2, BigInt(size));
  const mask = crypto.getRandomValues(frame.subarray(head, head + 4));
  const start = head + 4;
  for (let at = 0; at < size; at++) frame[start + at] = (payload[at] ?? 0) ^ (mask[at & 3] ?? 0);
  return frame;
}

function joined(parts: readonly Uint8Array<ArrayBuffer>[]): Uint8Array<ArrayBuffer> {
  const [first] = parts;
  if (first !== undefined && parts.length === 1) return first;
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** The server's reason for closing the connection. */
function closeReason(payload: Uint8Array): string {
  const code = payload.length < 2 ? 1005 : new DataView(payload.buffer).getUint16(0);
  const reason = new TextDecoder().decode(payload.subarray(2));
  return `the server closed the connection with code ${code}${reason === "" ? "" : `: ${reason}`}`;
}

async function writeAll(connection: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
}
