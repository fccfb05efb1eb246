/**
 * Finds the parts of a list of tokens by its parentheses.
 *
 * @module
 */
import { type Token, tokenIs } from "./tokens.ts";

/** Index of the parenthesis that closes the one at `open`; the last index if there is none. */
export function closingParenthesis(tokens: readonly Token[], open: number): number {
  let depth = 0;
  for (let at = open; at < tokens.length; at++) {
    if (tokenIs(tokens[at], "(")) depth++;
    else if (tokenIs(tokens[at], ")") && --depth === 0) return at;
  }
  return tokens.length - 1;
}

/** Splits the tokens inside the parenthesis at `open` at its own commas. */
export function itemsOf(tokens: readonly Token[], open: number): Token[][] {
  const end = closingParenthesis(tokens, open);
  const items: Token[][] = [[]];
  for (let at = open + 1; at < end; at++) {
    if (tokenIs(tokens[at], ",")) items.push([]);
    else {
      const last = tokenIs(tokens[at], "(")
        ? Math.min(closingParenthesis(tokens, at), end - 1)
        : at;
      items.at(-1)?.push(...tokens.slice(at, last + 1));
      at = last;
    }
  }
  return items;
}

/** Tokens without outer parentheses. */
export function withoutOuterParentheses(tokens: readonly Token[]): readonly Token[] {
  const isWrapped = tokenIs(tokens[0], "(") && closingParenthesis(tokens, 0) === tokens.length - 1;
  return isWrapped && tokens.length > 2 ? withoutOuterParentheses(tokens.slice(1, -1)) : tokens;
}

/** Indexes of the tokens outside all parentheses, without the parentheses themselves. */
export function outsideParentheses(tokens: readonly Token[]): number[] {
  const found: number[] = [];
  for (let at = 0; at < tokens.length; at++) {
    if (tokenIs(tokens[at], "(")) at = closingParenthesis(tokens, at);
    else found.push(at);
  }
  return found;
}

/** Splits tokens at a word or operator outside all parentheses. */
export function splitTokens(tokens: readonly Token[], separator: string): Token[][] {
  const ends = outsideParentheses(tokens).filter((at) => tokenIs(tokens[at], separator));
  return [...ends, tokens.length].map((end, at) =>
    tokens.slice(at === 0 ? 0 : (ends[at - 1] ?? 0) + 1, end)
  );
}
