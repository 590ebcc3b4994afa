import { HostCommands } from "../redirect/host_commands.ts";

/** Where Debian's package has it. */
const NAMED = "/usr/sbin/named";
const START_MS = 10_000;

/** A BIND of a test's own, on loopback. */
export interface BindProcess extends AsyncDisposable {
  /** `HOST:PORT`. */
  readonly address: string;
  /** Of the key that may change A and AAAA of `web.example.org`, and no more. */
  readonly keyFile: string;
  /** Of one that has the same name and another secret. */
  readonly wrongKeyFile: string;
  /** What the zone has under a name, as BIND's own client prints it, sorted. */
  records(name: string): Promise<string[]>;
  /** Ends it; nobody answers at its address from then on. */
  stop(): Promise<void>;
}

/**
 * Starts the primary of `example.org`.
 *
 * @param records lines of the zone file, such as `web A 10.1.0.5`
 */
export async function startBind(records: readonly string[]): Promise<BindProcess> {
  const host = new HostCommands();
  await using made = new AsyncDisposableStack();
  const folder = await Deno.makeTempDir({ prefix: "causeway-bind-" });
  made.defer(() => Deno.remove(folder, { recursive: true }));
  const key = async (file: string) => {
    const text = await host.run(["tsig-keygen", "-a", "hmac-sha256", "causeway"]);
    await Deno.writeTextFile(`${folder}/${file}`, text, { mode: 0o600 });
    return `${folder}/${file}`;
  };
  const keyFile = await key("causeway.key");
  const wrongKeyFile = await key("wrong.key");
  const port = freePort();
  const zone = [
    "$TTL 3600",
    "@ SOA ns hostmaster 1 3600 600 86400 60",
    "@ NS ns",
    "ns A 127.0.0.1",
  ];
  await Deno.writeTextFile(`${folder}/zone`, [...zone, ...records, ""].join("\n"));
  await Deno.writeTextFile(`${folder}/named.conf`, configuration(folder, keyFile, port));
  // Debian's AppArmor profile is for the installed path, and keeps that one out of /tmp.
  await Deno.copyFile(NAMED, `${folder}/named`);
  const child = new Deno.Command(`${folder}/named`, {
    args: ["-g", "-n", "1", "-c", `${folder}/named.conf`],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  let isStopped = false;
  const stop = async () => {
    if (isStopped) return;
    isStopped = true;
    child.kill();
    await child.status;
    await logged;
  };
  const ready = Promise.withResolvers<void>();
  const logged = watch(child.stderr, ready);
  made.defer(stop);
  const late = setTimeout(() => ready.reject(new Error("named has not started in time")), START_MS);
  await ready.promise.finally(() => clearTimeout(late));
  const owned = made.move();
  return {
    address: `127.0.0.1:${port}`,
    keyFile,
    wrongKeyFile,
    async records(name) {
      const at = ["@127.0.0.1", "-p", `${port}`, "+tcp", "+norecurse", "+noall", "+answer"];
      const texts = await Promise.all(
        ["A", "AAAA"].map((type) => host.run(["dig", ...at, `${name}.`, type])),
      );
      return texts.join("").split("\n").filter((line) => line !== "")
        .map((line) => line.split(/\s+/).join(" ")).sort();
    },
    stop,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

function configuration(folder: string, keyFile: string, port: number): string {
  return `
include "${keyFile}";
options {
  directory "${folder}";
  listen-on port ${port} { 127.0.0.1; };
  listen-on-v6 { none; };
  pid-file none;
  session-keyfile none;
  managed-keys-directory "${folder}";
  recursion no;
  dnssec-validation no;
  notify no;
};
controls { };
zone "example.org" {
  type primary;
  file "${folder}/zone";
  update-policy { grant causeway name web.example.org. A AAAA; };
};
`;
}

/** Reads the log to its end; an end before the start is a failure with what was said. */
async function watch(
  stream: ReadableStream<Uint8Array>,
  ready: PromiseWithResolvers<void>,
): Promise<void> {
  let text = "";
  for await (const chunk of stream.pipeThrough(new TextDecoderStream())) {
    text = (text + chunk).slice(-4096);
    if (/\brunning\n/.test(text)) ready.resolve();
  }
  ready.reject(new Error(`named has ended: ${text}`));
}

/** One that nobody listens at now, over TCP. */
function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return (listener.addr as Deno.NetAddr).port;
}
