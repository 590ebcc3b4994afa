import { ask, qomListAnswer } from "./answers.ts";
import { type QmpClient, QmpCommandError } from "./qmp/client.ts";

/** A device as QEMU's object tree shows it. */
export interface DeviceFact {
  /** `peripheral` has an id of the operator, `anonymous` has none, `built-in` came with the machine. */
  readonly origin: "peripheral" | "anonymous" | "built-in";
  readonly id: string;
  readonly type: string;
  /** Slot and function on its PCI bus, `0x10` being 02.0; null elsewhere. */
  readonly pciAddress: number | null;
  /** Options that are on and give the device's state another form. */
  readonly options?: readonly string[];
}

/** The option of a balloon with which QEMU leaves out what its guest calls free. */
export const FREE_PAGE_HINT = "free-page-hint";
/** Each is a feature that guest and device agree on at boot: both sites need the same ones. */
const BALLOON_OPTIONS = [FREE_PAGE_HINT, "free-page-reporting"] as const;
const BALLOON_TYPE = /^virtio-balloon/;

const CONTAINERS = {
  peripheral: "/machine/peripheral",
  anonymous: "/machine/peripheral-anon",
  "built-in": "/machine/unattached",
} as const;

/** Children that are wiring, not devices. */
const NO_DEVICE = new Set(["irq", "memory-region", "System", "container"]);

/** Reads the devices of the machine; the order is QEMU's. */
export async function readDevices(qmp: QmpClient): Promise<DeviceFact[]> {
  const facts: Promise<DeviceFact>[] = [];
  for (const [origin, path] of Object.entries(CONTAINERS)) {
    for (const { name, type } of await ask(qmp, "qom-list", qomListAnswer, { path })) {
      const child = /^child<(.+)>$/.exec(type)?.[1];
      if (child === undefined || NO_DEVICE.has(child)) continue;
      const fact = { origin: origin as DeviceFact["origin"], id: name, type: child };
      facts.push(
        origin === "built-in"
          ? Promise.resolve({ ...fact, pciAddress: null })
          : readDetails(qmp, `${path}/${name}`, child).then((details) => ({ ...fact, ...details })),
      );
    }
  }
  return await Promise.all(facts);
}

/**
 * The lines by which two machines are compared: what would make the destination refuse a device's
 * state must show here. A PCI device's address is part of the name of its state in the stream.
 */
export function deviceLines(facts: readonly DeviceFact[]): string[] {
  const lines: string[] = [];
  const builtIn = new Map<string, number>();
  for (const fact of facts) {
    const at = fact.pciAddress === null ? "" : ` at ${formatPci(fact.pciAddress)}`;
    const what = [`${fact.type}${at}`, ...fact.options ?? []].join(", ");
    if (fact.origin === "peripheral") lines.push(`${fact.id} (${what})`);
    else if (fact.origin === "anonymous") lines.push(`unnamed ${what}`);
    else builtIn.set(fact.type, (builtIn.get(fact.type) ?? 0) + 1);
  }
  for (const [type, times] of builtIn) lines.push(`${BUILT_IN}${type} x${times}`);
  return lines.sort();
}

/** Begins the lines of devices that the machine type brought along, processors included. */
export const BUILT_IN = "built-in ";

function formatPci(address: number): string {
  const slot = (address >> 3).toString(16).padStart(2, "0");
  return `${slot}.${address & 7}`;
}

async function readDetails(
  qmp: QmpClient,
  path: string,
  type: string,
): Promise<Pick<DeviceFact, "pciAddress" | "options">> {
  const asked = BALLOON_TYPE.test(type) ? BALLOON_OPTIONS : [];
  const [address, ...values] = await Promise.all(
    ["addr", ...asked].map((property) => readProperty(qmp, path, property)),
  );
  return {
    pciAddress: typeof address === "number" && address >= 0 ? address : null,
    options: asked.filter((_, at) => values[at] === true),
  };
}

/** Null where the device has no such property: not a PCI device, or an older version of it. */
async function readProperty(qmp: QmpClient, path: string, property: string): Promise<unknown> {
  try {
    return await qmp.execute("qom-get", { path, property });
  } catch (thrown) {
    if (thrown instanceof QmpCommandError) return null;
    throw thrown;
  }
}
