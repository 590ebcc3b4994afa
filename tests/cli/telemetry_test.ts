import assert from "node:assert/strict";
import { GATEWAY_FLAGS } from "../../src/cli/demo/children.ts";
import { causewayJson } from "../../src/testing/site_process.ts";

const ROOT = new URL("../../", import.meta.url);

/** The signals of OTLP that came, by path. */
class Collector implements AsyncDisposable {
  readonly bodies = new Map<string, string>();
  readonly #server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    async (request) => {
      const { pathname } = new URL(request.url);
      this.bodies.set(pathname, (this.bodies.get(pathname) ?? "") + await request.text());
      return Response.json({});
    },
  );

  get url(): string {
    return `http://127.0.0.1:${this.#server.addr.port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}

Deno.test("a gateway with OTEL_DENO sends its requests and its log to a collector, and no token", async () => {
  await using collector = new Collector();
  const directory = await Deno.makeTempDir({ dir: "/tmp", prefix: "cw-ot-" });
  try {
    const { configPath, apiTokenPath } = await causewayJson<Record<string, string>>(
      ...["init", "--site", "north", "--dir", `${directory}/site`],
      ...["--link", "127.0.0.1:0", "--http", "127.0.0.1:0"],
    );
    const child = new Deno.Command(Deno.execPath(), {
      args: [
        ...["run", "--quiet", "--cached-only", ...GATEWAY_FLAGS, "main.ts"],
        ...["gateway", "--config", configPath],
      ],
      cwd: ROOT,
      env: {
        OTEL_DENO: "true",
        OTEL_SERVICE_NAME: "causeway-north",
        OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
        OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
      },
      stdin: "null",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    const token = (await Deno.readTextFile(apiTokenPath)).trim();
    const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
    const { value: ready } = await reader.read();
    const http = /http=(\S+)/.exec(ready!)![1];
    const headers = { authorization: `Bearer ${token}` };
    const answer = await fetch(`${http}/v1/guests`, { headers });
    assert.deepEqual(await answer.json(), []);
    // What waits to be sent goes out at the end.
    child.kill("SIGTERM");
    assert.equal((await child.status).code, 0);
    await reader.cancel();

    const [traces, logs] = ["/v1/traces", "/v1/logs"].map((path) =>
      collector.bodies.get(path) ?? ""
    );
    assert.match(traces, /causeway-north/);
    assert.match(traces, /\/v1\/guests/);
    assert.match(logs, /event=gateway\.serves/);
    for (const body of collector.bodies.values()) assert.ok(!body.includes(token));
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
