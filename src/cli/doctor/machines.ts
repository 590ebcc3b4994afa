import type { Clock } from "../../core/clock.ts";
import { toGatewayError } from "../../core/errors.ts";
import type { GuestView } from "../../gateway/service.ts";
import { commandOutput } from "../../host/command_output.ts";
import { parseQmpAddress } from "../../qemu/qmp/address.ts";
import { connectQmp } from "../../qemu/qmp/client.ts";
import { fail, type Finding, ok, warn } from "./finding.ts";

const PROGRAM = "qemu-system-x86_64";
/** The least version whose switch can be held until the pause fits. */
const HOLDS_FROM = [8, 1];
/** The least version whose stream is read in tests. */
const READ_FROM = [7, 2];
const GREETING_MS = 2_000;

/** The hypervisor that launched machines get. */
export async function checkQemu(): Promise<Finding> {
  return judgeQemu(await commandOutput(PROGRAM, ["--version"]).catch(() => null));
}

/** @param text what `--version` prints; null where it is not there */
export function judgeQemu(text: string | null): Finding {
  const check = "QEMU";
  if (text === null) {
    return warn(
      check,
      `${PROGRAM} is not on PATH`,
      "Install it where this gateway shall launch machines; attached ones need none here",
    );
  }
  const [, version] = /version (\d+\.\d+(?:\.\d+)?)/.exec(text) ?? [];
  if (version === undefined) return warn(check, `${PROGRAM} names no version`, "Check what it is");
  return versionFinding(check, `${PROGRAM} ${version}`, version);
}

function versionFinding(check: string, seen: string, version: string): Finding {
  if (isBelow(version, READ_FROM)) {
    return fail(check, seen, `Use ${READ_FROM.join(".")} or later: its stream is not understood`);
  }
  if (!isBelow(version, HOLDS_FROM)) return ok(check, seen);
  return warn(
    check,
    seen,
    `Use ${
      HOLDS_FROM.join(".")
    } or later: this one switches when it likes, not when the pause fits`,
  );
}

function isBelow(version: string, [major, minor]: readonly number[]): boolean {
  const [ownMajor, ownMinor] = version.split(".").map(Number);
  return ownMajor < major || ownMajor === major && ownMinor < minor;
}

/** Machines as the running gateway sees them. */
export function judgeGuests(views: readonly GuestView[]): Finding[] {
  return views.map(({ id, kind, runState, description }) => {
    const check = `machine ${id}`;
    if (runState === "unreachable") {
      return fail(
        check,
        "its monitor cannot be reached",
        "Check that QEMU runs and that no other program holds its QMP socket, or remove it with " +
          `\`causeway guests remove ${id}\``,
      );
    }
    if (runState === "gone") {
      return warn(check, "it has ended", `Start it, or \`causeway guests remove ${id}\``);
    }
    const seen = `${kind} ${description?.version ?? ""}, ${runState}`;
    return kind === "qemu" && description
      ? versionFinding(check, seen, description.version)
      : ok(check, seen);
  });
}

/** The same where no gateway runs: monitors of attached machines are free then, and are greeted. */
export async function checkMonitors(
  guests: readonly { readonly id: string; readonly definition: unknown }[],
  clock: Clock,
): Promise<Finding[]> {
  return await Promise.all(guests.map(async ({ id, definition }) => {
    const check = `machine ${id}`;
    const { qmp } = definition as { qmp?: string };
    if (qmp === undefined) return ok(check, "registered; it is looked at by the running gateway");
    try {
      const client = await connectQmp(parseQmpAddress(qmp), {
        clock,
        greetingTimeoutMs: GREETING_MS,
      });
      client.close();
      return versionFinding(check, `${qmp} answers, QEMU ${client.version}`, client.version);
    } catch (error) {
      const { message, hint } = toGatewayError(error);
      return fail(check, message, hint);
    }
  }));
}
