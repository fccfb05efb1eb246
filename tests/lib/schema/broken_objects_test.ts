import assert from "node:assert/strict";
import { openMemory } from "../../../lib/database/open.ts";
import { brokenObjects } from "../../../lib/schema/broken_objects.ts";

Deno.test("a view with a trigger for one kind of change works; one whose trigger fails is broken", async () => {
  await using connection = openMemory();
  await connection.script(`CREATE TABLE t (a);
    CREATE VIEW v AS SELECT a FROM t;
    CREATE TRIGGER fine INSTEAD OF INSERT ON v BEGIN INSERT INTO t VALUES (NEW.a); END;
    CREATE VIEW w AS SELECT a FROM t;
    CREATE VIEW of_the_bot AS SELECT score(a) AS a FROM t;
    CREATE TRIGGER unknown INSTEAD OF UPDATE ON of_the_bot BEGIN INSERT INTO t VALUES (1); END;
    CREATE TRIGGER faulty INSTEAD OF INSERT ON w BEGIN INSERT INTO gone VALUES (NEW.a); END`);
  const broken = await brokenObjects(connection);
  assert.deepEqual([...broken], [['an INSERT trigger of "w"', "no such table: main.gone"]]);
});

Deno.test("of two triggers of an event none is named, because SQLite does not say which one fails", async () => {
  await using connection = openMemory();
  await connection.script(`CREATE TABLE t (a);
    CREATE TRIGGER stamp AFTER UPDATE ON t BEGIN SELECT NEW.a; END;
    CREATE TRIGGER audit AFTER UPDATE OF a ON t BEGIN INSERT INTO gone VALUES (NEW.a); END;
    CREATE TRIGGER keep BEFORE DELETE ON t BEGIN SELECT OLD.a; END`);
  const broken = await brokenObjects(connection);
  assert.deepEqual([...broken], [['an UPDATE trigger of "t"', "no such table: main.gone"]]);
});
