import assert from "node:assert/strict";
import fc from "fast-check";
import { CsvReader, type CsvRecord } from "../../../lib/dump/import_csv.ts";

/** All records of a text that arrives in these pieces; unquoted fields are shown in brackets. */
function read(...pieces: string[]): CsvRecord[] {
  const reader = new CsvReader();
  return [...pieces.flatMap((piece) => reader.push(piece)), ...reader.end()];
}

function fieldsOf(...pieces: string[]): string[][] {
  return read(...pieces).map(({ fields, quoted }) =>
    fields.map((field, index) => quoted[index] ? field : `[${field}]`)
  );
}

Deno.test("CSV fields with and without quotes are distinguished", () => {
  assert.deepEqual(fieldsOf('a,b,c\n1,"1",\n"",,"x""y"\n'), [
    ["[a]", "[b]", "[c]"],
    ["[1]", "1", "[]"],
    ["", "[]", 'x"y'],
  ]);
});

Deno.test("CSV lines end in LF or CRLF; the last line may have no line break", () => {
  const expected = [["[a]", "[b]"], ["[1]", "2"], ["3", "[4]"]];
  assert.deepEqual(fieldsOf('a,b\n1,"2"\n"3",4'), expected);
  assert.deepEqual(fieldsOf('a,b\r\n1,"2"\r\n"3",4\r\n'), expected);
  assert.deepEqual(fieldsOf('a,b\r\n1,"2"\r', '\n"3",4\r'), expected);
});

Deno.test("a quoted CSV field keeps line breaks and delimiters, and lines are counted", () => {
  const records = read('a,b\n"x\r\ny\n",1\n2,"p,q"\n3,4\n');
  assert.deepEqual(records.map(({ line }) => line), [1, 2, 5, 6]);
  assert.deepEqual(records[1]?.fields, ["x\r\ny\n", "1"]);
  assert.equal(records[1]?.text, '"x\r\ny\n",1');
  assert.deepEqual(records[2]?.fields, ["2", "p,q"]);
});

Deno.test("the first line of a CSV text shows its delimiter", () => {
  assert.deepEqual(fieldsOf("a;b\n1,5;2\n")[1], ["[1,5]", "[2]"]);
  assert.deepEqual(fieldsOf("a\tb\n1,5\t2\n")[1], ["[1,5]", "[2]"]);
  assert.deepEqual(fieldsOf('"x;y;z",b\n1,2\n')[1], ["[1]", "[2]"]);
  assert.deepEqual(fieldsOf("a\n1;2\n")[1], ["[1;2]"]);
});

Deno.test("text after a closing quote makes a bad record, and the next line is read normally", () => {
  const [, bad, good] = read('a,b\n"x"y,1\n2,3\n');
  assert.equal(bad?.problem, 'unexpected text after a closing double quote: "y"');
  assert.equal(bad?.text, '"x"y,1');
  assert.deepEqual(good?.fields, ["2", "3"]);
  assert.equal(
    read('a,b\n"x"\r,1\n')[1]?.problem,
    'unexpected text after a closing double quote: "\\r"',
  );
});

Deno.test("an unclosed quote is reported with the line of its row", () => {
  assert.throws(
    () => read('a,b\n1,2\n3,"x\ny\n'),
    (error: Error & { place?: { line?: number } }) => {
      assert.match(error.message, /never closed/);
      return error.place?.line === 3;
    },
  );
});

Deno.test("an empty CSV text has no records, and an empty line is one", () => {
  assert.deepEqual(read(), []);
  assert.deepEqual(read(""), []);
  assert.deepEqual(fieldsOf("a\n\n1\n"), [["[a]"], ["[]"], ["[1]"]]);
});

Deno.test("CSV text gives the same records in pieces of any size", () => {
  const field = fc.oneof(
    fc.string({ unit: fc.constantFrom("a", "1", " ", ";", "'") }).map((text) => ({
      text,
      bare: true,
    })),
    fc.string({ unit: fc.constantFrom("a", '"', ",", "\n", "\r", "é", "😀", "\0") })
      .map((text) => ({ text, bare: false })),
  );
  const table = fc.array(fc.array(field, { minLength: 2, maxLength: 4 }), { maxLength: 6 });
  fc.assert(
    fc.property(table, fc.constantFrom("\n", "\r\n"), fc.boolean(), fc.infiniteStream(fc.nat(7)), (
      rows,
      end,
      hasEnd,
      sizes,
    ) => {
      const lines = rows.map((row) =>
        row.map(({ text, bare }) => bare ? text : `"${text.replaceAll('"', '""')}"`).join(",")
      );
      const csv = ["a,b,c,d,e,f,g,h,i,j", ...lines].join(end) + (hasEnd ? end : "");
      const pieces: string[] = [];
      for (let at = 0; at < csv.length;) {
        const size = sizes.next().value ?? 1;
        pieces.push(csv.slice(at, at + size));
        at += size;
      }
      const records = read(...pieces);
      assert.deepEqual(
        records.slice(1).map(({ fields, quoted }) =>
          fields.map((text, index) => ({ text, bare: !quoted[index] }))
        ),
        rows,
      );
      assert.deepEqual(records, read(csv));
      assert(records.every(({ problem }) => problem === null));
    }),
  );
});

Deno.test("the time for a long CSV row in many pieces is proportional to its length", () => {
  const reader = new CsvReader();
  reader.push('a,b\n1,"');
  const piece = "x".repeat(64 * 1024);
  // If every piece were scanned again, this would be 50 GB.
  for (let count = 0; count < 1280; count++) assert.deepEqual(reader.push(piece), []);
  const [record] = [...reader.push('"\n'), ...reader.end()];
  assert.equal(record?.fields[1]?.length, 1280 * piece.length);
});
