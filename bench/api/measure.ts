import { causewayJson, Serving } from "../../src/testing/site_process.ts";
import { type Answers, send } from "./load.ts";

export interface ApiLoad {
  readonly clients: number;
  readonly wrongTokens: number;
  /** Of each phase; the one with the wrong tokens lasts until all of them were tried. */
  readonly seconds: number;
}

export interface ApiMeasurement {
  /** Clients with a good token: alone, beside the wrong ones, and after them. */
  readonly before: Answers;
  readonly during: Answers;
  readonly after: Answers;
  /** What the wrong tokens were answered. */
  readonly wrong: Answers;
  /** A good token that the gateway had not seen before, from another address, while it was tried. */
  readonly operator: Answers;
  /** The same from an address that was locked. */
  readonly newcomer: Answers;
  /** Resident memory of the gateway, at the end of each phase. */
  readonly residentBytes: {
    readonly before: number;
    readonly during: number;
    readonly after: number;
  };
  readonly auditEntries: number;
}

/** Where the clients are, who tries tokens beside them, and two operators. */
const CLIENTS = "127.0.0.1";
const STRANGER = "127.0.0.2";
const OPERATOR = "127.0.0.3";
/** What clients look at; small and large answers. */
const PATHS = ["/v1/migrations", "/v1/guests", "/v1/peers", "/metrics", "/openapi.json"];
const WRONG_SENDERS = 100;

/** A gateway in a process of its own, asked by many clients while wrong tokens are tried. */
export async function measureApi(load: ApiLoad): Promise<ApiMeasurement> {
  const directory = await Deno.makeTempDir({ prefix: "cw-api-" });
  try {
    const { configPath, apiTokenPath } = await causewayJson<Record<string, string>>(
      ...["init", "--site", "api", "--dir", directory],
      ...["--link", "127.0.0.1:0", "--http", "127.0.0.1:0"],
    );
    await using gateway = await Serving.start("gateway", "--config", configPath);
    const url = gateway.ready("http");
    const token = (await Deno.readTextFile(apiTokenPath)).trim();
    const make = async (name: string) => {
      const answer = await fetch(`${url}/v1/tokens`, {
        method: "POST",
        headers: { authorization: `Bearer ${token}` },
        body: JSON.stringify({ name, role: "read" }),
      });
      return (await answer.json()).token as string;
    };
    const [good, operators, newcomers] = [
      await make("one"),
      await make("two"),
      await make("three"),
    ];
    const phaseMs = load.seconds * 1000;
    const clients = (goOn = () => false) => {
      const untilMs = performance.now() + phaseMs;
      return send({
        url,
        from: [CLIENTS],
        senders: load.clients,
        next: (number) =>
          performance.now() < untilMs || goOn()
            ? { path: PATHS[number % PATHS.length], token: good }
            : null,
      });
    };
    const once = (from: string, token: string) =>
      send({
        url,
        from: [from],
        senders: 1,
        next: (number) => number === 0 ? { path: "/v1/peers", token } : null,
      });
    const resident = async () => await residentBytes(gateway.child.pid);

    const before = await clients();
    const residentBefore = await resident();
    let isTrying = true;
    const [during, wrong, operator, newcomer] = await Promise.all([
      clients(() => isTrying),
      send({
        url,
        from: [CLIENTS, STRANGER],
        senders: WRONG_SENDERS,
        next: (number) =>
          number < load.wrongTokens ? { path: "/v1/migrations", token: `wrong-${number}` } : null,
      }).finally(() => isTrying = false),
      delay(phaseMs / 2).then(() => once(OPERATOR, operators)),
      delay(phaseMs / 2).then(() => once(STRANGER, newcomers)),
    ]);
    const residentDuring = await resident();
    const after = await clients();
    const entries = await fetch(`${url}/v1/audit?limit=10000`, {
      headers: { authorization: `Bearer ${token}` },
    });
    return {
      before,
      during,
      after,
      wrong,
      operator,
      newcomer,
      residentBytes: {
        before: residentBefore,
        during: residentDuring,
        after: await resident(),
      },
      auditEntries: (await entries.json() as unknown[]).length,
    };
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

async function residentBytes(pid: number): Promise<number> {
  const status = await Deno.readTextFile(`/proc/${pid}/status`);
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)![1]) * 1024;
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
