import type { ErrorEntry } from "./errors.ts";

/**
 * Every expected failure by its code, in alphabetical order. `docs/errors.md` is rendered from this
 * table and a test compares the two.
 */
export const ERRORS = {
  config_invalid: {
    retry: "never",
    httpStatus: 500,
    meaning: "The site's configuration file cannot be used; the message names file and field.",
  },
  frame_invalid: {
    retry: "never",
    httpStatus: 502,
    meaning: "The peer sent a frame that the protocol does not allow.",
  },
  frame_too_long: {
    retry: "never",
    httpStatus: 502,
    meaning: "The peer announced a frame longer than the protocol's limit.",
  },
  internal: {
    retry: "never",
    httpStatus: 500,
    meaning: "A defect in the gateway itself.",
  },
} as const satisfies Record<string, ErrorEntry>;
