import { loadProfile } from "../emulator/load_profile.ts";
import { parseProfile } from "../emulator/profile.ts";
import type { DirectionSettings, WanProfile } from "../emulator/settings.ts";
import type { ProfileChoice } from "./schema.ts";

/**
 * The link of a cell. A change holds for both directions and all of the timeline that does not set
 * the same; a queue that was one bandwidth-delay product is one of the changed link, unless given.
 *
 * @throws {GatewayError} `profile_not_found`, `profile_invalid`
 */
export async function resolveProfile(choice: ProfileChoice): Promise<WanProfile> {
  if (typeof choice === "string") return await loadProfile(choice);
  const base = await loadProfile(choice.base);
  const resized = choice.change.rateBitsPerSecond !== undefined ||
    choice.change.delayMs !== undefined;
  const changed = ({ queueBytes, ...rest }: DirectionSettings) => ({
    ...rest,
    ...(resized ? {} : { queueBytes }),
    ...choice.change,
  });
  const file = {
    name: choice.name,
    description: base.description,
    source: base.source,
    forward: changed(base.forward),
    backward: changed(base.backward),
    timeline: base.timeline.map(({ set, outageMs, ...event }) => ({
      ...event,
      ...(set === null ? {} : { set }),
      ...(outageMs === 0 ? {} : { outageMs }),
    })),
    timelinePeriodMs: base.timelinePeriodMs,
  };
  // As any other file: what does not fit together is told by field.
  return parseProfile(JSON.stringify(file), choice.name);
}
