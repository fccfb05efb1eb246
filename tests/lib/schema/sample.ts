import { openMemory } from "../../../lib/database/open.ts";
import { compareSchemas } from "../../../lib/schema/compare.ts";
import type { Schema } from "../../../lib/schema/model.ts";
import { readSchema, type ReadSchemaOptions } from "../../../lib/schema/read.ts";

/** The schema that a script creates in a new database. */
export async function schemaOf(sql: string, options: ReadSchemaOptions = {}): Promise<Schema> {
  await using connection = openMemory();
  await connection.script(sql);
  return await readSchema(connection, options);
}

/** The differences, in words, between the schemas of an expected and an actual script. */
export async function differences(expected: string, actual: string): Promise<string[]> {
  const found = compareSchemas(await schemaOf(expected), await schemaOf(actual));
  return found.map((difference) => difference.detail);
}

/** A small database with objects of every kind. */
export const SAMPLE = `
CREATE TABLE accounts (
  account_id INTEGER PRIMARY KEY AUTOINCREMENT,
  email      TEXT NOT NULL UNIQUE COLLATE NOCASE,
  status     TEXT NOT NULL DEFAULT 'new' CHECK (status IN ('new', 'open', 'closed')),
  balance    REAL NOT NULL DEFAULT 0.0
);
CREATE TABLE trades (
  trade_id   TEXT PRIMARY KEY,
  account_id INTEGER NOT NULL REFERENCES accounts ON DELETE CASCADE,
  side       TEXT NOT NULL CHECK (side IN ('long', 'short')),
  quantity   INTEGER NOT NULL CHECK (quantity > 0),
  price      REAL NOT NULL,
  stop       REAL,
  score      REAL CHECK (score BETWEEN 0 AND 1),
  cost       REAL GENERATED ALWAYS AS (price * quantity) VIRTUAL,
  UNIQUE (account_id, side, price),
  CONSTRAINT valid_stop CHECK (
    stop IS NULL OR (side = 'long' AND stop < price) OR (side = 'short' AND stop > price)
  )
);
CREATE INDEX idx_trades_side ON trades (side, price DESC);
CREATE UNIQUE INDEX idx_trades_open ON trades (account_id, lower(side)) WHERE stop IS NULL;
CREATE VIEW open_trades AS SELECT trade_id, price AS entry FROM trades WHERE stop IS NULL;
CREATE TRIGGER trades_keep BEFORE DELETE ON trades BEGIN
  SELECT RAISE(ABORT, 'trades are kept; all of them');
END;
`;

/** Names, texts and comments that are special in other languages. */
export const HOSTILE = `
CREATE TABLE "a b""c%\\;{}<img src=x onerror=alert(1)>" ( -- own */ """ \\ comment
  "pk" INTEGER, -- <script>alert(1)</script> "quoted" #1; {x} */ """
  "from" TEXT, -- key | word
  "1st col" VARCHAR ( 10 , 2 ),
  "__x" "ODD TYPE",
  "größe" DECIMAL(10,2) DEFAULT 'a|b\`c',
  "日本" INT,
  untyped,
  m TEXT CHECK (m IN ('a"b', 'it''s', 'x
y', '*/', '"""')),
  "__proto__" INT, "constructor" INT, "None" INT, "self" INT
);
CREATE TABLE none (a);
CREATE TABLE "None_" (a);
CREATE TABLE "123" (a REFERENCES gone (x));
`;
