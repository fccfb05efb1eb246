BEGIN TRANSACTION;
CREATE TABLE IF NOT EXISTS "trades" (
	"id"	INTEGER,
	"price"	REAL,
	PRIMARY KEY("id" AUTOINCREMENT)
);
CREATE TABLE IF NOT EXISTS "sqlite_sequence" (
	"name"	,
	"seq"	
);
CREATE TABLE IF NOT EXISTS "sqlite_stat4" ("tbl","idx","neq","nlt","ndlt","sample");
INSERT INTO "trades" VALUES (7,1.5);
INSERT INTO "sqlite_sequence" VALUES ('trades',42);
COMMIT;
