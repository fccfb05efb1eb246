import assert from "node:assert/strict";
import { formatPython } from "../../../lib/schema/python.ts";
import { bundledMigrations } from "../../../migrations/mod.ts";
import { execute, TemporaryDirectory } from "../support.ts";
import { HOSTILE, schemaOf } from "./sample.ts";

/** Uses the modules like a bot; prints what the tests compare. */
const PROGRAM = `
import dataclasses, json, sqlite3, typing
import hostile, trading
from trading import Orders, OrdersInsert, OrdersUpdate, Things

connection = sqlite3.connect("trading.db")
connection.row_factory = sqlite3.Row
order: OrdersInsert = {
    "order_id": "1", "client_order_id": "1", "ticker": "ABC", "order_type": "market", "side": "buy",
    "quantity": 3, "submitted_at": 0, "updated_at": 0,
}
connection.execute(
    f"INSERT INTO orders ({', '.join(order)}) VALUES ({', '.join(':' + name for name in order)})",
    order,
)
read = Orders(**connection.execute("SELECT * FROM orders").fetchone())
in_order = Orders(*connection.execute("SELECT * FROM orders").fetchone())
hints = typing.get_type_hints(Orders)
every_hint = [
    typing.get_type_hints(value)
    for module in (trading, hostile) for value in vars(module).values()
    if isinstance(value, type) and value.__module__ == module.__name__
]
print(json.dumps({
    "read": [read.ticker, read.status, read.limit_price],
    "same": read == in_order,
    "statuses": typing.get_args(trading.OrdersStatus),
    "status": hints["status"] == trading.OrdersStatus,
    "price": hints["limit_price"] == typing.Optional[float],
    "required": sorted(OrdersInsert.__required_keys__),
    "update": sorted(OrdersUpdate.__required_keys__),
    "view": [field.name for field in dataclasses.fields(trading.VEquityCurve)],
    "written": sorted(trading.ThingsInsert.__optional_keys__),
    "things": list(typing.get_type_hints(Things).values()) == [
        int,
        typing.Union[str, float, None],
        float,
        typing.Union[int, float, str, bytes, None],
    ],
    "odd": [field.name for field in dataclasses.fields(hostile.ABCImgSrcXOnerrorAlert1)],
    "keys": sorted(hostile.ABCImgSrcXOnerrorAlert1Row.__annotations__),
    "types": len(every_hint),
}))
`;

const python = ["python3", "python"].find((name) => {
  try {
    return new Deno.Command(name, { args: ["--version"] }).outputSync().success;
  } catch {
    return false;
  }
});

Deno.test({
  name: `Python reads and writes rows with the types${
    python === undefined ? " (skipped: no Python)" : ""
  }`,
  ignore: python === undefined,
  fn: async () => {
    using directory = new TemporaryDirectory();
    const sql = bundledMigrations.filter(({ database }) => database === "trading")
      .map(({ upgrade }) => String(upgrade)).join("\n");
    execute(directory.file("trading.db"), sql);
    const things = `CREATE TABLE things (
      id INTEGER PRIMARY KEY,
      made TIMESTAMP,
      ratio REAL NOT NULL DEFAULT 1.5 CHECK (ratio IN (1.5, 2)),
      half AS (ratio / 2)
    );`;
    const trading = new Map([["trading", await schemaOf(`${sql}; ${things}`)]]);
    Deno.writeTextFileSync(directory.file("trading.py"), formatPython(trading));
    const hostile = new Map([["my db `x` */ y\nz", await schemaOf(HOSTILE)]]);
    Deno.writeTextFileSync(directory.file("hostile.py"), formatPython(hostile));
    Deno.writeTextFileSync(directory.file("program.py"), PROGRAM);
    const { code, stdout, stderr } = await new Deno.Command(python ?? "", {
      args: ["-W", "error", "program.py"],
      cwd: directory.path,
    }).output();
    assert.equal(code, 0, new TextDecoder().decode(stderr));
    const { statuses, types, ...found } = JSON.parse(new TextDecoder().decode(stdout));
    assert.deepEqual(statuses.slice(0, 3), ["pending", "new", "accepted"]);
    assert(types > 30);
    assert.deepEqual(found, {
      read: ["ABC", "pending", null],
      same: true,
      status: true,
      price: true,
      required: [
        ...["client_order_id", "order_id", "order_type", "quantity", "side", "submitted_at"],
        ...["ticker", "updated_at"],
      ],
      update: [],
      view: [
        ...["snapshot_date", "total_equity", "cumulative_pnl", "cumulative_return_pct"],
        ...["daily_return_pct", "positions_count", "trades_today"],
      ],
      written: ["id", "made", "ratio"],
      things: true,
      odd: [
        ...["pk", "from_", "column_1st_col", "x", "größe", "日本", "untyped", "m", "proto__"],
        ...["constructor", "None_", "self"],
      ],
      keys: [
        ...["1st col", "None", "__proto__", "__x", "constructor", "from", "größe", "m", "pk"],
        ...["self", "untyped", "日本"],
      ].toSorted(),
    });
  },
});

Deno.test("a table becomes a dataclass and TypedDicts", async () => {
  const schema = await schemaOf(`CREATE TABLE order_items ( -- what was bought
    item_id INTEGER PRIMARY KEY,
    side TEXT NOT NULL CHECK (side IN ('buy', 'sell')),
    price REAL, -- per share
    total REAL AS (price * 2)
  );
  CREATE VIEW sides AS SELECT side FROM order_items`);
  const text = formatPython(new Map([["shop", schema]]));
  assert.match(text, /^# Generated by `catalyst-migrate schema shop --format python`\. /);
  assert.equal(
    text.slice(text.indexOf("OrderItemsSide =")),
    `OrderItemsSide = Literal["buy", "sell"]


@dataclass
class OrderItems:
    """A row of order_items. what was bought"""

    item_id: int
    side: OrderItemsSide
    price: Optional[float]  # per share
    total: Optional[float]


class OrderItemsRow(TypedDict):
    """A row of order_items as a dict."""

    item_id: int
    side: OrderItemsSide
    price: Optional[float]
    total: Optional[float]


class _OrderItemsRequired(TypedDict):
    """What a new row of order_items must have."""

    side: OrderItemsSide


class _OrderItemsOptional(TypedDict, total=False):
    """What a new row of order_items can have."""

    item_id: int
    price: Optional[float]


class OrderItemsInsert(_OrderItemsRequired, _OrderItemsOptional):
    """A new row of order_items."""


class OrderItemsUpdate(TypedDict, total=False):
    """Changes to a row of order_items."""

    item_id: int
    side: OrderItemsSide
    price: Optional[float]


@dataclass
class Sides:
    """A row of sides."""

    side: OrderItemsSide


class SidesRow(TypedDict):
    """A row of sides as a dict."""

    side: OrderItemsSide
`,
  );
});
