import type { Clock } from "../core/clock.ts";
import { AnnounceMeans } from "./announce_means.ts";
import { DnsMeans } from "./dns_means.ts";
import { HookMeans } from "./hook_means.ts";
import { KernelMeans } from "./kernel_means.ts";
import type { Means } from "./means.ts";
import type { NameServers } from "./name_server.ts";
import type { RedirectSubject } from "./state.ts";
import type { TunnelHub } from "./tunnel_hub.ts";
import { TunnelMeans } from "./tunnel_means.ts";

/** The means of one redirect in the order of its settings, each with a state of its own. */
export function makeMeans(
  subject: RedirectSubject,
  clock: Clock,
  hub: TunnelHub,
  nameServers: NameServers,
): Means[] {
  return subject.settings.means.map((settings): Means => {
    switch (settings.kind) {
      case "announce":
        return new AnnounceMeans(settings, clock);
      case "dns":
        return new DnsMeans(settings, clock, nameServers);
      case "hook":
        return new HookMeans(settings);
      case "kernel":
        return new KernelMeans(settings);
      case "tunnel":
        return new TunnelMeans(settings, hub);
    }
  });
}
