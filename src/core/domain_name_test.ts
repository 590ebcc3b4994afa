import assert from "node:assert/strict";
import { DOMAIN_NAME } from "./domain_name.ts";

Deno.test("names of the DNS are labels, and nothing that a command could take for something else", () => {
  const good = ["web.example.org", "web.example.org.", "WEB", "*.example.org", "_dns.a-b.org"];
  const bad = [
    ...["", ".", "-k.example.org", "web..example.org", "web example.org", "web.example.org\nsend"],
    ...["web.example.org;", "a*.example.org", `${"a".repeat(64)}.org`, "a.".repeat(127) + "a"],
    ...["web-.example.org", "wéb.example.org"],
  ];
  for (const name of good) assert.match(name, DOMAIN_NAME);
  for (const name of bad) assert.doesNotMatch(name, DOMAIN_NAME);
});
