import { GatewayError } from "../core/errors.ts";

/**
 * Takes a site for this process alone, before anything of it is read: a second gateway would give
 * back machines that the first one is moving. The system lets go of it when the process ends, however
 * it ends.
 *
 * @returns gives it back
 * @throws {GatewayError} `gateway_running` with its process id, `ledger_unusable`
 */
export function lockSite(
  { ledgerFile, stateDirectory }: { readonly ledgerFile: string; readonly stateDirectory: string },
): Disposable {
  // Both, because two configurations may share either.
  const held = new DisposableStack();
  try {
    for (const path of [`${ledgerFile}.lock`, `${stateDirectory}/gateway.lock`]) {
      held.use(lockFile(path));
    }
    return held.move();
  } finally {
    held.dispose();
  }
}

function lockFile(path: string): Deno.FsFile {
  const file = open(path);
  if (!file.tryLockSync(true)) {
    const pid = holderOf(file);
    file.close();
    throw new GatewayError(
      "gateway_running",
      `Cannot start: a gateway of this site runs already${pid === "" ? "" : ` (pid ${pid})`}`,
      { hint: `Stop it first, or use another site's configuration; it holds ${path}` },
    );
  }
  file.truncateSync();
  file.writeSync(new TextEncoder().encode(`${Deno.pid}\n`));
  return file;
}

function open(path: string): Deno.FsFile {
  try {
    return Deno.openSync(path, { read: true, write: true, create: true, mode: 0o600 });
  } catch (cause) {
    throw new GatewayError(
      "ledger_unusable",
      `Cannot lock ${path}: ${cause instanceof Error ? cause.message : cause}`,
      { hint: "Check that its directory exists and is writable", cause },
    );
  }
}

/** Process id that the holder wrote; empty while it has not. */
function holderOf(file: Deno.FsFile): string {
  const bytes = new Uint8Array(32);
  const count = file.readSync(bytes) ?? 0;
  return /^\d+/.exec(new TextDecoder().decode(bytes.subarray(0, count)))?.[0] ?? "";
}
