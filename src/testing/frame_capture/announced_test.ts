import assert from "node:assert/strict";
import { announcementFrame } from "../../redirect/announcement.ts";
import { announcementOf } from "./announced.ts";

const MAC = "52:54:00:01:00:05";

Deno.test("announcements of both families are read back, and nothing else is one", () => {
  for (const ip of ["10.1.0.5", "fd01::5"]) {
    const frame = announcementFrame({ ip, mac: MAC, to: null });
    assert.deepEqual(announcementOf(frame), { ip, mac: MAC });
    // For one neighbour alone: no announcement to a network, and of ARP a question like any other.
    const asked = frame.slice();
    asked[ip.includes(":") ? 53 : 41] ^= 0xff;
    assert.equal(announcementOf(asked), null);
    assert.equal(announcementOf(frame.subarray(0, 30)), null);
  }
});
