PRAGMA foreign_keys = false;

DROP TABLE IF EXISTS "sqlite_sequence";
CREATE TABLE "sqlite_sequence" (
  "name" ,
  "seq" 
);
INSERT INTO "sqlite_sequence" VALUES ('trades', 9);

DROP TABLE IF EXISTS "trades";
CREATE TABLE "trades" (
  "id" integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  "price" real
);
BEGIN;
INSERT INTO "trades" VALUES (7, 1.5);
COMMIT;
UPDATE "main"."sqlite_sequence" SET seq = 42 WHERE name = 'trades';

PRAGMA foreign_keys = true;
