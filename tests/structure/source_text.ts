/** What a source says without its comments (strings kept), and without both. Offsets stay the same. */
export interface StrippedSource {
  readonly withoutComments: string;
  readonly codeOnly: string;
}

/** One import or re-export of a module. */
export interface Import {
  readonly specifier: string;
  /** Names taken by `{ … }`, as the other module calls them; empty for all other forms. */
  readonly names: readonly string[];
  /** Nothing of it is left at run time. */
  readonly typeOnly: boolean;
  readonly offset: number;
}

/** After these a slash begins a regular expression, otherwise it divides. */
const BEFORE_REGEXP = /(?:^|[=(,:;!&|?{}[+\-*%<>~^]|\b(?:return|typeof|case|of|in|yield|await))$/;

/**
 * Replaces comments, and in `codeOnly` the contents of strings and regular expressions, by spaces.
 * Expressions inside template strings stay. Knows as much of the language as this project's sources
 * use, not JSX.
 */
export function stripSource(text: string): StrippedSource {
  // Single UTF-16 units, so that offsets are those of the text.
  const commentless = text.split("");
  const code = text.split("");
  const blank = (target: string[], from: number, to: number) => {
    for (let at = from; at < to; at++) if (target[at] !== "\n") target[at] = " ";
  };
  /** Depths of braces at which a template's expression ends. */
  const templates: number[] = [];
  let depth = 0;
  let before = "";
  for (let at = 0; at < text.length;) {
    const two = text.slice(at, at + 2);
    const start = at;
    if (two === "//" || two === "/*") {
      const end = two === "//" ? text.indexOf("\n", at) : text.indexOf("*/", at + 2) + 2;
      at = end < at ? text.length : end;
      blank(commentless, start, at);
      blank(code, start, at);
      continue;
    }
    const character = text[at];
    if (character === '"' || character === "'") {
      at = endOfString(text, at, character);
      blank(code, start + 1, at - 1);
    } else if (character === "`" || (character === "}" && templates.at(-1) === depth)) {
      if (character === "}") templates.pop();
      const { end, opensExpression } = endOfTemplatePart(text, at + 1);
      blank(code, start + 1, opensExpression ? end - 2 : end - 1);
      at = end;
      if (opensExpression) templates.push(depth);
    } else if (character === "/" && BEFORE_REGEXP.test(before)) {
      at = endOfRegExp(text, at);
      blank(code, start + 1, at - 1);
    } else {
      if (character === "{") depth++;
      if (character === "}") depth--;
      at++;
      if (/\s/.test(character)) continue;
    }
    before = (before + text.slice(start, at)).slice(-10);
  }
  return { withoutComments: commentless.join(""), codeOnly: code.join("") };
}

/** The imports of a module, static and dynamic ones with a literal specifier. */
export function importsOf(text: string): Import[] {
  const { withoutComments, codeOnly } = stripSource(text);
  const found: Import[] = [];
  const statement =
    /^(import|export)\s+(?:(type)\s+)?((?:[\w*$]+(?:\s+as\s+\w+)?\s*,?\s*)?(?:\{[^}]*\}|\*\s+as\s+\w+)?)\s*(?:\bfrom\s+)?"([^"\n]+)"/gm;
  for (const match of withoutComments.matchAll(statement)) {
    const [, , type, names, specifier] = match;
    const braces = /\{([^}]*)\}/.exec(names)?.[1] ?? "";
    const listed = braces.split(",").map((name) => name.trim()).filter((name) => name !== "");
    const typeOnly = type !== undefined ||
      (names.trim().startsWith("{") && listed.length > 0 &&
        listed.every((name) => name.startsWith("type ")));
    found.push({
      specifier,
      names: listed.map((name) => name.replace(/^type /, "").replace(/\s+as\s.*$/, "")),
      typeOnly,
      offset: match.index,
    });
  }
  for (const match of withoutComments.matchAll(/\bimport\(\s*"([^"\n]+)"/g)) {
    if (!codeOnly.startsWith("import(", match.index)) continue;
    found.push({ specifier: match[1], names: [], typeOnly: false, offset: match.index });
  }
  return found.sort((left, right) => left.offset - right.offset);
}

function endOfString(text: string, start: number, quote: string): number {
  let at = start + 1;
  while (at < text.length && text[at] !== quote) at += text[at] === "\\" ? 2 : 1;
  return at + 1;
}

function endOfTemplatePart(text: string, start: number): { end: number; opensExpression: boolean } {
  let at = start;
  while (at < text.length) {
    if (text[at] === "`") return { end: at + 1, opensExpression: false };
    if (text.startsWith("${", at)) return { end: at + 2, opensExpression: true };
    at += text[at] === "\\" ? 2 : 1;
  }
  return { end: at, opensExpression: false };
}

function endOfRegExp(text: string, start: number): number {
  let inClass = false;
  let at = start + 1;
  for (; at < text.length && (inClass || text[at] !== "/"); at++) {
    if (text[at] === "\\") at++;
    else if (text[at] === "[") inClass = true;
    else if (text[at] === "]") inClass = false;
  }
  return at + 1;
}
