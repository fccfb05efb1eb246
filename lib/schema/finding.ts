/** What is wrong with a database, or worth knowing of it. */
export interface Finding {
  /** What sort it is: `missing`, `different` or `extra` of the schema, or the name of a data check. */
  readonly kind: string;
  /** What it is about, such as `orders` or `orders.side`. */
  readonly object: string;
  /** What is the case, in plain words. */
  readonly detail: string;
  /** What to do. */
  readonly fix: string;
}
