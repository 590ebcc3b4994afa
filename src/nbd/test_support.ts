import type { NbdAddress } from "./address.ts";
import { connectNbd, type NbdClient } from "./client.ts";
import { type NbdServer, type NbdServerOptions, serveNbd } from "./server.ts";

/** For tests: runs with a fresh directory that is removed afterwards. */
export async function withDirectory<T>(run: (directory: string) => Promise<T>): Promise<T> {
  const directory = await Deno.makeTempDir({ prefix: "cw-nbd-" });
  try {
    return await run(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/** For tests: serves on a unix socket of its own and connects a client to export `d`. */
export async function withServer(
  options: Omit<NbdServerOptions, "address">,
  run: (client: NbdClient, server: NbdServer, address: NbdAddress) => Promise<void>,
): Promise<void> {
  await withDirectory(async (directory) => {
    const address = { kind: "unix", path: `${directory}/s` } as const;
    const server = serveNbd({ ...options, address });
    try {
      const metaContexts = ["base:allocation"];
      const client = await connectNbd({ address, exportName: "d", metaContexts });
      try {
        await run(client, server, address);
      } finally {
        await client.close();
      }
    } finally {
      await server.close();
    }
  });
}

/** For tests: bytes that differ everywhere and depend on `seed` alone. */
export function patterned(lengthBytes: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(lengthBytes);
  let state = seed | 1;
  for (let at = 0; at < lengthBytes; at++) {
    state = Math.imul(state, 1664525) + 1013904223 | 0;
    bytes[at] = state >>> 24;
  }
  return bytes;
}
