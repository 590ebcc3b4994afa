import { InvalidArgumentError } from "commander";

/** For an option whose value is a whole number. */
export function wholeNumber(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) {
    throw new InvalidArgumentError("It must be a whole number.");
  }
  return value;
}

/** For an option with few values. */
export function oneOf(...allowed: readonly string[]) {
  return (text: string) => {
    if (allowed.includes(text)) return text;
    throw new InvalidArgumentError(`It must be ${allowed.join(" or ")}.`);
  };
}
