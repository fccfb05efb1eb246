import assert from "node:assert/strict";
import fc from "fast-check";
import { normalize, tokenize } from "../../../lib/sql/tokens.ts";

Deno.test("the tokens of a text cover everything except white space and comments", () => {
  const sql =
    `CREATE/* c */TABLE "a ""b" (x'0F', 'it''s; --', [c d], \`e\`, 1.5e-3, a->>'$.b') -- end`;
  assert.deepEqual(tokenize(sql).map(({ kind, value }) => `${kind} ${value}`), [
    ...["word create", "word table", 'quoted a "b', "operator (", "blob x'0f'", "operator ,"],
    ...["string it's; --", "operator ,", "quoted c d", "operator ,", "quoted e", "operator ,"],
    ...["number 1.5e-3", "operator ,", "word a", "operator ->>", "string $.b", "operator )"],
  ]);
  for (const token of tokenize(sql)) assert.equal(sql.slice(token.start, token.end), token.text);
});

Deno.test("normalizing keeps everything significant", () => {
  const same = (a: string, b: string) => assert.equal(normalize(a), normalize(b), `${a} | ${b}`);
  const other = (a: string, b: string) =>
    assert.notEqual(normalize(a), normalize(b), `${a} | ${b}`);
  same("SELECT a==b, c<>d;", 'select A = B , [c] != "D" ; ;');
  same("a/**/b--\n c", "a b c");
  other("'Long'", "'long'");
  other("a b", "ab");
  other('"null"', "null");
  other('"a b"', "a b");
  other("é", "É");
});

Deno.test("a long text, an unclosed comment and an empty text are read", () => {
  const long = `'${"it''s ".repeat(200_000)}'`;
  assert.equal(tokenize(long).length, 1);
  assert.equal(tokenize(`"${'""'.repeat(200_000)}"`).length, 1);
  assert.equal(normalize("a /* open"), "a");
  assert.equal(normalize(""), "");
});

const PLAIN = ["price", "side", "a1", "_x"];
const gap = fc.constantFrom(" ", "\n\t", " /* ; ' \" */ ", " -- it's\n", "  ");
const atom = fc.oneof(
  fc.constantFrom("SELECT", "FROM", "(", ")", ",", "+", "<=", "||", "1.5", ".5", "x'AB'", "->>"),
  fc.string({ maxLength: 6 }).map((text) => `'${text.replaceAll("'", "''")}'`),
  fc.constantFrom(...PLAIN),
  fc.constantFrom("=", "!="),
);

/** Another spelling of the same token. */
function respell(token: string, way: number): string {
  if (PLAIN.includes(token)) {
    return [token, token.toUpperCase(), `"${token}"`, `[${token}]`, `\`${token}\``][way % 5] ??
      token;
  }
  if (token === "=") return way % 2 === 0 ? "=" : "==";
  if (token === "!=") return way % 2 === 0 ? "!=" : "<>";
  return /^[A-Z]/.test(token) && way % 2 === 0 ? token.toLowerCase() : token;
}

Deno.test("normalizing ignores white space, comments, case and quotes around names", () => {
  const texts = fc.array(fc.tuple(atom, gap, gap, fc.nat(20)), { minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(texts, (pieces) => {
      const first = pieces.map(([token, space]) => token + space).join("");
      const second = pieces.map(([token, , space, way]) => respell(token, way) + space).join("");
      assert.equal(normalize(first), normalize(second));
      assert.equal(normalize(normalize(first)), normalize(first));
    }),
    { numRuns: 300 },
  );
});
