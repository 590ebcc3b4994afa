/**
 * The order of the rooms, as data (design: core < codec, wire < migration < drivers < gateway <
 * http, cli < main.ts). `imports_test.ts` holds the sources to it.
 */
export interface RoomRule {
  /** Path of a folder (with a slash) or of one module; the longest that fits a module counts. */
  readonly room: string;
  /** Rooms it may import from, beside its own. */
  readonly uses: readonly string[];
  /** Rooms whose types alone it may name: nothing of them is loaded. */
  readonly types?: readonly string[];
  /** npm packages (with what lies below them) and `node:` modules. */
  readonly packages?: readonly string[];
  /**
   * No I/O, no clock, no randomness: they are arguments. Modules of a room that are not pure as a
   * whole are listed in `PURE_MODULES`.
   */
  readonly pure?: true;
}

const DRIVERS = [
  "src/config/",
  "src/emulator/",
  "src/guest/reference/",
  "src/identity/",
  "src/ledger/",
  "src/link/",
  "src/nbd/",
  "src/nbd/protocol/",
  "src/qemu/",
  "src/qemu/stream/",
  "src/redirect/",
  "src/sealing/",
  "src/store/",
];
const INNER = [
  "src/core/",
  "src/codec/",
  "src/image/",
  "src/wire/",
  "src/guest/",
  "src/migration/",
];
const SHARED = ["src/host/", "src/security/", "src/config/address.ts", "src/link/peer_link.ts"];

export const ROOMS: readonly RoomRule[] = [
  { room: "src/core/", uses: [], pure: true },
  { room: "src/wire/", uses: ["src/core/"], pure: true },
  // Pure but for the files that it keeps contents in.
  {
    room: "src/image/",
    uses: ["src/core/"],
    packages: ["node:buffer", "node:crypto", "node:fs"],
  },
  {
    room: "src/codec/",
    uses: ["src/core/", "src/image/", "src/wire/"],
    types: ["src/guest/"],
    // zstd in memory is a computation; the asynchronous form is not used.
    packages: ["node:buffer", "node:zlib"],
    pure: true,
  },
  // Interfaces that the inner rooms are written against: guests, and the link to a peer.
  // zstd for what a machine's contents would take on the wire.
  {
    room: "src/guest/",
    uses: ["src/core/"],
    packages: ["node:buffer", "node:zlib", "zod"],
    pure: true,
  },
  { room: "src/link/peer_link.ts", uses: ["src/core/", "src/wire/"], pure: true },
  {
    room: "src/migration/",
    uses: ["src/core/", "src/codec/", "src/image/", "src/wire/"],
    types: ["src/guest/", "src/link/peer_link.ts"],
    packages: ["node:buffer", "zod"],
    pure: true,
  },

  { room: "src/host/", uses: ["src/core/"], packages: ["node:process"] },
  // Who may do what: tokens, roles, quotas and rules, whoever keeps them.
  { room: "src/security/", uses: ["src/core/"], packages: ["node:crypto"] },
  // Batches packed by workers, each a thread of its own.
  { room: "src/sealing/", uses: ["src/core/", "src/codec/"] },
  { room: "src/nbd/protocol/", uses: ["src/core/"], pure: true },
  { room: "src/nbd/", uses: ["src/core/", "src/nbd/protocol/"] },
  {
    room: "src/qemu/stream/",
    uses: ["src/core/"],
    types: ["src/guest/"],
    pure: true,
  },
  {
    room: "src/qemu/",
    uses: ["src/core/", "src/guest/", "src/host/", "src/nbd/", "src/qemu/stream/"],
    packages: ["node:buffer", "zod"],
  },
  {
    room: "src/guest/reference/",
    uses: ["src/core/", "src/guest/", "src/host/"],
    packages: ["node:buffer", "node:fs", "node:zlib"],
  },
  {
    room: "src/identity/",
    uses: ["src/core/"],
    packages: ["@peculiar/x509", "node:crypto", "node:path", "reflect-metadata"],
  },
  // Two leaves that several drivers share.
  { room: "src/config/address.ts", uses: [], pure: true },
  {
    room: "src/link/tls_fetch.ts",
    uses: ["src/core/", "src/config/address.ts"],
    packages: ["node:tls"],
  },
  {
    room: "src/config/",
    uses: [
      "src/core/",
      "src/identity/",
      "src/security/",
      "src/config/address.ts",
      "src/link/tls_fetch.ts",
    ],
    packages: ["node:path", "zod"],
  },
  {
    room: "src/link/",
    uses: [
      "src/core/",
      "src/wire/",
      "src/config/",
      "src/host/",
      "src/identity/",
      "src/config/address.ts",
      "src/link/peer_link.ts",
      "src/link/tls_fetch.ts",
    ],
    packages: ["node:tls"],
  },
  {
    room: "src/ledger/",
    uses: ["src/core/"],
    types: ["src/migration/", "src/security/"],
    packages: ["node:sqlite"],
  },
  {
    room: "src/store/",
    uses: ["src/core/", "src/image/"],
    packages: ["node:buffer", "node:crypto", "node:fs", "node:path"],
  },
  {
    room: "src/emulator/",
    uses: ["src/core/", "src/host/", "src/config/address.ts", "src/emulator/libc.ts"],
    packages: ["node:dns/promises", "node:net", "zod"],
  },

  // Of the emulator only the calls of the C library: TUN devices and raw frames.
  { room: "src/emulator/libc.ts", uses: [] },
  {
    room: "src/redirect/",
    uses: ["src/core/", "src/guest/", "src/host/", "src/emulator/libc.ts"],
    types: ["src/link/peer_link.ts"],
  },

  {
    room: "src/gateway/",
    uses: [...INNER, ...SHARED, ...DRIVERS],
    packages: ["node:path"],
  },
  {
    room: "src/http/",
    uses: [...INNER, ...SHARED, "src/gateway/", "src/emulator/"],
    types: ["src/redirect/"],
    packages: ["@hono/zod-openapi", "hono", "node:crypto", "zod"],
  },
  // Scenarios, rows and reports; what cells do is in experiments/cells/, processes of their own, and
  // the chart library is loaded by a process that draws.
  {
    room: "src/experiment/",
    uses: ["src/core/", "src/emulator/", "src/migration/"],
    packages: ["node:os", "zod"],
  },
  {
    room: "src/cli/",
    uses: [
      ...INNER,
      ...SHARED,
      ...DRIVERS,
      "src/link/tls_fetch.ts",
      "src/experiment/",
      "src/gateway/",
      "src/http/",
    ],
    packages: ["commander", "node:path", "node:process"],
  },
  { room: "main.ts", uses: ["src/cli/"] },
];

/** The rule of a module: the longest room that its path lies in. */
export function ruleOf(path: string): RoomRule | undefined {
  return ROOMS.filter(({ room }) => room.endsWith("/") ? path.startsWith(room) : path === room)
    .toSorted((left, right) => right.room.length - left.room.length)[0];
}

/** Beside tests, these use what is for tests: the demo boots the guest that the tests boot. */
export const USES_TESTING: readonly string[] = ["src/cli/demo/"];

/** Pure modules in rooms that are not pure as a whole; what they load has to be pure as well. */
export const PURE_MODULES: readonly string[] = [
  "src/config/schema.ts",
  "src/emulator/link_model.ts",
  "src/emulator/packet_pool.ts",
  "src/emulator/profile.ts",
  "src/emulator/tc_commands.ts",
  "src/experiment/compare.ts",
  "src/experiment/limit.ts",
  "src/experiment/matrix.ts",
  "src/experiment/report/csv.ts",
  "src/experiment/report/markdown.ts",
  "src/experiment/report/plots.ts",
  "src/experiment/row.ts",
  "src/experiment/scenario.ts",
  "src/experiment/stop_rules.ts",
  "src/experiment/time_left.ts",
  "src/gateway/plan/ends.ts",
  "src/gateway/plan/forecast.ts",
  "src/gateway/plan/forecast_input.ts",
  "src/gateway/plan/held.ts",
  "src/gateway/plan/machine_estimate.ts",
  "src/gateway/plan/path_estimate.ts",
  "src/gateway/plan/report.ts",
  "src/gateway/plan/scenario.ts",
  "src/gateway/plan/shown.ts",
  "src/gateway/plan/what_if.ts",
  "src/gateway/plan/words.ts",
  "src/gateway/plan/written_sets.ts",
  "src/guest/reference/audit.ts",
  "src/guest/reference/cpu_state.ts",
  "src/guest/reference/free_ring.ts",
  "src/guest/reference/pace.ts",
  "src/guest/reference/program.ts",
  "src/image/block_digest.ts",
  "src/image/block_map.ts",
  "src/image/chunked.ts",
  "src/image/content_name.ts",
  "src/image/digest_index.ts",
  "src/image/page_digest.ts",
  "src/image/page_image.ts",
  "src/image/page_memory.ts",
  "src/image/page_store.ts",
  "src/image/plain_view.ts",
  "src/image/pool.ts",
  "src/image/spill.ts",
  "src/image/unit_digests.ts",
  "src/link/carrier_judge.ts",
  "src/link/pacer.ts",
  "src/link/packet_cost.ts",
  "src/link/path_datagram.ts",
  "src/link/path_delay.ts",
  "src/link/path_estimate.ts",
  "src/link/path_probe.ts",
  "src/link/rate_caps.ts",
  "src/link/rate_limit.ts",
  "src/link/tls_cost.ts",
  "src/link/tls_path.ts",
  "src/link/tls_shape.ts",
  "src/qemu/cpu_throttle.ts",
  "src/qemu/drives.ts",
  "src/qemu/io_limits.ts",
  "src/qemu/qmp/line_decoder.ts",
  "src/qemu/qmp/messages.ts",
  "src/qemu/sample/memory_map.ts",
  "src/qemu/source/hold.ts",
  "src/redirect/announcement.ts",
  "src/redirect/conflicts.ts",
  "src/redirect/means.ts",
  "src/redirect/net_messages.ts",
  "src/redirect/routes.ts",
  "src/redirect/state.ts",
  "src/security/accept_rules.ts",
  "src/security/allow_rules.ts",
  "src/security/attempts.ts",
  "src/security/globs.ts",
  "src/security/launch_template.ts",
  "src/security/roles.ts",
  "src/store/name_index.ts",
  "src/store/options.ts",
  "src/store/owners.ts",
  "src/store/pins.ts",
  "src/store/slot_order.ts",
  "src/store/slot_record.ts",
  "src/store/unit_cipher.ts",
  "src/store/write_queue.ts",
];

/** Packages whose functions only compute. */
export const PURE_PACKAGES = ["node:buffer", "node:crypto", "node:zlib", "zod"];

/** What a pure module never touches; each pattern is sought in code, not in comments or strings. */
export const IMPURE: readonly { readonly what: string; readonly pattern: RegExp }[] = [
  { what: "the runtime (Deno)", pattern: /\bDeno\b/g },
  { what: "process state", pattern: /\bprocess\s*\.|\bglobalThis\b/g },
  { what: "timers", pattern: /\b(?:set|clear)(?:Timeout|Interval|Immediate)\b/g },
  { what: "a timer signal", pattern: /\bAbortSignal\s*\.\s*timeout\b/g },
  { what: "the clock", pattern: /\bDate\s*\.\s*now\b|\bnew\s+Date\s*(?:\(\s*\)|(?![\w\s(]))/g },
  { what: "the clock", pattern: /(?<!\bnew\s)(?<![.\w#])Date\s*\(/g },
  { what: "the clock", pattern: /\bperformance\b/g },
  { what: "randomness", pattern: /\bMath\s*\.\s*random\b|\b(?:getRandomValues|randomUUID)\b/g },
  {
    what: "the network",
    pattern: /(?<![.\w#])fetch\s*\(|\bnew\s+(?:WebSocket|Worker|EventSource)\b/g,
  },
  { what: "the console", pattern: /\bconsole\s*\./g },
];
