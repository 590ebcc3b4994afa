/** No more than this many mistakes are named at once. */
const PROBLEMS_SHOWN_MAX = 5;
/** A name that somebody made up is shown as far as this. */
const NAME_SHOWN_MAX = 60;

/** What is wrong with an input, as one text: the first few mistakes, and how many there are more. */
export function problemList(problems: readonly string[]): string {
  const more = problems.length - PROBLEMS_SHOWN_MAX;
  const list = problems.slice(0, PROBLEMS_SHOWN_MAX).join("; ");
  return more > 0 ? `${list}; and ${more} more` : list;
}

/** Names out of an input, the first few of them and not all of a long one. */
export function nameList(names: readonly string[]): string {
  const more = names.length - PROBLEMS_SHOWN_MAX;
  const list = names.slice(0, PROBLEMS_SHOWN_MAX).map(shownName).join(", ");
  return more > 0 ? `${list} and ${more} more` : list;
}

/** A name out of an input, cut where it is long. */
export function shownName(name: string): string {
  return name.length <= NAME_SHOWN_MAX ? name : `${name.slice(0, NAME_SHOWN_MAX)}…`;
}
