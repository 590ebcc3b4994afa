import assert from "node:assert/strict";
import { readFiles, ROOT } from "./files.ts";
import { stripSource } from "./source_text.ts";

/**
 * What each task may do, and why nothing narrower works. A flag without a list needs a reason; a new
 * or broader one fails here until somebody has written it down.
 */
const LIBC_FLAG = "--allow-ffi=/lib/x86_64-linux-gnu/libc.so.6,/lib/aarch64-linux-gnu/libc.so.6";
const TASKS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  bench: {
    "--allow-env=PATH": "",
    "--allow-read": "whatever its requirements are looked for in",
    "--allow-write": "the folder for results is an argument",
    "--allow-run": "each bench is a process of its own, of the Deno that runs this one",
    "--allow-sys=uid": "",
  },
  causeway: {
    "--allow-env=CAUSEWAY_CONFIG,INIT_CWD": "",
    [LIBC_FLAG]: "",
    "--allow-net": "peers, machines and clients have any address",
    "--allow-read": "configuration and images lie where their operator put them",
    "--allow-write": "the same",
    "--allow-run": "programs are named by the operator's guests (allow.launch narrows them)",
  },
  demo: {
    "--allow-env=CAUSEWAY_CONFIG,INIT_CWD,PATH": "",
    [LIBC_FLAG]: "",
    "--allow-net": "gateways on free ports",
    "--allow-read": "profiles are arguments, QEMU is looked for",
    "--allow-write=/tmp,.cache": "",
    "--allow-run": "gateways of the Deno that runs this one, and QEMU wherever it is",
  },
  emulate: {
    "--allow-env=CAUSEWAY_CONFIG,INIT_CWD": "",
    [LIBC_FLAG]: "",
    "--allow-net": "addresses are arguments",
    "--allow-read": "profiles are arguments",
    "--allow-write": "the file for counters is an argument",
  },
  experiment: {
    "--allow-env=CAUSEWAY_CONFIG,INIT_CWD": "",
    "--allow-read": "scenarios, profiles and results are arguments",
    "--allow-write": "the folder for results is an argument",
    "--allow-run":
      "each cell is a process of the Deno that runs this one, and git names the commit",
    "--allow-sys=cpus,loadavg,osRelease": "",
  },
  "experiment:real-machine": {
    "--allow-env=CAUSEWAY_TEST_RUN": "",
    "--allow-net": "the APIs of its gateways have free ports",
    "--allow-read": "the guest's kernel, and /proc",
    "--allow-write": "folders for sites and results",
    "--allow-run": "gateways, QEMU, ip and nft",
    "--allow-sys=loadavg,cpus": "",
  },
  fuzz: {
    "--allow-env": "fuzzed code reads variables by computed names",
    "--allow-net": "sockets on loopback for what is fuzzed over one",
    "--allow-read": "sources, corpora and folders of its own",
    "--allow-write": "what fails is kept where the caller says",
    "--allow-run": "QEMU's tools judge some inputs",
    "--allow-sys": "memory, to see what an input takes",
  },
  gateway: {
    "--allow-env=CAUSEWAY_CONFIG,INIT_CWD": "",
    [LIBC_FLAG]: "",
    "--allow-net": "peers, machines and clients have any address",
    "--allow-read": "configuration and images lie where their operator put them",
    "--allow-write": "the same",
    "--allow-run": "programs are named by the operator's guests (allow.launch narrows them)",
  },
  ok: {
    "--allow-read": "documents and sources, and where Deno itself lies",
    "--allow-write=.cache": "",
    "--allow-run": "the Deno that runs this one, wherever it lies",
  },
  sim: {
    "--allow-read=.": "",
    "--allow-write=docs/results.md": "",
  },
  soak: {
    "--allow-all": "what it sees of its gateways is in /proc, which Deno opens to nothing less",
  },
  test: {
    "--allow-env=CAUSEWAY_TEST_RUN,CI,PATH": "",
    "--allow-read": "whatever its requirements are looked for in",
    "--allow-write=.cache": "",
    "--allow-run": "the Deno that runs this one, the set-up, and leftovers of earlier runs",
    "--allow-sys=uid": "",
  },
};

/** Files that start processes with rights of their own, and the broadest of these. */
const SPAWNING: Readonly<Record<string, readonly string[]>> = {
  "bench/bytes/causeway.ts": ["--allow-all"],
  "bench/goodput/ends.ts": ["--allow-env", "--allow-net", "--allow-read"],
  // BBR on the sockets of the TLS carrier.
  "bench/goodput/measure.ts": ["--allow-ffi"],
  "bench/run.ts": ["--allow-all"],
  // Those that take file descriptors of devices, which only a foreign function gives.
  "src/emulator/tun_link.ts": ["--allow-ffi"],
  "src/redirect/net_helper.ts": ["--allow-ffi"],
  "src/testing/echo_probe/probe.ts": ["--allow-ffi"],
  "src/testing/frame_capture/capture.ts": ["--allow-ffi"],
  // As the tasks `gateway` and `causeway`.
  "src/cli/demo/children.ts": [
    "--allow-env=CAUSEWAY_CONFIG,INIT_CWD",
    LIBC_FLAG,
    "--allow-net",
    "--allow-read",
    "--allow-run",
    "--allow-write",
  ],
  "src/testing/redirect_layout.ts": ["--allow-all"],
  "src/testing/tcp_client/client.ts": ["--allow-net"],
  // Two gateways and the emulator, or real machines in namespaces of their own.
  "src/experiment/cell_process.ts": [
    "--allow-all",
    "--allow-env=TMPDIR",
    LIBC_FLAG,
    "--allow-net",
    "--allow-read",
    "--allow-run",
    "--allow-write",
  ],
  "src/experiment/plots/draw.ts": ["--allow-write=…"],
  "src/testing/site_process.ts": [
    "--allow-env=CAUSEWAY_CONFIG,INIT_CWD",
    LIBC_FLAG,
    "--allow-net",
    "--allow-read",
    "--allow-run",
    "--allow-write",
  ],
  "src/guest/reference/launch.ts": [
    "--allow-net=unix:…",
    "--allow-read=…",
    "--allow-sys=statfs",
    "--allow-write=…",
  ],
  "tests/bench/faults_test.ts": ["--allow-all"],
  "tests/bench/fidelity_test.ts": ["--allow-all"],
  "tests/bench/soak_test.ts": ["--allow-all"],
  "tests/e2e/udp_blocked_test.ts": ["--allow-all"],
  "tests/interop/qemu_launch_test.ts": ["--allow-all"],
  "tests/runner/parts.ts": [
    "--allow-all",
    "--allow-env",
    "--allow-ffi",
    "--allow-net",
    "--allow-read",
    "--allow-run",
    "--allow-sys",
    "--allow-write",
  ],
};

/** Tells about flags, and starts nothing. */
const NAMES_FLAGS = [
  "tests/interop/reference_machine_test.ts",
  "tests/runner/parts_test.ts",
  "tests/structure/errors_doc_test.ts",
  "tests/structure/permissions_test.ts",
];

async function tasks(): Promise<[string, string[]][]> {
  const { tasks } = JSON.parse(await Deno.readTextFile(new URL("deno.json", ROOT)));
  return Object.entries(tasks as Record<string, string>)
    .map(([name, command]) => [name, command.split(" ")]);
}

Deno.test("each task may do what is written down here and nothing else", async () => {
  const found: Record<string, string[]> = {};
  for (const [name, words] of await tasks()) {
    found[name] = words.filter((word) => /^(?:--allow|--deny|-[A-Z]$)/.test(word)).sort();
  }
  const expected = Object.entries(TASKS)
    .map(([name, flags]) => [name, Object.keys(flags).sort()]);
  assert.deepEqual(found, Object.fromEntries(expected));
});

Deno.test("a right that is not limited to a list has a reason, and only the soak may do everything", () => {
  for (const [name, flags] of Object.entries(TASKS)) {
    for (const [flag, why] of Object.entries(flags)) {
      if (name !== "soak") assert.notEqual(flag, "--allow-all", name);
      assert.notEqual(flag, "--allow-ffi", name);
      assert.equal(why === "", flag.includes("="), `${name}: ${flag}`);
    }
  }
});

Deno.test("no task asks, and none takes packages that the lock file does not name", async () => {
  for (const [name, words] of await tasks()) {
    assert.deepEqual(words.slice(0, 4), ["deno", "run", "--no-prompt", "--frozen"], name);
  }
});

Deno.test("processes that are started elsewhere have the rights that are written down here", async () => {
  const found: Record<string, string[]> = {};
  for (const { path, text } of await readFiles("", /\.ts$/)) {
    if (NAMES_FLAGS.includes(path)) continue;
    const { withoutComments } = stripSource(text);
    // What is filled in at run time is a list all the same.
    const flags = (withoutComments.match(/--allow-[a-z]+(?:=[^"`\s]+)?|(?<=")-A(?=")/g) ?? [])
      .map((flag) => flag.replace(/\$\{.*/, "…"));
    if (flags.length > 0) found[path] = [...new Set(flags)].sort();
  }
  assert.deepEqual(found, SPAWNING);
});
