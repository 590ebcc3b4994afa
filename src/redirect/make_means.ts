import type { Clock } from "../core/clock.ts";
import { GatewayError } from "../core/errors.ts";
import { AnnounceMeans } from "./announce_means.ts";
import { HookMeans } from "./hook_means.ts";
import { KernelMeans } from "./kernel_means.ts";
import type { Means } from "./means.ts";
import type { RedirectSubject } from "./state.ts";

/** The means of one redirect in the order of its settings, each with a state of its own. */
export function makeMeans(subject: RedirectSubject, clock: Clock): Means[] {
  return subject.settings.means.map((settings): Means => {
    switch (settings.kind) {
      case "announce":
        return new AnnounceMeans(settings, clock);
      case "hook":
        return new HookMeans(settings);
      case "kernel":
        return new KernelMeans(settings);
      case "tunnel":
        throw new GatewayError("redirect_failed", "Cannot redirect: there is no tunnel yet", {
          hint: "Use the kernel means",
        });
    }
  });
}
