/**
 * True when `text` fits `pattern`, in which `*` stands for any characters but a slash and `?` for
 * one of them. Takes time in proportion to the product of both lengths, whatever is in them.
 */
export function globMatches(pattern: string, text: string): boolean {
  const patterns = pattern.split("/");
  const parts = text.split("/");
  return patterns.length === parts.length &&
    patterns.every((segment, at) => segmentMatches(segment, parts[at]));
}

function segmentMatches(pattern: string, text: string): boolean {
  let at = 0;
  let of = 0;
  /** Behind the last star, and where its match ends; another star before it need not be looked at. */
  let star = -1;
  let starEnd = 0;
  while (at < text.length) {
    if (of < pattern.length && pattern[of] === "*") {
      star = ++of;
      starEnd = at;
    } else if (of < pattern.length && (pattern[of] === "?" || pattern[of] === text[at])) {
      of++;
      at++;
    } else if (star >= 0) {
      of = star;
      at = ++starEnd;
    } else {
      return false;
    }
  }
  while (pattern[of] === "*") of++;
  return of === pattern.length;
}
