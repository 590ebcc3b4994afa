import { GatewayError } from "../../core/errors.ts";
import type { MemoryItem } from "../../guest/memory_items.ts";
import type { Machine } from "../machine.ts";
import { ask, migrateAnswer } from "../answers.ts";
import { MigrationWatch, SETTLED } from "../migration_watch.ts";
import { createReturnPathParser } from "../stream/return_path.ts";
import { createStreamWriter } from "../stream/writer.ts";
import { HeldEnd } from "./held_end.ts";
import { isRepeatable } from "./repeatable.ts";

const READ_BUFFER_BYTES = 64 * 1024;
/** Device state loads in tens of ms; a slow disk that is activated may add seconds. */
const LOAD_TIMEOUT_MS = 60_000;
const RUN_STATE_TIMEOUT_MS = 10_000;

type Layout = Extract<MemoryItem, { kind: "layout" }>;

/** The memory stream into an incoming QEMU. */
export class MemorySink {
  readonly #machine: Machine;
  readonly #conn: Deno.Conn;
  readonly #writer = createStreamWriter();
  readonly #end = new HeldEnd();
  readonly #returned: Promise<number | null>;
  /** True between `reset` and the new stream's layout: its opening is already at the destination. */
  #skipping = false;
  #layout: Layout | null = null;
  /** Lasting bytes behind the layout went out: the stream is past what another could replace. */
  #committed = false;
  #closed = false;

  private constructor(machine: Machine, conn: Deno.Conn) {
    this.#machine = machine;
    this.#conn = conn;
    this.#returned = this.#readReturnPath();
  }

  /**
   * Makes QEMU listen and connects. Where it is offered (9.1+) a failed load leaves the process
   * alive long enough to ask it why.
   */
  static async open(machine: Machine, socketPath: string): Promise<MemorySink> {
    const tcpHost = machine.address.kind === "tcp" ? machine.address.host : null;
    const uri = tcpHost === null
      ? `unix:${socketPath}`
      : `tcp:${tcpHost.includes(":") ? `[${tcpHost}]` : tcpHost}:0`;
    await machine.execute("migrate-incoming", {
      uri,
      ...(survivesFailedLoad(machine.version) ? { "exit-on-error": false } : {}),
    });
    const conn = tcpHost === null
      ? await Deno.connect({ transport: "unix", path: socketPath })
      : await Deno.connect({ hostname: tcpHost, port: await chosenPort(machine) });
    return new MemorySink(machine, conn);
  }

  async write(items: readonly MemoryItem[]): Promise<void> {
    await this.#put(this.#end.push(this.#withoutOpening(items)));
  }

  /**
   * The source cancelled its stream and begins another. Its pages continue in this stream: QEMU is
   * inside the memory rounds and takes any page any number of times, so the new stream's opening
   * (header, block list), which says the same again, is left out.
   */
  async reset(): Promise<void> {
    if (this.#committed) {
      throw await loadError(
        this.#machine,
        "the source began again after the end of its stream had been written",
      );
    }
    this.#end.clear();
    // Before the layout nothing went out: the opening is held until the first pages follow.
    this.#skipping = this.#layout !== null;
  }

  /** Writes the end of the stream and waits until the machine is loaded and stands still. */
  async load(): Promise<void> {
    const watch = new MigrationWatch(this.#machine);
    try {
      await this.#put(this.#end.release());
      for (const bytes of this.#writer.flush()) await this.#send(bytes);
      const settled = await watch.untilMigration(SETTLED, LOAD_TIMEOUT_MS);
      const status = settled?.status === "completed" ? await this.#returned : null;
      if (settled?.status !== "completed" || status !== 0) {
        throw await loadError(
          this.#machine,
          settled?.["error-desc"] ?? `its status is ${settled?.status ?? "unknown"}` +
              (status === null ? "" : `, it answered ${status}`),
        );
      }
      const state = await watch.untilRunState(
        (each) => each !== "inmigrate" && each !== "running",
        RUN_STATE_TIMEOUT_MS,
      );
      if (state === null) throw await loadError(this.#machine, "it did not arrive paused");
    } catch (thrown) {
      throw await this.#machine.explain(thrown);
    } finally {
      watch.close();
    }
    this.close();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#conn.close();
  }

  #withoutOpening(items: readonly MemoryItem[]): readonly MemoryItem[] {
    if (!this.#skipping) return items;
    const at = items.findIndex((item) => item.kind === "layout");
    if (at < 0) return [];
    this.#skipping = false;
    // The layout itself goes to the writer, which refuses another one than before.
    return items.slice(at);
  }

  async #put(items: readonly MemoryItem[]): Promise<void> {
    for (const item of items) {
      if (item.kind === "layout") this.#layout = item;
      else if (item.kind === "opaque" && this.#layout && !isRepeatable(item.bytes)) {
        this.#committed = true;
      }
      for (const bytes of this.#writer.write(item)) await this.#send(bytes);
    }
  }

  async #send(bytes: Uint8Array): Promise<void> {
    try {
      for (let at = 0; at < bytes.length;) at += await this.#conn.write(bytes.subarray(at));
    } catch (thrown) {
      const answer = await ask(this.#machine, "query-migrate", migrateAnswer).catch(() => null);
      throw await this.#machine.explain(
        await loadError(this.#machine, answer?.["error-desc"] ?? "it closed the stream", thrown),
      );
    }
  }

  /** Reads on until SHUT and gives its status; null when the path ended without one. */
  async #readReturnPath(): Promise<number | null> {
    const parser = createReturnPathParser();
    const buffer = new Uint8Array(READ_BUFFER_BYTES);
    try {
      for (;;) {
        const count = await this.#conn.read(buffer);
        if (count === null) return null;
        for (const message of parser.push(buffer.subarray(0, count))) {
          if (message.kind === "shut") return message.status;
        }
      }
    } catch {
      // Closed here, or reset by a process that died: whoever writes next learns it.
      return null;
    }
  }
}

function survivesFailedLoad(version: string): boolean {
  const [major, minor] = version.split(".").map(Number);
  return major > 9 || (major === 9 && minor >= 1);
}

/** `tcp:HOST:0` lets QEMU choose; it tells the port afterwards. */
async function chosenPort(machine: Machine): Promise<number> {
  const answer = await ask(machine, "query-migrate", migrateAnswer);
  for (const address of answer["socket-address"] ?? []) {
    if ("port" in address) return Number(address.port);
  }
  throw await loadError(machine, "it does not say where it listens for the stream");
}

/** QEMU names the section that it refuses on its standard error only. */
async function loadError(
  machine: Machine,
  reason: string,
  cause?: unknown,
): Promise<GatewayError> {
  const lastWords = await machine.lastWords();
  const message = `Cannot load the machine "${machine.id}": ${reason}`;
  return new GatewayError("memory_load_failed", lastWords ? `${message}: ${lastWords}` : message, {
    hint: "Compare devices and versions of both machines; register this one again for a retry",
    cause,
  });
}
