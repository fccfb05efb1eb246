import assert from "node:assert/strict";
import fc from "fast-check";
import { checksum, sqlOf } from "../../../lib/migration/migration.ts";
import { canonical, sameText } from "../../../lib/migration/migration.ts";
import { normalize } from "../../../lib/sql/tokens.ts";

const SQL = `-- what it is for
CREATE TABLE notes (
  body TEXT DEFAULT 'it''s -- no comment; /* nor this */', -- free text
  "odd--name" TEXT
);
`;

Deno.test("line endings, trailing white space, blank lines, comments and a byte-order mark are ignored", () => {
  const variants = [
    SQL.replaceAll("\n", "\r\n"),
    SQL.replaceAll("\n", "   \n\n"),
    SQL.replace("what it is for", "what else"),
    SQL.replace("-- what it is for\n", "/* other\n words */\n"),
    `\uFEFF${SQL}`,
    `${SQL}\n\n-- the end`,
    `${SQL}/* not closed`,
  ];
  for (const variant of variants) assert(sameText(SQL, variant), JSON.stringify(variant));
});

Deno.test("significant text counts, even if it looks like a comment or a blank line", () => {
  const variants = [
    SQL.replace("no comment", "a comment"),
    SQL.replace("nor this", "nor that"),
    SQL.replace("odd--name", "odd--names"),
    SQL.replace("DEFAULT", "default"),
    SQL.replace("it''s", "it''s\n\n"),
    SQL.replace("it''s", "it''s  \n"),
  ];
  for (const variant of variants) assert(!sameText(SQL, variant), JSON.stringify(variant));
  assert(!sameText("SELECT 'a\n\nb'", "SELECT 'a\nb'"));
});

Deno.test("a comment separates two words", () => {
  assert(!sameText("SELECT 1/**/2", "SELECT 12"));
});

Deno.test("texts have equal checksums exactly if their canonical texts are equal", async () => {
  const part = fc.constantFrom(
    "SELECT 1;",
    "-- note",
    "\n",
    "\r\n",
    " ",
    "'--'",
    '"/*"',
    "/* a */",
    "'",
    "x",
    '"',
    "`a\n``\nb`",
    "[c\nd]",
    "->",
    "/",
    "*/",
  );
  const text = fc.array(part, { maxLength: 8 }).map((parts) => parts.join(""));
  await fc.assert(fc.asyncProperty(text, text, async (a, b) => {
    assert.equal(sameText(a, b), await checksum(a) === await checksum(b));
    assert.equal(canonical(canonical(a)), canonical(a));
    // It has the same tokens.
    assert.equal(
      normalize(canonical(a).replaceAll("\0", "\n")),
      normalize(a.replaceAll("\r\n", "\n")),
    );
  }));
});

Deno.test("a checksum is SHA-256 in hexadecimal", async () => {
  const ofNothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
  assert.equal(await checksum(""), ofNothing);
  assert.equal(await checksum("\uFEFF-- only a comment\r\n"), ofNothing);
});

Deno.test("a function has no text", () => {
  assert.equal(sqlOf(() => {}), null);
  assert.equal(sqlOf(undefined), null);
  assert.equal(sqlOf("SELECT 1"), "SELECT 1");
});
