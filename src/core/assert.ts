/** A broken invariant: it stops the migration it happened in, nobody catches it to carry on. */
export class InvariantError extends Error {
  override readonly name = "InvariantError";
}

/** States what must hold here whatever the input; stays on in production. */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new InvariantError(message);
}
