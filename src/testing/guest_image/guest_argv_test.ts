import assert from "node:assert/strict";
import { guestArgv, workloadText } from "./guest_argv.ts";

const BASE = {
  image: { kernel: "/k", initrd: "/i" },
  consolePath: "/tmp/a,b/console",
  channelPath: "/tmp/channel",
} as const;

Deno.test("guestArgv() names disks by id, escapes commas and leaves monitor and incoming out", () => {
  const argv = guestArgv({
    ...BASE,
    memoryMiB: 160.5,
    disks: [{ id: "vd0", path: "/d,isk", format: "qcow2" }],
  });
  assert.equal(argv[0], "qemu-system-x86_64");
  assert.ok(argv.includes("164352k"));
  assert.ok(argv.includes("file,id=console,append=on,path=/tmp/a,,b/console"));
  assert.ok(argv.includes('{"driver":"file","node-name":"vd0-file","filename":"/d,isk"}'));
  assert.ok(argv.includes("virtio-blk-pci,id=vd0,drive=vd0-format"));
  for (const word of ["-qmp", "-monitor", "-incoming", "-S"]) assert.ok(!argv.includes(word));
});

Deno.test("guestArgv() enters the namespace of its network and tells the guest its addresses", () => {
  const argv = guestArgv({
    ...BASE,
    network: { namespace: "cw-1", tap: "tap0", mac: "52:54:00:00:00:01", ip: "10.0.0.2/24" },
  });
  assert.deepEqual(argv.slice(0, 5), ["ip", "netns", "exec", "cw-1", "qemu-system-x86_64"]);
  assert.match(argv[argv.indexOf("-append") + 1], / cw\.ip=10\.0\.0\.2\/24$/);
});

Deno.test("workloadText() gives only what was set and refuses what the guest cannot do", () => {
  assert.equal(workloadText(), "");
  assert.equal(
    workloadText({ memoryMiB: 8, diskKiBPerSecond: 0, disks: ["vda", "vdc"] }),
    "memory=8,disk-rate=0,disks=vda:vdc",
  );
  assert.equal(workloadText({ hotMiB: 4, hotKiBPerSecond: 900 }), "hot=4,hot-rate=900");
  for (
    const bad of [
      { seed: 1.5 },
      { memoryMiB: -1 },
      { diskBlockKiB: 100 },
      { diskBlockKiB: 2048 },
      { memoryFileKiB: 0 },
      { memoryFileKiB: 2048 },
    ]
  ) assert.throws(() => workloadText(bad), RangeError);
});
