import { deepStrictEqual as equal, match, ok } from "node:assert/strict";
import { Socket } from "../../../lib/database/websocket.ts";

const PROTOCOL = "hrana3-protobuf";

/** Waits for an event and returns it. */
function next(socket: Socket, type: "open" | "message" | "error" | "close"): Promise<unknown> {
  return new Promise((resolve) =>
    socket.addEventListener(type, (event) => {
      if (event instanceof MessageEvent) resolve(new Uint8Array(event.data));
      else resolve(event instanceof ErrorEvent ? event.message : event.type);
    }, { once: true })
  );
}

function bytes(size: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length: size }, (_, index) => index * 7);
}

/** A server that accepts the protocol and then runs a given function. */
async function serveOnce(
  work: (connection: Deno.TcpConn) => Promise<void>,
  { protocol = PROTOCOL, key = true }: { readonly protocol?: string; readonly key?: boolean } = {},
): Promise<{ readonly address: string; readonly done: Promise<void> }> {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const done = (async () => {
    using connection = await listener.accept();
    listener.close();
    const buffer = new Uint8Array(10_000);
    const request = new TextDecoder().decode(
      buffer.subarray(0, await connection.read(buffer) ?? 0),
    );
    const sent = /Sec-WebSocket-Key: (\S+)/.exec(request)?.[1] ?? "";
    const digest = await crypto.subtle.digest(
      "SHA-1",
      new TextEncoder().encode(`${key ? sent : ""}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`),
    );
    const answer = "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nx-note: \xE9\r\n" +
      `sec-websocket-accept: ${new Uint8Array(digest).toBase64()}\r\n` +
      `sec-websocket-protocol: ${protocol}\r\n\r\n`;
    await connection.write(Uint8Array.from(answer, (one) => one.charCodeAt(0)));
    await work(connection);
  })();
  const { port } = listener.addr as Deno.NetAddr;
  await Promise.resolve();
  return { address: `ws://127.0.0.1:${port}/`, done };
}

Deno.test("messages of every size are received unchanged", async () => {
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, (request) => {
    equal(request.headers.get("x-namespace-bin"), "abc");
    const { socket, response } = Deno.upgradeWebSocket(request, { protocol: PROTOCOL });
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => socket.send(data);
    return response;
  });
  const socket = new Socket(`ws://127.0.0.1:${server.addr.port}`, {
    protocol: PROTOCOL,
    headers: { "x-namespace-bin": "abc" },
  });
  await next(socket, "open");
  equal(socket.protocol, PROTOCOL);
  for (const size of [0, 1, 125, 126, 1025, 65_535, 65_536, 3_000_000]) {
    const answer = next(socket, "message");
    socket.send(bytes(size));
    equal(await answer, bytes(size), String(size));
  }
  socket.close();
  socket.close();
  socket.send(bytes(1));
  await server.shutdown();
});

Deno.test("a message is sent in one piece, and one received in several pieces is assembled", async () => {
  const pieces: number[] = [];
  const { address, done } = await serveOnce(async (connection) => {
    const buffer = new Uint8Array(10_000);
    pieces.push(await connection.read(buffer) ?? 0);
    // A part, a ping in between, and the rest.
    await connection.write(new Uint8Array([0x02, 2, 1, 2, 0x89, 1, 9, 0x80]));
    await connection.write(new Uint8Array([1, 3]));
    pieces.push(await connection.read(buffer) ?? 0);
    equal([buffer[0], buffer[1], (buffer[2] ?? 0) ^ (buffer[6] ?? 0)], [0x8A, 0x81, 9]);
    await connection.write(new Uint8Array([0x88, 4, 0x03, 0xF0, 0x68, 0x69]));
  });
  const socket = new Socket(address, { protocol: PROTOCOL, headers: {} });
  await next(socket, "open");
  const [message, error, close] = ["message", "error", "close"].map((type) =>
    next(socket, type as "message" | "error" | "close")
  );
  socket.send(bytes(2000));
  equal(await message, new Uint8Array([1, 2, 3]));
  match(String(await error), /the server closed the connection with code 1008: hi/);
  await close;
  await done;
  equal(pieces, [2008, 7]);
});

Deno.test("a server that does not speak the protocol is refused", async () => {
  for (const options of [{ protocol: "other" }, { key: false }]) {
    const { address, done } = await serveOnce(() => Promise.resolve(), options);
    const socket = new Socket(address, { protocol: PROTOCOL, headers: {} });
    match(String(await next(socket, "error")), /speaks another protocol/);
    await done;
  }
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    () => new Response("no", { status: 404 }),
  );
  const socket = new Socket(`ws://127.0.0.1:${server.addr.port}/`, {
    protocol: PROTOCOL,
    headers: {},
  });
  match(String(await next(socket, "error")), /the server answered: HTTP\/1.1 404/);
  await server.shutdown();
});

Deno.test("a socket can be closed before it is open", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  const socket = new Socket(`ws://127.0.0.1:${port}/`, { protocol: PROTOCOL, headers: {} });
  let isOpen = false;
  socket.addEventListener("open", () => isOpen = true);
  socket.close();
  await new Promise((resolve) => setTimeout(resolve, 20));
  ok(!isOpen);
  listener.close();
});
