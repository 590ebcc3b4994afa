/**
 * Instead of Preact's own types, which bring those of a browser with them: they would be mixed with
 * the runtime's in all of the project. What uses Preact is JavaScript and needs none.
 */
declare const untyped: unknown;
export default untyped;
