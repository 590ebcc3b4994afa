import { findGuestKernel } from "./guest_image/guest_kernel.ts";
import { findStaticBusybox } from "./guest_image/static_busybox.ts";
import { qemuVersion } from "./qemu_process.ts";

/** The one command that provides everything on Debian. */
export const SETUP_COMMAND = "sudo sh tests/setup/debian.sh";

/** Where Debian's package has it. */
export const CHROMIUM = "/usr/bin/chromium";

/** What a test can need from the machine. */
export type Requirement = keyof typeof CHECKS;

/** Each answers with what is missing, or null. */
const CHECKS = {
  root: needsRoot,
  /** Namespaces, veth, TAP: root and the `ip` command. */
  namespaces: () => needsRoot() ?? needsCommands("ip") ?? needsOwnNetwork(),
  /** A TUN device that can be opened. */
  tun: () => needsRoot() ?? needsTunDevice(),
  qemu: async () => {
    const version = await qemuVersion();
    if (version === null) return "qemu-system-x86_64 is not installed";
    return Number(version.split(".")[0]) >= 10 ? null : `QEMU is ${version}, not 10.0 or later`;
  },
  qemuUtils: () => needsCommands("qemu-img", "qemu-nbd"),
  /** What the guest image is built from. */
  guestImage: () => {
    if (findStaticBusybox() === null) return "busybox-static is not installed";
    return findGuestKernel() === null ? "there is no cloud kernel for the guest" : null;
  },
  cpio: () => needsCommands("cpio"),
  libnbd: () => needsCommands("nbdinfo", "nbdcopy"),
  nbdkit: () => needsCommands("nbdkit"),
  iperf3: () => needsCommands("iperf3"),
  ping: () => needsCommands("ping"),
  /** A name server and its clients. */
  bind: () => needsCommands("named", "tsig-keygen", "nsupdate", "dig"),
  nftables: () => needsCommands("nft"),
  /** A browser for the dashboard. */
  chromium: () => exists(CHROMIUM) ? null : "chromium is not installed",
} as const satisfies Record<string, () => string | null | Promise<string | null>>;

/** What of `needs` this machine lacks: one short reason each, without repetition. */
export async function missingRequirements(
  ...needs: readonly Requirement[]
): Promise<string[]> {
  const reasons = await Promise.all(needs.map((need) => CHECKS[need]()));
  return [...new Set(reasons.filter((reason) => reason !== null))];
}

/**
 * Options for `Deno.test(name, await requires("qemu", "guestImage"), fn)`: the test is skipped where
 * something is missing, and the reason is told to tests/run.ts, which repeats it at the end.
 */
export async function requires(
  ...needs: readonly Requirement[]
): Promise<{ ignore: boolean }> {
  const reasons = await missingRequirements(...needs);
  for (const reason of reasons) tellReason(reason);
  return { ignore: reasons.length > 0 };
}

function tellReason(reason: string): void {
  const path = Deno.env.get("CAUSEWAY_SKIP_REASONS");
  if (path === undefined) console.warn(`SKIPPED: ${reason}; \`${SETUP_COMMAND}\` provides it`);
  else Deno.writeTextFileSync(path, `${reason}\n`, { append: true, create: true });
}

function needsRoot(): string | null {
  return Deno.uid() === 0 ? null : "not running as root";
}

/** Asked of a shell: Deno itself does not look into /dev without every permission. */
function needsTunDevice(): string | null {
  const { success } = new Deno.Command("test", { args: ["-c", "/dev/net/tun"] }).outputSync();
  return success ? null : "/dev/net/tun is missing";
}

/** Root of a container may lack the capabilities. */
function needsOwnNetwork(): string | null {
  const { success } = new Deno.Command("unshare", { args: ["--net", "true"], stderr: "null" })
    .outputSync();
  return success ? null : "network namespaces cannot be made (CAP_SYS_ADMIN)";
}

function needsCommands(...names: readonly string[]): string | null {
  const lacking = names.filter((name) => !isOnPath(name));
  return lacking.length === 0 ? null : `${lacking.join(", ")} not installed`;
}

function isOnPath(name: string): boolean {
  // Debian keeps nft and ip in sbin, which is not on the PATH of an ordinary user.
  const folders = [...(Deno.env.get("PATH") ?? "").split(":"), "/usr/sbin", "/sbin"];
  return folders.some((folder) => exists(`${folder}/${name}`));
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch (error) {
    // Missing rights of this process must not look like a missing file.
    if (error instanceof Deno.errors.NotCapable) throw error;
    return false;
  }
}
