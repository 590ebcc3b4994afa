import type { ErrorEntry } from "./errors.ts";

/**
 * Every expected failure by its code, in alphabetical order. `docs/errors.md` is rendered from this
 * table and a test compares the two.
 */
export const ERRORS = {
  address_conflict: {
    retry: "never",
    httpStatus: 409,
    meaning: "Another machine has this address, MAC or name, or a network that overlaps.",
  },
  address_in_use: {
    retry: "never",
    httpStatus: 409,
    meaning: "Another program already listens on the address asked for.",
  },
  address_invalid: {
    retry: "never",
    httpStatus: 422,
    meaning: "A network address is not of the form HOST:PORT, or its host has no address.",
  },
  api_token_invalid: {
    retry: "never",
    httpStatus: 401,
    meaning: "The request carries no bearer token, or none that is good here any more.",
  },
  batch_invalid: {
    retry: "never",
    httpStatus: 502,
    meaning: "The peer sent a batch of pages or blocks that cannot be decoded or does not fit.",
  },
  batch_mismatch: {
    retry: "never",
    httpStatus: 502,
    meaning:
      "Pages were rebuilt to other contents than the source had, and could not be sent again.",
  },
  bitmap_not_possible: {
    retry: "never",
    httpStatus: 422,
    meaning:
      "QEMU cannot track the writes to a disk, so it cannot be copied while the machine runs.",
    preflight: true,
  },
  certificate_invalid: {
    retry: "never",
    httpStatus: 500,
    meaning: "A certificate or key file cannot be used; the message names the file.",
  },
  config_invalid: {
    retry: "never",
    httpStatus: 500,
    meaning: "The site's configuration file cannot be used; the message names file and field.",
  },
  cpu_model_differs: {
    retry: "never",
    httpStatus: 422,
    meaning: "The processors of both machines are not alike, or have other features.",
    preflight: true,
  },
  data_host_not_allowed: {
    retry: "never",
    httpStatus: 422,
    meaning: "The configuration does not list the host that a machine names as its data host.",
  },
  destination_not_registered: {
    retry: "never",
    httpStatus: 409,
    meaning: "The peer has no guest of this id registered as incoming.",
    preflight: true,
  },
  device_ids_differ: {
    retry: "never",
    httpStatus: 422,
    meaning: "The machines at the two sites do not have the same devices.",
    preflight: true,
  },
  disk_full: {
    retry: "never",
    httpStatus: 507,
    meaning: "The storage behind a disk has no space left.",
  },
  disk_io: {
    retry: "never",
    httpStatus: 502,
    meaning: "A disk of the machine could not be read or written.",
  },
  disk_missing: {
    retry: "never",
    httpStatus: 422,
    meaning: "A disk of the machine has no counterpart at the destination.",
    preflight: true,
  },
  disk_sizes_differ: {
    retry: "never",
    httpStatus: 422,
    meaning: "A disk and its counterpart at the destination have unequal sizes.",
    preflight: true,
  },
  dns_server_unreachable: {
    retry: "never",
    httpStatus: 502,
    meaning: "The name server of the means `dns` does not answer.",
  },
  dns_update_refused: {
    retry: "never",
    httpStatus: 502,
    meaning: "The name server does not take the site's key, or does not let it change the name.",
  },
  dns_zone_mismatch: {
    retry: "never",
    httpStatus: 502,
    meaning: "A name of the machine is outside the zone, or the server does not serve that zone.",
  },
  epoch_fenced: {
    retry: "never",
    httpStatus: 409,
    meaning: "A later decision gave the machine to another site, so it is not started here.",
  },
  experiment_differs: {
    retry: "never",
    httpStatus: 409,
    meaning: "The folder holds rows of another scenario, or of an earlier form of this one.",
  },
  experiment_running: {
    retry: "never",
    httpStatus: 409,
    meaning: "Another process runs an experiment into the same folder.",
  },
  fence_failed: {
    retry: "never",
    httpStatus: 409,
    meaning:
      "The site's fence command did not confirm that the machine cannot run at the other site.",
  },
  foreign_bitmaps: {
    retry: "never",
    httpStatus: 422,
    meaning: "Dirty bitmaps that others made on a disk stay behind when the machine moves.",
    preflight: true,
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
  free_pages_left_out: {
    retry: "never",
    httpStatus: 422,
    meaning: "QEMU leaves out what its guest calls free, and the move asked for it to travel.",
    preflight: true,
  },
  gateway_restarted: {
    retry: "reconnect",
    httpStatus: 503,
    meaning: "This gateway restarted in the middle of a move; the machine runs at the source.",
  },
  gateway_running: {
    retry: "never",
    httpStatus: 409,
    meaning: "Another gateway process serves this site already; nothing of it was touched.",
  },
  gateway_unreachable: {
    retry: "reconnect",
    httpStatus: 503,
    meaning: "The command line does not reach the gateway's API; nothing was asked of it.",
  },
  guest_cannot_verify: {
    retry: "never",
    httpStatus: 409,
    meaning: "This kind of machine has no self-check that the gateway could ask for.",
  },
  guest_exists: {
    retry: "never",
    httpStatus: 409,
    meaning: "A guest of this id is registered already with another definition.",
  },
  guest_gone: {
    retry: "never",
    httpStatus: 502,
    meaning: "The machine has ended: by itself, by its operator, or killed.",
  },
  guest_kind_differs: {
    retry: "never",
    httpStatus: 422,
    meaning: "The guests at the two sites are of different kinds.",
    preflight: true,
  },
  guest_launch_failed: {
    retry: "never",
    httpStatus: 502,
    meaning: "The machine could not be started; the message ends with what it printed.",
  },
  guest_lives_elsewhere: {
    retry: "never",
    httpStatus: 409,
    meaning: "By the ledger the machine lives at another site; here it would run twice.",
  },
  guest_moving: {
    retry: "never",
    httpStatus: 409,
    meaning: "The guest is part of a migration that has not ended.",
  },
  guest_not_accepted: {
    retry: "never",
    httpStatus: 409,
    meaning: "This site's configuration does not accept this guest from this peer.",
    preflight: true,
  },
  guest_not_allowed: {
    retry: "never",
    httpStatus: 403,
    meaning: "The configuration does not allow a path, socket or program that a machine names.",
  },
  guest_not_incoming: {
    retry: "never",
    httpStatus: 409,
    meaning: "The machine at the destination does not wait for a memory stream.",
    preflight: true,
  },
  guest_not_source: {
    retry: "never",
    httpStatus: 409,
    meaning: "The guest does not run at this site, so it cannot leave it.",
  },
  guest_state: {
    retry: "never",
    httpStatus: 409,
    meaning: "The machine is not in the state that this step of a move needs.",
  },
  guest_unknown: {
    retry: "never",
    httpStatus: 404,
    meaning: "No guest of this id is registered at this site.",
  },
  guest_unreachable: {
    retry: "reconnect",
    httpStatus: 503,
    meaning: "The machine's control socket does not answer, while the machine itself may live.",
  },
  handover_refused: {
    retry: "never",
    httpStatus: 502,
    meaning: "The destination refused to take the machine over; it runs at the source.",
  },
  handshake_failed: {
    retry: "reconnect",
    httpStatus: 502,
    meaning: "The two gateways could not prove to each other who they are.",
  },
  host_not_expected: {
    retry: "never",
    httpStatus: 421,
    meaning: "The request names a host that this API is not served under.",
  },
  image_in_use: {
    retry: "never",
    httpStatus: 409,
    meaning: "The image of a disk at the destination is open in another process.",
    preflight: true,
  },
  image_io: {
    retry: "never",
    httpStatus: 507,
    meaning: "The file that keeps what the destination holds could not be written or read.",
  },
  internal: {
    retry: "never",
    httpStatus: 500,
    meaning: "A defect in the gateway itself.",
  },
  internal_snapshots: {
    retry: "never",
    httpStatus: 422,
    meaning: "Snapshots inside an image stay behind when the machine moves.",
    preflight: true,
  },
  ledger_unusable: {
    retry: "never",
    httpStatus: 500,
    meaning: "The ledger cannot be opened or read: damaged, read-only or made by a newer gateway.",
  },
  ledger_write_failed: {
    retry: "never",
    httpStatus: 500,
    meaning: "A decision could not be recorded, so its effect did not happen.",
  },
  link_closed: {
    retry: "reconnect",
    httpStatus: 503,
    meaning: "The connection to the peer ended before this was sent.",
  },
  machine_type_differs: {
    retry: "never",
    httpStatus: 422,
    meaning: "The machines at the two sites have different machine types.",
    preflight: true,
  },
  memory_item_invalid: {
    retry: "never",
    httpStatus: 502,
    meaning: "The peer sent memory that does not fit the machine's layout.",
  },
  memory_load_failed: {
    retry: "never",
    httpStatus: 502,
    meaning: "The machine at the destination did not accept the memory stream.",
  },
  memory_size_differs: {
    retry: "never",
    httpStatus: 422,
    meaning: "The machines at the two sites have unequal memory.",
    preflight: true,
  },
  memory_stream_failed: {
    retry: "never",
    httpStatus: 502,
    meaning: "The machine ended its memory stream or could not start it.",
  },
  memory_too_little: {
    retry: "never",
    httpStatus: 507,
    meaning: "The memory of the machine does not fit the destination's host.",
    preflight: true,
  },
  method_not_allowed: {
    retry: "never",
    httpStatus: 405,
    meaning: "The API has this path, but not with this method.",
  },
  migration_blocked: {
    retry: "never",
    httpStatus: 422,
    meaning: "QEMU itself names a reason why this machine cannot be migrated.",
    preflight: true,
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
  nbd_server_in_use: {
    retry: "never",
    httpStatus: 409,
    meaning: "The machine's NBD server is run by somebody else, so the gateway cannot use it.",
    preflight: true,
  },
  no_question: {
    retry: "never",
    httpStatus: 409,
    meaning: "A move was answered that asks nothing at present.",
  },
  not_converging: {
    retry: "never",
    httpStatus: 409,
    meaning:
      "The machine writes faster than the link carries, and the move was to end in that case.",
  },
  offer_stale: {
    retry: "never",
    httpStatus: 409,
    meaning: "The offer carries an epoch that this site has already seen decided.",
    preflight: true,
  },
  peer_exists: {
    retry: "never",
    httpStatus: 409,
    meaning: "Another identity is trusted under this name already.",
  },
  peer_not_trusted: {
    retry: "never",
    httpStatus: 502,
    meaning: "The other side is not who it should be, or does not know this site.",
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
  profile_invalid: {
    retry: "never",
    httpStatus: 422,
    meaning: "A WAN profile cannot be used; the message names file, field and allowed range.",
  },
  profile_not_found: {
    retry: "never",
    httpStatus: 404,
    meaning: "No WAN profile has this name; the message lists the known ones.",
  },
  protocol_mismatch: {
    retry: "never",
    httpStatus: 502,
    meaning: "The two gateways speak different versions of the protocol.",
  },
  qmp_command_failed: {
    retry: "never",
    httpStatus: 502,
    meaning: "QEMU refused a command; the message has its own words.",
  },
  qmp_protocol: {
    retry: "never",
    httpStatus: 502,
    meaning: "A monitor sent a line that the QEMU Machine Protocol does not allow.",
  },
  quota_exceeded: {
    retry: "never",
    httpStatus: 409,
    meaning: "This site grants the peer no more memory, disk or moves at once.",
    preflight: true,
  },
  read_only_media: {
    retry: "never",
    httpStatus: 422,
    meaning: "A read-only disk of the machine travels as a copy, or cannot travel at all.",
    preflight: true,
  },
  redirect_failed: {
    retry: "never",
    httpStatus: 502,
    meaning: "What makes a machine's addresses follow it could not be set up at a site.",
  },
  redirect_mismatch: {
    retry: "never",
    httpStatus: 422,
    preflight: true,
    meaning: "The two sites do not name the same addresses of the machine, or other means.",
  },
  request_invalid: {
    retry: "never",
    httpStatus: 422,
    meaning: "A request or a command's arguments do not fit; the message names the field.",
  },
  request_too_large: {
    retry: "never",
    httpStatus: 413,
    meaning: "The body of the request is larger than any that the API takes.",
  },
  role_insufficient: {
    retry: "never",
    httpStatus: 403,
    meaning: "The role of the token does not allow this request.",
  },
  rollback_not_possible: {
    retry: "never",
    httpStatus: 409,
    meaning: "There is no way back for this migration; the message names the reason.",
  },
  route_unknown: {
    retry: "never",
    httpStatus: 404,
    meaning: "The API has no such path.",
  },
  scenario_invalid: {
    retry: "never",
    httpStatus: 422,
    meaning: "A scenario file of an experiment cannot be used; the message names file and field.",
  },
  site_exists: {
    retry: "never",
    httpStatus: 409,
    meaning: "The directory holds the identity of a site already.",
  },
  space_too_little: {
    retry: "never",
    httpStatus: 507,
    meaning: "The destination has too little room for the machine's disks.",
    preflight: true,
  },
  strategy_not_available: {
    retry: "never",
    httpStatus: 422,
    meaning: "The strategy is unknown to this version.",
  },
  switchover_not_held: {
    retry: "never",
    httpStatus: 200,
    meaning: "A warning: this hypervisor decides by itself when it pauses (QEMU before 8.1).",
  },
  throttle_not_possible: {
    retry: "never",
    httpStatus: 422,
    meaning: "The machine's processors, or what it writes to its disks, cannot be held back.",
    preflight: true,
  },
  token_last_admin: {
    retry: "never",
    httpStatus: 409,
    meaning: "Without this token nobody could administer the gateway.",
  },
  token_limit: {
    retry: "never",
    httpStatus: 409,
    meaning: "As many tokens are in use as the gateway takes.",
  },
  token_name_taken: {
    retry: "never",
    httpStatus: 409,
    meaning: "A token of this name is in use already.",
  },
  token_unknown: {
    retry: "never",
    httpStatus: 404,
    meaning: "No token of this id or name is known.",
  },
  too_many_attempts: {
    retry: "never",
    httpStatus: 429,
    meaning: "Too many wrong tokens came from this address, or from all of them.",
  },
  tun_unavailable: {
    retry: "never",
    httpStatus: 503,
    meaning: "The IP-level link emulator could not set up its network devices.",
  },
} as const satisfies Record<string, ErrorEntry>;
