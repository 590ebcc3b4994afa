/**
 * A command that may be run, argument by argument. In an argument `{number}` stands for digits,
 * `{name}` for letters, digits and `._-`, `{path}` for an absolute path without comma that has to lie
 * in an allowed folder. A last argument `{...}` stands for any further ones.
 */
export type LaunchTemplate = readonly string[];

export const ANY_MORE = "{...}";
const PLACEHOLDERS: Readonly<Record<string, string>> = {
  "{number}": "\\d{1,18}",
  "{name}": "[A-Za-z0-9][A-Za-z0-9._-]{0,127}",
  "{path}": "(/[^,\\0\\n]{0,4095})",
};

/** What is wrong with a template; null when nothing is. */
export function templateProblem(template: LaunchTemplate): string | null {
  const more = template.indexOf(ANY_MORE);
  if (more >= 0 && more !== template.length - 1) return `${ANY_MORE} can only stand at the end`;
  if (template[0].includes("{")) return "the program has to be named";
  for (const argument of template) {
    if (argument === ANY_MORE) continue;
    const unknown = (argument.match(/\{[^}]*\}?/g) ?? []).find((found) => !(found in PLACEHOLDERS));
    if (unknown !== undefined) return `${unknown} stands for nothing`;
  }
  return null;
}

/**
 * Compares a command with a template.
 *
 * @returns the paths that it names by `{path}`, for the caller to judge; null where it does not fit
 */
export function matchTemplate(template: LaunchTemplate, argv: readonly string[]): string[] | null {
  const hasMore = template.at(-1) === ANY_MORE;
  const fixed = hasMore ? template.slice(0, -1) : template;
  if (hasMore ? argv.length < fixed.length : argv.length !== fixed.length) return null;
  const paths: string[] = [];
  for (const [at, argument] of fixed.entries()) {
    const match = patternOf(argument).exec(argv[at]);
    if (match === null) return null;
    paths.push(...match.slice(1));
  }
  return paths;
}

function patternOf(argument: string): RegExp {
  const parts = argument.split(/(\{[^}]*\})/).map((part) =>
    PLACEHOLDERS[part] ?? part.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&")
  );
  return new RegExp(`^${parts.join("")}$`, "s");
}
