/**
 * Breaks formatted SQL into indented lines.
 *
 * @module
 */
import type { SpelledToken } from "./spelling.ts";

/** Maximum length of a line in characters before it is broken. */
const WIDTH = 100;

/** The tokens from a parenthesis or a CASE to its end. */
interface Group {
  readonly open: SpelledToken;
  readonly nodes: readonly Node[];
  readonly close: SpelledToken | undefined;
}

type Node = SpelledToken | Group;

/** Formats tokens as one line. */
export function oneLine(pieces: readonly SpelledToken[]): string {
  return pieces.map(({ text, gap }, at) => at > 0 && gap ? ` ${text}` : text).join("");
}

/**
 * Formats an expression as lines: one line if it fits and contains no query, otherwise broken at its
 * outermost AND and OR, its CASE, or its parentheses. A string literal may span several lines.
 */
export function layOut(pieces: readonly SpelledToken[], indentation = 0): string[] {
  return expression(nest(pieces), WIDTH - indentation);
}

/** Formats a SELECT, INSERT, UPDATE or DELETE as lines, one for each clause or part of a clause. */
export function layOutStatement(pieces: readonly SpelledToken[], indentation = 0): string[] {
  return statement(nest(pieces), WIDTH - indentation);
}

/** Indents lines by two spaces. */
export function indent(lines: readonly string[]): string[] {
  return lines.map((line) => `  ${line}`);
}

function nest(pieces: readonly SpelledToken[]): Node[] {
  let at = 0;
  const until = (end: string): Node[] => {
    const nodes: Node[] = [];
    for (; at < pieces.length; at++) {
      const piece = pieces[at];
      if (piece === undefined || (end !== "" && piece.key === end)) break;
      if (piece.key === "(" || piece.key === "case") {
        at++;
        const inner = until(piece.key === "(" ? ")" : "end");
        nodes.push({ open: piece, nodes: inner, close: pieces[at] });
      } else {
        nodes.push(piece);
      }
    }
    return nodes;
  };
  return until("");
}

function isGroup(node: Node | undefined): node is Group {
  return node !== undefined && "nodes" in node;
}

function keyOf(node: Node | undefined): string {
  return node === undefined || isGroup(node) ? "" : node.key;
}

function flatten(nodes: readonly Node[]): SpelledToken[] {
  return nodes.flatMap((node) =>
    isGroup(node)
      ? [node.open, ...flatten(node.nodes), ...(node.close === undefined ? [] : [node.close])]
      : [node]
  );
}

function flat(nodes: readonly Node[]): string {
  return oneLine(flatten(nodes));
}

function isQuery(group: Group): boolean {
  return group.open.key === "(" && ["select", "with", "values"].includes(keyOf(group.nodes[0]));
}

function holdsQuery(nodes: readonly Node[]): boolean {
  return nodes.some((node) => isGroup(node) && (isQuery(node) || holdsQuery(node.nodes)));
}

function fits(nodes: readonly Node[], width: number): boolean {
  return !holdsQuery(nodes) && flat(nodes).length <= width;
}

function expression(nodes: readonly Node[], width: number): string[] {
  if (fits(nodes, width)) return [flat(nodes)];
  const operands = splitLogical(nodes);
  if (operands.length > 1) return operands.flatMap((operand) => headed(operand, width));
  const groups = nodes.filter(isGroup);
  const group = groups.find((one) => holdsQuery([one])) ??
    groups.toSorted((a, b) => flat([b]).length - flat([a]).length)[0];
  if (group === undefined || group.nodes.length === 0) return [flat(nodes)];
  const at = nodes.indexOf(group);
  const rest = [...(group.close === undefined ? [] : [group.close]), ...nodes.slice(at + 1)];
  return [
    flat([...nodes.slice(0, at), group.open]),
    ...indent(content(group, width - 2)),
    ...expression(rest, width),
  ];
}

/** An operand after its AND or OR. */
function headed(operand: readonly Node[], width: number): string[] {
  const key = keyOf(operand[0]);
  if (key !== "and" && key !== "or") return expression(operand, width);
  const [first = "", ...others] = expression(operand.slice(1), width - key.length - 1);
  return [`${flat(operand.slice(0, 1))} ${first}`, ...others];
}

/** The content of a group. */
function content(group: Group, width: number): string[] {
  if (isQuery(group)) return statement(group.nodes, width);
  if (group.open.key === "case") {
    return split(group.nodes, (node) => ["when", "else"].includes(keyOf(node)))
      .flatMap((part) => expression(part, width));
  }
  return list(group.nodes, width);
}

/** Items separated by commas, each starting on a new line. */
function list(nodes: readonly Node[], width: number): string[] {
  const items = split(nodes, (_, before) => keyOf(before) === ",");
  return items.flatMap((item) => {
    const comma = keyOf(item.at(-1)) === ",";
    const lines = expression(comma ? item.slice(0, -1) : item, width - 1);
    return comma ? [...lines.slice(0, -1), `${lines.at(-1) ?? ""},`] : lines;
  });
}

function splitLogical(nodes: readonly Node[]): Node[][] {
  let between = 0;
  return split(nodes, (node) => {
    const key = keyOf(node);
    if (key === "between") between++;
    else if (key === "and" && between > 0) between--;
    else return key === "and" || key === "or";
    return false;
  });
}

function split(
  nodes: readonly Node[],
  begins: (node: Node, before: Node | undefined, at: number) => boolean,
): Node[][] {
  const parts: Node[][] = [[]];
  for (const [at, node] of nodes.entries()) {
    if (at > 0 && begins(node, nodes[at - 1], at)) parts.push([]);
    parts.at(-1)?.push(node);
  }
  return parts;
}

const CLAUSES = [
  ...["select", "from", "where", "group", "having", "order", "limit", "union", "except"],
  ...["intersect", "values", "set", "returning"],
];
const JOIN_WORDS = ["natural", "left", "right", "full", "inner", "cross", "outer", "join"];

function statement(nodes: readonly Node[], width: number): string[] {
  const clauses = split(nodes, (node, before, at) => {
    const key = keyOf(node);
    const former = keyOf(before);
    if (key === "from") return former !== "distinct" && former !== "delete";
    if (key === "on") return keyOf(nodes[at + 1]) === "conflict";
    if (JOIN_WORDS.includes(key)) return !JOIN_WORDS.includes(former) && leadsToJoin(nodes, at);
    return CLAUSES.includes(key);
  });
  return clauses.flatMap((nodes) => clause(nodes, width));
}

function leadsToJoin(nodes: readonly Node[], at: number): boolean {
  const end = nodes.findIndex((node, place) => place >= at && !JOIN_WORDS.includes(keyOf(node)));
  return keyOf(nodes[end - 1]) === "join";
}

function clause(nodes: readonly Node[], width: number): string[] {
  const key = keyOf(nodes[0]);
  const selects = key === "select" && nodes.some((node) => keyOf(node) === ",");
  if (!selects && fits(nodes, width)) return [flat(nodes)];
  if (JOIN_WORDS.includes(key)) {
    const [first = "", ...others] = expression(nodes, width - 2);
    return [first, ...indent(others)];
  }
  const head = nodes.slice(0, headLength(key, keyOf(nodes[1])));
  const body = nodes.slice(head.length);
  if (selects || body.some((node) => keyOf(node) === ",") || splitLogical(body).length > 1) {
    return [flat(head), ...indent(list(body, width - 2))];
  }
  const text = flat(head);
  const [first, ...others] = expression(body, width - text.length - 1);
  return [first === undefined || first === "" ? text : `${text} ${first}`, ...others];
}

/** Number of words before the list of a clause. */
function headLength(key: string, next: string): number {
  if (key === "group" || key === "order") return 2;
  if (key === "select") return next === "distinct" || next === "all" ? 2 : 1;
  return key === "with" && next === "recursive" ? 2 : 1;
}
