-- Adminer 4.8.1 SQLite 3 3.40.1 dump

DROP TABLE IF EXISTS "trades";
CREATE TABLE `trades` (`id` integer not null primary key autoincrement, `price` real);

INSERT INTO "trades" ("id", "price") VALUES (7,	1.5);
INSERT INTO "trades" ("id", "price") VALUES (8,	'2');

DROP TABLE IF EXISTS "sqlite_sequence";
CREATE TABLE sqlite_sequence(name,seq);

INSERT INTO "sqlite_sequence" ("name", "seq") VALUES ('trades',	'42');

-- 2024-01-01 00:00:00
