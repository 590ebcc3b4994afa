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
  destination_failed: {
    retry: "never",
    httpStatus: 502,
    meaning:
      "The destination could not go on (its disk, its QEMU); the machine runs at the source.",
  },
  destination_not_registered: {
    retry: "never",
    httpStatus: 409,
    meaning: "The peer has no guest of this id registered as incoming.",
    preflight: true,
  },
  disk_full: {
    retry: "never",
    httpStatus: 507,
    meaning: "The storage behind a disk has no space left.",
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
  gateway_restarted: {
    retry: "reconnect",
    httpStatus: 503,
    meaning: "This gateway restarted in the middle of a move; the machine runs at the source.",
  },
  guest_exists: {
    retry: "never",
    httpStatus: 409,
    meaning: "A guest of this id is registered already with another definition.",
  },
  guest_moving: {
    retry: "never",
    httpStatus: 409,
    meaning: "The guest is part of a migration that has not ended.",
  },
  guest_not_source: {
    retry: "never",
    httpStatus: 409,
    meaning: "The guest does not run at this site, so it cannot leave it.",
  },
  guest_unknown: {
    retry: "never",
    httpStatus: 404,
    meaning: "No guest of this id is registered at this site.",
  },
  handover_refused: {
    retry: "never",
    httpStatus: 502,
    meaning: "The destination refused to take the machine over; it runs at the source.",
  },
  internal: {
    retry: "never",
    httpStatus: 500,
    meaning: "A defect in the gateway itself.",
  },
  ledger_unusable: {
    retry: "never",
    httpStatus: 500,
    meaning: "The ledger cannot be opened: unreadable, read-only or made by a newer gateway.",
  },
  ledger_write_failed: {
    retry: "never",
    httpStatus: 500,
    meaning: "A decision could not be recorded, so its effect did not happen.",
  },
  link_silent: {
    retry: "reconnect",
    httpStatus: 503,
    meaning: "The link was silent for too long during the switch, which was undone.",
  },
  migration_state: {
    retry: "never",
    httpStatus: 409,
    meaning: "The migration is in a state that does not allow this action.",
  },
  migration_unknown: {
    retry: "never",
    httpStatus: 404,
    meaning: "No migration of this id is known here.",
  },
  nbd_disconnected: {
    retry: "reconnect",
    httpStatus: 502,
    meaning: "The connection to an NBD server was lost or could not be made.",
  },
  nbd_io_error: {
    retry: "never",
    httpStatus: 502,
    meaning: "An NBD server could not read or write its disk; the message has error and offset.",
  },
  nbd_protocol: {
    retry: "never",
    httpStatus: 502,
    meaning: "An NBD peer sent what the protocol does not allow.",
  },
  nbd_refused: {
    retry: "never",
    httpStatus: 502,
    meaning: "An NBD server does not offer the export or what is asked of it.",
  },
  offer_stale: {
    retry: "never",
    httpStatus: 409,
    meaning: "The offer carries an epoch that this site has already seen decided.",
    preflight: true,
  },
  peer_restarted: {
    retry: "reconnect",
    httpStatus: 503,
    meaning: "The peer gateway restarted in the middle of a move; the machine runs at the source.",
  },
  peer_unknown: {
    retry: "never",
    httpStatus: 404,
    meaning: "No peer of this name is trusted by this site.",
  },
  peer_unreachable: {
    retry: "reconnect",
    httpStatus: 503,
    meaning: "The peer did not answer within the time limit.",
  },
  preflight_mismatch: {
    retry: "never",
    httpStatus: 409,
    meaning: "Source and destination machine differ in a way that a move cannot survive.",
    preflight: true,
  },
  request_invalid: {
    retry: "never",
    httpStatus: 422,
    meaning: "The request does not fit the API; the message names the field.",
  },
  rollback_not_possible: {
    retry: "never",
    httpStatus: 409,
    meaning: "There is no way back for this migration; the message names the reason.",
  },
  strategy_not_available: {
    retry: "never",
    httpStatus: 422,
    meaning: "The strategy is unknown to this version.",
  },
} as const satisfies Record<string, ErrorEntry>;
