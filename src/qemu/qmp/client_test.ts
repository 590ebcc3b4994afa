import assert from "node:assert/strict";
import { systemClock } from "../../host/system_clock.ts";
import { connectQmp, QmpCommandError } from "./client.ts";

const GREETING = '{"QMP": {"version": {"qemu": {"micro": 2, "minor": 0, "major": 10}}, ' +
  '"capabilities": []}}\r\n';
const clock = systemClock();

/** A monitor that answers each received line by `answer`; lines it returns are sent as they are. */
async function withMonitor(
  answer: (line: string) => string[],
  greeting: string,
  body: (path: string) => Promise<void>,
): Promise<void> {
  const directory = await Deno.makeTempDir();
  const path = `${directory}/m`;
  const listener = Deno.listen({ transport: "unix", path });
  const served = (async () => {
    for await (const conn of listener) {
      await conn.write(new TextEncoder().encode(greeting));
      const lines = conn.readable.pipeThrough(new TextDecoderStream());
      let held = "";
      try {
        for await (const text of lines) {
          held += text;
          for (let end = held.indexOf("\n"); end >= 0; end = held.indexOf("\n")) {
            const out = answer(held.slice(0, end)).map((line) => `${line}\r\n`).join("");
            held = held.slice(end + 1);
            await conn.write(new TextEncoder().encode(out));
          }
        }
      } catch {
        // The client hung up.
      }
    }
  })();
  try {
    await body(path);
  } finally {
    listener.close();
    await served;
    await Deno.remove(directory, { recursive: true });
  }
}

function ok(line: string): string[] {
  return [JSON.stringify({ return: {}, id: JSON.parse(line).id })];
}

Deno.test("answers find their commands by id and events reach listeners before them", async () => {
  await withMonitor(
    (line) => {
      const { execute, id } = JSON.parse(line);
      if (execute === "stop") {
        return [
          '{"event": "MIGRATION_PASS", "data": {"pass": 2}}',
          '{"event": "STOP"}',
          ...ok(line),
        ];
      }
      if (execute === "bad") return [JSON.stringify({ error: { class: "C", desc: "no" }, id })];
      return ok(line);
    },
    GREETING,
    async (path) => {
      const qmp = await connectQmp(path, { clock });
      assert.equal(qmp.version, "10.0.2");
      const seen: string[] = [];
      qmp.onEvent((event) => seen.push(event.name));
      const [, failure] = await Promise.all([
        qmp.execute("stop"),
        qmp.execute("bad").catch((thrown) => thrown),
      ]);
      assert.deepEqual(seen, ["STOP"]);
      assert.ok(failure instanceof QmpCommandError);
      assert.equal(failure.message, "Cannot execute bad: no");
      qmp.close();
      assert.equal(await qmp.closed, null);
    },
  );
});

Deno.test("a monitor that does not greet is held by somebody else, and says so", async () => {
  await withMonitor(() => [], "", async (path) => {
    await assert.rejects(
      connectQmp(path, { clock, greetingTimeoutMs: 20 }),
      { code: "guest_unreachable", message: /another client may hold it/ },
    );
  });
});

Deno.test("a service that greets as something else is told from a monitor", async () => {
  await withMonitor(() => [], "SSH-2.0-OpenSSH_9.2\r\n", async (path) => {
    await assert.rejects(connectQmp(path, { clock }), { code: "qmp_protocol" });
  });
});

Deno.test("a missing socket is named", async () => {
  await assert.rejects(
    connectQmp("/nonexistent/vm.qmp", { clock }),
    { code: "guest_unreachable", message: /\/nonexistent\/vm\.qmp/ },
  );
});

Deno.test("garbage ends the connection and every waiting command with qmp_protocol", async () => {
  await withMonitor(
    (line) => line.includes("query") ? ["}{"] : ok(line),
    GREETING,
    async (path) => {
      const qmp = await connectQmp(path, { clock });
      await assert.rejects(qmp.execute("query-status"), { code: "qmp_protocol" });
      assert.equal((await qmp.closed)?.code, "qmp_protocol");
      await assert.rejects(qmp.execute("query-status"), { code: "qmp_protocol" });
    },
  );
});

Deno.test("a command that is never answered gives up after its time", async () => {
  await withMonitor((line) => line.includes("query") ? [] : ok(line), GREETING, async (path) => {
    const qmp = await connectQmp(path, { clock });
    await assert.rejects(
      qmp.execute("query-status", {}, { timeoutMs: 20 }),
      { code: "guest_unreachable" },
    );
    qmp.close();
    await qmp.closed;
  });
});
