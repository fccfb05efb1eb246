CREATE TABLE orders (id INTEGER PRIMARY KEY AUTOINCREMENT, note TEXT, price REAL);
INSERT INTO orders(note, price) VALUES('two
lines', 1.5),('tab	and cr'||char(13)||char(10)||'x', 9e999),('nul'||char(0)||'x', -9e999),('esc'||char(27)||'[31m', -0.0),('é "q" ''s''', 1e300);
DELETE FROM orders WHERE id=5;
CREATE TABLE trades (id INTEGER PRIMARY KEY AUTOINCREMENT, order_id INTEGER REFERENCES orders(id), b BLOB);
INSERT INTO trades VALUES(10, 1, x'00ff'),(9223372036854775807, NULL, NULL);
CREATE INDEX trades_order ON trades(order_id);
CREATE VIEW v AS SELECT * FROM orders;
CREATE TRIGGER tr AFTER INSERT ON trades BEGIN SELECT 1; SELECT 2; END;
CREATE VIRTUAL TABLE notes USING fts5(body);
INSERT INTO notes VALUES('hello world'),('second');
CREATE VIRTUAL TABLE boxes USING rtree(id, x0, x1);
INSERT INTO boxes VALUES(1, 0, 1),(2, 3, 4);
CREATE TABLE wr (a TEXT PRIMARY KEY, b) WITHOUT ROWID; INSERT INTO wr VALUES('k', 1);
ANALYZE;
PRAGMA user_version=7;
