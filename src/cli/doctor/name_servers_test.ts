import assert from "node:assert/strict";
import { checkNameServers } from "./name_servers.ts";

const nameServers = {
  main: { address: "192.0.2.53:53", zone: "example.org", keyFile: "/etc/causeway/ddns.key" },
};

Deno.test("a site with name servers needs the programs that ask and change them, another one none", async () => {
  const has = (...names: string[]) => (name: string) => Promise.resolve(names.includes(name));
  const found = await checkNameServers({ nameServers }, has("dig"));
  assert.deepEqual(found.map(({ verdict, seen }) => [verdict, seen]), [
    ["fail", "nsupdate not on PATH"],
  ]);
  const [all] = await checkNameServers({ nameServers }, has("dig", "nsupdate"));
  assert.equal(all.verdict, "ok");
  assert.deepEqual(await checkNameServers({ nameServers: {} }, has()), []);
});
