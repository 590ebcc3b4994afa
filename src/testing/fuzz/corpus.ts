import type { FuzzTarget } from "./target.ts";

/** Where inputs are kept: a folder for each target. */
export const CORPUS = new URL("../../../tests/fuzz/corpus/", import.meta.url);

/** An input with the name of its file, which says what it is about. */
export interface KeptInput {
  readonly name: string;
  readonly input: Uint8Array;
}

/** The kept inputs of a target, in the order of their names. */
export async function readCorpus(target: string): Promise<KeptInput[]> {
  const folder = new URL(`${target}/`, CORPUS);
  const found: KeptInput[] = [];
  try {
    for await (const { name } of Deno.readDir(folder)) {
      const bytes = await Deno.readFile(new URL(name, folder));
      found.push({ name, input: name.endsWith(".hex") ? fromHex(bytes) : bytes });
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return found.sort((one, other) => one.name < other.name ? -1 : 1);
}

/** Keeps an input under a name without an ending. @returns the path of its file */
export async function keepInput(
  target: Pick<FuzzTarget, "name" | "form">,
  name: string,
  input: Uint8Array,
  folder = CORPUS,
): Promise<string> {
  const directory = new URL(`${target.name}/`, folder);
  await Deno.mkdir(directory, { recursive: true });
  const isText = target.form === "text" && isPlainText(input);
  const file = new URL(`${name}.${isText ? "txt" : "hex"}`, directory);
  await Deno.writeFile(file, isText ? input : new TextEncoder().encode(toHex(input)));
  return file.pathname;
}

/** What every tool shows as it is. */
function isPlainText(input: Uint8Array): boolean {
  return input.every((byte) => byte === 10 || (byte >= 32 && byte < 127));
}

function toHex(input: Uint8Array): string {
  return input.toHex().replace(/.{1,96}/g, "$&\n") || "\n";
}

function fromHex(text: Uint8Array): Uint8Array {
  return Uint8Array.fromHex(new TextDecoder().decode(text).replace(/\s+/g, ""));
}
