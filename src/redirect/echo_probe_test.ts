import assert from "node:assert/strict";
import { requires } from "../testing/requirements.ts";
import { EchoProbe } from "./echo_probe.ts";

Deno.test("questions that are open at once are one process, and the next one is another", async () => {
  const ends: ((success: boolean) => void)[] = [];
  const commands: string[] = [];
  const probe = new EchoProbe({
    attempt(command) {
      commands.push(command.join(" "));
      const { promise, resolve } = Promise.withResolvers<boolean>();
      ends.push(resolve);
      return promise.then((success) => ({ success, stdout: "", stderr: "" }));
    },
  });
  const asked = [probe.ask("10.1.0.5", 3_000), probe.ask("10.1.0.5", 3_000)];
  const other = probe.ask("fd01::5", 200);
  assert.deepEqual(commands, [
    "ping -n -q -i 0.05 -c 1 -w 3 10.1.0.5",
    "ping -n -q -i 0.05 -c 1 -w 1 fd01::5",
  ]);
  ends[0](true);
  ends[1](false);
  assert.deepEqual(await Promise.all([...asked, other]), [true, true, false]);
  const again = probe.ask("10.1.0.5", 3_000);
  ends[2](false);
  assert.equal(await again, false);
});

Deno.test("a host without ping reaches nobody by it, and says no more", async () => {
  const probe = new EchoProbe({ attempt: () => Promise.reject(new Error("not there")) });
  assert.equal(await probe.ask("10.1.0.5", 100), false);
});

Deno.test("a real host answers over IPv4 and IPv6", await requires("ping"), async () => {
  const probe = new EchoProbe();
  for (const ip of ["127.0.0.1", "::1"]) assert.equal(await probe.ask(ip, 2_000), true, ip);
  // Ping asks no broadcast address unless it is told to.
  assert.equal(await probe.ask("255.255.255.255", 1), false);
});
