CREATE TABLE orders (id INTEGER PRIMARY KEY AUTOINCREMENT, note TEXT, price REAL);
CREATE TABLE sqlite_sequence(name,seq);
CREATE TABLE trades (id INTEGER PRIMARY KEY AUTOINCREMENT, order_id INTEGER REFERENCES orders(id), b BLOB);
CREATE INDEX trades_order ON trades(order_id);
CREATE VIEW v AS SELECT * FROM orders
/* v(id,note,price) */;
CREATE TRIGGER tr AFTER INSERT ON trades BEGIN SELECT 1; SELECT 2; END;
CREATE VIRTUAL TABLE notes USING fts5(body)
/* notes(body) */;
CREATE TABLE IF NOT EXISTS 'notes_data'(id INTEGER PRIMARY KEY, block BLOB);
CREATE TABLE IF NOT EXISTS 'notes_idx'(segid, term, pgno, PRIMARY KEY(segid, term)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS 'notes_content'(id INTEGER PRIMARY KEY, c0);
CREATE TABLE IF NOT EXISTS 'notes_docsize'(id INTEGER PRIMARY KEY, sz BLOB);
CREATE TABLE IF NOT EXISTS 'notes_config'(k PRIMARY KEY, v) WITHOUT ROWID;
CREATE VIRTUAL TABLE boxes USING rtree(id, x0, x1)
/* boxes(id,x0,x1) */;
CREATE TABLE IF NOT EXISTS "boxes_rowid"(rowid INTEGER PRIMARY KEY,nodeno);
CREATE TABLE IF NOT EXISTS "boxes_node"(nodeno INTEGER PRIMARY KEY,data);
CREATE TABLE IF NOT EXISTS "boxes_parent"(nodeno INTEGER PRIMARY KEY,parentnode);
CREATE TABLE wr (a TEXT PRIMARY KEY, b) WITHOUT ROWID;
CREATE TABLE sqlite_stat1(tbl,idx,stat);
