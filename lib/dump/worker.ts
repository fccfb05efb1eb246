/**
 * One thread of a crew: it has a read transaction of its own, which began at the same moment as those
 * of the others, and writes the rows that it is asked for.
 *
 * @module
 */
import type { Connection } from "../database/connection.ts";
import { openForReading } from "../database/reading.ts";
import { defaultSettings } from "../database/settings.ts";
import { beginReading } from "../database/transaction.ts";
import { type ThreadFailure, toFailure } from "../thread.ts";
import type { RowsPart } from "./part.ts";
import { type Bytes, renderRows } from "./render.ts";
import type { RowRange } from "./rows.ts";

/** What a thread is asked to do. */
export interface CrewRequest {
  /** Path of the database file. */
  readonly path: string;
  readonly task:
    | { readonly kind: "open" | "begin" | "close" }
    | { readonly kind: "render"; readonly part: RowsPart; readonly range: RowRange | null };
}

/** What a thread answers. */
export type CrewResponse =
  | { readonly kind: "done"; readonly chunks: readonly Bytes[] }
  | ({ readonly kind: "failed" } & ThreadFailure);

/** The part of a worker's global scope that is used here. */
interface WorkerScope {
  onmessage: ((event: MessageEvent<CrewRequest>) => void) | null;
  postMessage(message: CrewResponse, transfer?: readonly ArrayBuffer[]): void;
}

const scope = globalThis as unknown as WorkerScope;

let connection: Connection | null = null;
let last: Promise<void> = Promise.resolve();

// One after the other: that is the order in which the answers are expected.
scope.onmessage = ({ data }) => {
  last = last.then(() => answer(data));
};

async function answer(request: CrewRequest): Promise<void> {
  try {
    const chunks = await perform(request);
    scope.postMessage({ kind: "done", chunks }, chunks.map(({ buffer }) => buffer));
  } catch (error) {
    scope.postMessage({ kind: "failed", ...toFailure(error) });
  }
}

async function perform({ path, task }: CrewRequest): Promise<readonly Bytes[]> {
  connection ??= await openForReading({ kind: "file", path }, defaultSettings);
  if (task.kind === "render") {
    return await Array.fromAsync(renderRows(connection, task.part, task.range));
  }
  if (task.kind === "begin") await beginReading(connection);
  if (task.kind === "close") await connection.close();
  return [];
}
