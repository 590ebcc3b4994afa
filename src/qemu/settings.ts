import { cpuThrottleParameters } from "./cpu_throttle.ts";
import { ask, capabilitiesAnswer, parametersAnswer } from "./answers.ts";
import type { QmpClient } from "./qmp/client.ts";

type ParameterValue = string | number | boolean;

/** Capabilities and parameters of QEMU's migration, by name. Plain JSON: it goes into the notes. */
export interface Settings {
  readonly capabilities: Readonly<Record<string, boolean>>;
  readonly parameters: Readonly<Record<string, ParameterValue>>;
}

/**
 * Off on both sides: each of them changes the stream's format or who writes to which socket, and
 * the stream reader would have to relay it unread. Those that a version lacks are left out.
 */
const OFF = {
  "background-snapshot": false,
  block: false,
  compress: false,
  "dirty-bitmaps": false,
  "mapped-ram": false,
  multifd: false,
  "postcopy-preempt": false,
  "postcopy-ram": false,
  "rdma-pin-all": false,
  // Frees memory as it is sent: after a failure nothing could run at the source.
  "release-ram": false,
  "x-colo": false,
  "x-ignore-shared": false,
  xbzrle: false,
  "zero-copy-send": false,
} as const;

/** The stream ends at the local gateway: TLS is its peer link's business. */
const PLAIN = { "tls-creds": "", "tls-hostname": "", mode: "normal" } as const;

/** Nobody but the gateway slows the machine down, and it only where the move may. */
const UNTHROTTLED = { "auto-converge": false, "dirty-limit": false } as const;

const SOURCE_SETTINGS: Settings = {
  capabilities: {
    ...OFF,
    ...UNTHROTTLED,
    events: true,
    "pause-before-switchover": true,
    "return-path": true,
    "switchover-ack": true,
  },
  parameters: {
    ...PLAIN,
    // Above 0: with 0 QEMU never looks for dirty pages again (8.1+), or pauses at once (7.2).
    "downtime-limit": 300,
    "max-bandwidth": 1024 * 1024 * 1024,
    // 8.2+: 0 lets QEMU go by what it measures; a value of the operator's is about another link.
    "avail-switchover-bandwidth": 0,
  },
};

/** Parameters that change while a move runs, so that even equal values have to be noted. */
const MOVING = ["downtime-limit", "max-bandwidth"] as const;

/** What a source needs; `auto-converge` can only be set before a stream begins. */
export function sourceSettings(mayThrottleCpu: boolean): Settings {
  if (!mayThrottleCpu) return SOURCE_SETTINGS;
  return {
    capabilities: { ...SOURCE_SETTINGS.capabilities, "auto-converge": true },
    parameters: { ...SOURCE_SETTINGS.parameters, ...cpuThrottleParameters(0) },
  };
}

/** The values of `found` that a source has to put back, whatever `change` says of them. */
export function movingParameters(
  found: Settings,
  mayThrottleCpu: boolean,
): Record<string, ParameterValue> {
  const names = [...MOVING, ...(mayThrottleCpu ? Object.keys(cpuThrottleParameters(0)) : [])];
  return Object.fromEntries(
    names.filter((name) => Object.hasOwn(found.parameters, name))
      .map((name) => [name, found.parameters[name]]),
  );
}

export const DESTINATION_SETTINGS: Settings = {
  capabilities: { ...OFF, events: true, "return-path": true, "late-block-activate": false },
  parameters: {
    ...PLAIN,
    // The machine would announce its address when it is loaded, before it runs here.
    "announce-rounds": 0,
  },
};

/** What has to be set to get from `found` to `wanted`, and the found values that this changes. */
export interface SettingsChange {
  readonly set: Settings;
  readonly found: Settings;
}

/** Pure: names that `found` lacks are unknown to this version and left out. */
export function settingsChange(found: Settings, wanted: Settings): SettingsChange {
  const [capabilities, foundCapabilities] = differences(found.capabilities, wanted.capabilities);
  const [parameters, foundParameters] = differences(found.parameters, wanted.parameters);
  return {
    set: { capabilities, parameters },
    found: { capabilities: foundCapabilities, parameters: foundParameters },
  };
}

function differences<T>(
  found: Readonly<Record<string, T>>,
  wanted: Readonly<Record<string, T>>,
): [Record<string, T>, Record<string, T>] {
  const set: Record<string, T> = {};
  const before: Record<string, T> = {};
  for (const [name, value] of Object.entries(wanted)) {
    if (!Object.hasOwn(found, name) || found[name] === value) continue;
    set[name] = value;
    before[name] = found[name];
  }
  return [set, before];
}

export async function readSettings(qmp: QmpClient): Promise<Settings> {
  const [capabilities, parameters] = await Promise.all([
    ask(qmp, "query-migrate-capabilities", capabilitiesAnswer),
    ask(qmp, "query-migrate-parameters", parametersAnswer),
  ]);
  return {
    capabilities: Object.fromEntries(capabilities.map((each) => [each.capability, each.state])),
    parameters: Object.fromEntries(Object.entries(parameters).filter(isSettable)),
  };
}

export async function applySettings(qmp: QmpClient, settings: Settings): Promise<void> {
  const capabilities = Object.entries(settings.capabilities)
    .map(([capability, state]) => ({ capability, state }));
  if (capabilities.length > 0) await qmp.execute("migrate-set-capabilities", { capabilities });
  if (Object.keys(settings.parameters).length > 0) {
    await qmp.execute("migrate-set-parameters", { ...settings.parameters });
  }
}

function isSettable(entry: [string, unknown]): entry is [string, ParameterValue] {
  return ["string", "number", "boolean"].includes(typeof entry[1]);
}
