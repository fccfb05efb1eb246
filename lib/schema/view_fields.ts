import {
  type Field,
  type FieldKind,
  type FieldValue,
  kindOf,
  outer,
  readComments,
  split,
  unwrapped,
} from "./fields.ts";
import type { ViewSchema } from "./model.ts";
import { closing, fold, is, type Token, tokenize } from "../sql/tokens.ts";

/** A table or view in a FROM. */
interface Source {
  /** Name that qualifies its columns, in lower case. */
  readonly alias: string;
  readonly fields: readonly Field[];
  /** Whether an outer join may produce no row for it. */
  readonly isOptional: boolean;
}

const UNKNOWN: FieldValue = { kind: "any", values: null, nullable: true };
const COMPOUND = ["union", "intersect", "except"];
const AGGREGATES = /^(count|sum|total|avg|min|max|group_concat|string_agg|json_group_\w+)$/;
const AFTER_FROM = ["where", "group", "having", "window", "order", "limit"];
const AFTER_SOURCE = [
  ...["on", "using", "join", "left", "right", "full", "inner", "cross", "natural", "outer", ","],
  ...["indexed", "not"],
];
const RESULTS: readonly [RegExp, FieldKind][] = [
  [/^(date|time|datetime|strftime|lower|upper|l?trim|rtrim|substr(ing)?|replace)$/, "text"],
  [/^(hex|quote|printf|format|typeof|group_concat|string_agg|concat|json_\w+)$/, "text"],
  [/^(count|length|unixepoch|sign|instr)$/, "integer"],
  [/^(avg|total|julianday)$/, "real"],
  [/^(sum|abs|round)$/, "number"],
];

/**
 * Derives the columns of views from their SQL, because SQLite only provides their names. A column that
 * cannot be derived, such as that of a UNION, can be any value or NULL.
 */
export class ViewReader {
  readonly #views: ReadonlyMap<string, ViewSchema>;
  readonly #known: Map<string, readonly Field[]>;

  /** @param tables The columns of the tables by folded name. */
  constructor(views: readonly ViewSchema[], tables: ReadonlyMap<string, readonly Field[]>) {
    this.#views = new Map(views.map((view) => [fold(view.name), view]));
    this.#known = new Map(tables);
  }

  /** The columns of a view. */
  read(view: ViewSchema): readonly Field[] {
    const key = fold(view.name);
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const unknown = view.columns.map((name) => fieldOf(name, UNKNOWN));
    this.#known.set(key, unknown); // prevents endless recursion for a view that reads itself
    const fields = this.#read(view) ?? unknown;
    this.#known.set(key, fields);
    return fields;
  }

  #read({ sql, columns }: ViewSchema): Field[] | null {
    const all = tokenize(sql);
    const as = outer(all).find((at) => is(all[at], "as"));
    const tokens = as === undefined ? [] : all.slice(as + 1);
    const places = outer(tokens);
    if (!is(tokens[0], "select") || places.some((at) => is(tokens[at], ...COMPOUND))) return null;
    const from = places.find((at) => is(tokens[at], "from")) ?? tokens.length;
    const end = places.find((at) => at > from && is(tokens[at], ...AFTER_FROM)) ?? tokens.length;
    const results = split(tokens.slice(is(tokens[1], "distinct", "all") ? 2 : 1, from), ",");
    const sources = this.#sources(tokens.slice(from + 1, end));
    if (sources === null) return null;
    const isGrouped = places.some((at) => is(tokens[at], "group"));
    const reader = new ExpressionReader(sources, {
      // Without GROUP BY an aggregate returns one row even for no rows, and its other columns are NULL.
      mayLackRow: !isGrouped &&
        tokens.slice(0, from).some((token, at) =>
          AGGREGATES.test(token.value) && is(tokens[at + 1], "(")
        ),
    });
    const values = results.flatMap((result, place): (FieldValue & { readonly place: number })[] =>
      reader.result(result).map((value) => ({ ...value, place }))
    );
    if (values.length !== columns.length) return null;
    const items = results.map((result, place) => ({ name: String(place), tokens: result }));
    const { byName: comments } = readComments(sql, items);
    return columns.map((name, at) => {
      const { place, ...value } = values[at] ?? { ...UNKNOWN, place: -1 };
      return { ...fieldOf(name, value), meaning: comments.get(String(place)) ?? null };
    });
  }

  /** The tables and views that a FROM names; null if one of them is unknown or a function. */
  #sources(tokens: readonly Token[]): Source[] | null {
    const found: Source[] = [];
    const places = outer(tokens);
    const isOuter = places.some((at) => is(tokens[at], "right", "full"));
    const starts = places.filter((at) => at === 0 || is(tokens[at - 1], ",", "join"));
    for (const start of starts) {
      const at = is(tokens[start + 1], ".") ? start + 2 : start;
      const name = tokens[at];
      if (name === undefined || is(tokens[at + 1], "(")) return null;
      const view = this.#views.get(fold(name.value));
      const fields = view === undefined ? this.#known.get(fold(name.value)) : this.read(view);
      if (fields === undefined) return null;
      const next = is(tokens[at + 1], "as") ? tokens[at + 2] : tokens[at + 1];
      const alias = next === undefined || is(next, ...AFTER_SOURCE) ? name : next;
      const isLeft = is(tokens[start - 2], "left") || is(tokens[start - 3], "left");
      found.push({ alias: fold(alias.value), fields, isOptional: isOuter || isLeft });
    }
    return found;
  }
}

function fieldOf(name: string, value: FieldValue): Field {
  return { name, ...value, optional: false, readOnly: true, meaning: null };
}

/** Derives the types of a SELECT's expressions. */
class ExpressionReader {
  readonly #sources: readonly Source[];
  readonly #mayLackRow: boolean;

  constructor(sources: readonly Source[], options: { readonly mayLackRow: boolean }) {
    this.#sources = sources;
    this.#mayLackRow = options.mayLackRow;
  }

  /** The columns of one result expression: several for a `*`. */
  result(tokens: readonly Token[]): FieldValue[] {
    if (is(tokens.at(-1), "*") && (tokens.length === 1 || tokens.length === 3)) {
      const alias = tokens.length === 3 ? fold(tokens[0]?.value ?? "") : null;
      return this.#sources.filter((source) => alias === null || source.alias === alias)
        .flatMap((source) => source.fields.map((field) => this.#column(field, source)));
    }
    return [this.#expression(withoutAlias(tokens))];
  }

  #column({ kind, values, nullable }: Field, { isOptional }: Source): FieldValue {
    return { kind, values, nullable: nullable || isOptional || this.#mayLackRow };
  }

  #expression(wrapped: readonly Token[]): FieldValue {
    const tokens = unwrapped(wrapped);
    const [first, second] = tokens;
    if (first === undefined) return UNKNOWN;
    if (tokens.length === 1 && first.kind === "string") {
      return { kind: "text", values: [first.value], nullable: false };
    }
    if (tokens.length === 1 && first.kind === "number") {
      return /^\d+$/.test(first.value)
        ? { kind: "integer", values: [Number(first.value)], nullable: false }
        : known("real", false);
    }
    if (is(first, "case") && is(tokens.at(-1), "end")) return this.#case(tokens.slice(1, -1));
    const isName = first.kind === "word" || first.kind === "quoted";
    if (isName && tokens.length === 1) return this.#named(first);
    if (isName && tokens.length === 3 && is(second, ".")) return this.#named(tokens[2], first);
    if (is(second, "(") && first.kind === "word" && closing(tokens, 1) === tokens.length - 1) {
      return this.#call(first.value, tokens.slice(2, -1));
    }
    const operators = outer(tokens).map((at) => tokens[at]);
    if (operators.some((token) => token?.kind === "word" && OTHER.includes(token.value))) {
      return UNKNOWN;
    }
    if (operators.some((token) => is(token, ...COMPARISONS))) return known("integer");
    if (operators.some((token) => is(token, "||"))) return known("text");
    return operators.some((token) => is(token, "+", "-", "*", "/", "%"))
      ? known("number")
      : UNKNOWN;
  }

  #named(name: Token | undefined, qualifier?: Token): FieldValue {
    const matches = this.#sources.flatMap((source) => {
      if (qualifier !== undefined && source.alias !== fold(qualifier.value)) return [];
      const field = source.fields.find((one) => fold(one.name) === fold(name?.value ?? ""));
      return field === undefined ? [] : [this.#column(field, source)];
    });
    const [only, ...others] = matches;
    return only === undefined || others.length > 0 ? UNKNOWN : only;
  }

  #case(tokens: readonly Token[]): FieldValue {
    const places = outer(tokens);
    if (places.some((at) => is(tokens[at], "case"))) return UNKNOWN;
    const starts = places.filter((at) => is(tokens[at], "then", "else"));
    const values = starts.map((start) => {
      const end = places.find((at) => at > start && is(tokens[at], "when", "else"));
      return this.#expression(tokens.slice(start + 1, end));
    });
    const hasElse = places.some((at) => is(tokens[at], "else"));
    return oneOf(values, !hasElse || values.some(({ nullable }) => nullable));
  }

  #call(name: string, argument: readonly Token[]): FieldValue {
    if (name === "cast") {
      const as = outer(argument).findLast((at) => is(argument[at], "as")) ?? argument.length;
      const type = argument.slice(as + 1).map((token) => token.text).join(" ");
      return known(kindOf(type), this.#expression(argument.slice(0, as)).nullable);
    }
    const values = split(argument, ",").map((part) => this.#expression(part));
    const [first = UNKNOWN] = values;
    if (name === "min" || name === "max") {
      return values.length === 1 ? { ...first, nullable: true } : UNKNOWN;
    }
    if (name === "coalesce" || name === "ifnull") {
      return oneOf(values, values.every(({ nullable }) => nullable));
    }
    const result = RESULTS.find(([names]) => names.test(name));
    return result === undefined ? UNKNOWN : known(result[1], !["count", "total"].includes(name));
  }
}

const OTHER = ["case", "over", "filter", "select", "and", "or", "not", "in", "between", "collate"];
const COMPARISONS = ["=", "<>", "<", ">", "<=", ">="];

function known(kind: FieldKind, nullable = true): FieldValue {
  return { kind, values: null, nullable };
}

/** The type of a value that is one of several. */
function oneOf(values: readonly FieldValue[], nullable: boolean): FieldValue {
  const kinds = new Set(values.map(({ kind }) => kind));
  const [kind = "any"] = kinds;
  const isNumber = [...kinds].every((one) => ["integer", "real", "number"].includes(one));
  const lists = values.flatMap((value) => value.values === null ? [] : [value.values]);
  return {
    kind: kinds.size === 1 ? kind : isNumber ? "number" : "any",
    values: lists.length === values.length ? [...new Set(lists.flat())] : null,
    nullable,
  };
}

function withoutAlias(tokens: readonly Token[]): readonly Token[] {
  if (is(tokens.at(-2), "as")) return tokens.slice(0, -2);
  const last = tokens.at(-1);
  const before = tokens.at(-2);
  const isAlias = (last?.kind === "word" || last?.kind === "quoted") && before !== undefined &&
    (is(before, ")") || before.kind !== "operator") && !is(last, "end", "null");
  return isAlias ? tokens.slice(0, -1) : tokens;
}
