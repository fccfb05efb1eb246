/**
 * What a database's schema is, as plain data, and how two schemas differ in meaning.
 *
 * @module
 */
export { compareSchemas } from "./compare.ts";
export type { Difference } from "./difference.ts";
export * from "./model.ts";
export { readSchema, type ReadSchemaOptions } from "./read.ts";
export {
  buildReference,
  buildReferenceSteps,
  type BuiltReference,
  type BuiltSteps,
  type Reference,
  type ReferenceStep,
  type ReferenceSteps,
  type UnknownReference,
} from "./reference.ts";
export { normalize } from "./tokens.ts";
