import assert from "node:assert/strict";
import { formatMarkdown } from "../../../lib/schema/markdown.ts";
import { HOSTILE, schemaOf } from "./sample.ts";

async function page(sql: string): Promise<string> {
  return formatMarkdown(new Map([["shop", await schemaOf(sql)]]));
}

Deno.test("a page has the diagram, the tables with all constraints, and the views", async () => {
  const text = await page(`CREATE TABLE orders ( -- one row per order
    order_id INTEGER PRIMARY KEY AUTOINCREMENT,
    side TEXT NOT NULL DEFAULT 'buy' CHECK (side IN ('buy', 'sell')), -- what we do
    price REAL CHECK (price > 0),
    stop REAL,
    parent_id INTEGER REFERENCES orders (order_id) ON DELETE CASCADE,
    total REAL AS (price || '|') STORED,
    UNIQUE (side, price),
    CONSTRAINT valid_stop CHECK (stop < price)
  );
  CREATE UNIQUE INDEX idx_orders_side ON orders (side, price DESC) WHERE stop IS NULL;
  CREATE TRIGGER orders_stay BEFORE DELETE ON orders BEGIN SELECT RAISE(ABORT, 'no'); END;
  CREATE VIEW v_sides AS SELECT side, max(price) AS top -- the highest
    FROM orders GROUP BY side`);
  assert.equal(
    text,
    `# shop

\`\`\`mermaid
erDiagram
  "orders" {
    INTEGER order_id PK
    TEXT side "what we do"
    REAL price
    REAL stop
    INTEGER parent_id FK
    REAL total
  }
  "orders" |o--o{ "orders" : "parent_id"
\`\`\`

## orders

one row per order

| Column | Type | NULL | Default | Check | Meaning |
| --- | --- | --- | --- | --- | --- |
| \`order_id\` | \`INTEGER\` | no |  |  |  |
| \`side\` | \`TEXT\` | no | \`'buy'\` | \`side IN ('buy', 'sell')\` | what we do |
| \`price\` | \`REAL\` | yes |  | \`price > 0\` |  |
| \`stop\` | \`REAL\` | yes |  |  |  |
| \`parent_id\` | \`INTEGER\` | yes |  |  |  |
| \`total\` | \`REAL\`, stored: \`price \\|\\| '\\|'\` | yes |  |  |  |

- Primary key: \`order_id\`
- Unique: \`side, price\`
- Foreign key: \`(parent_id) to orders (order_id), ON DELETE CASCADE\`
- Check \`valid_stop\`: \`stop < price\`
- Options: AUTOINCREMENT

Indexes:

- \`idx_orders_side\` on \`(side, price DESC)\`, unique, where \`stop IS NULL\`

Triggers:

- \`orders_stay\`

## View v_sides

| Column | Type | NULL | Meaning |
| --- | --- | --- | --- |
| \`side\` | \`buy\`, \`sell\` | no |  |
| \`top\` | real | yes | the highest |

\`\`\`sql
CREATE VIEW v_sides AS
SELECT
  side,
  max(price) AS top
FROM orders
GROUP BY side;
\`\`\`
`,
  );
});

Deno.test("names, checks and meanings cannot break out of a table or become HTML", async () => {
  const text = await page(HOSTILE);
  assert.doesNotMatch(text.replaceAll(/```[^]*?```\n/g, ""), /(?<!\\)<(script|img)/);
  const rows = text.split("\n").filter((line) => line.startsWith("|"));
  const cells = rows.map((row) => row.match(/(?<!\\)\|/g)?.length);
  assert.deepEqual([...new Set(cells)].toSorted(), [4, 7]);
  assert(text.includes("| `` 'a\\|b`c' `` |"));
  assert(text.includes('\n## a b"c%\\\\;{}\\<img src=x onerror=alert(1)\\>\n'));
});

Deno.test("several databases are described one after another", async () => {
  const one = await schemaOf("CREATE TABLE t (a)");
  const text = formatMarkdown(new Map([["one", one], ["two", await schemaOf("")]]));
  assert.deepEqual(text.match(/^#.*/gm), ["# one", "## t", "# two"]);
});
