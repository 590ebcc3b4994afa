/** What shows a seed's run again, line by line. */
export function commandOf(seed: number): string {
  return `deno task sim --seed ${seed} --trace`;
}
