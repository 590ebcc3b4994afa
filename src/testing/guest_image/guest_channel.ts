/** Longest answer that is waited for; the guest cuts its reports well below. */
const ANSWER_BYTES_MAX = 64 * 1024;

/**
 * Command channel to a test guest: one line in, one line out, over the unix socket of its second
 * serial port. Commands: `ping` -> `pong N boot=ID`, `verify` -> `verify ok memory=N disk=N` or
 * `verify FAIL …`, `status`, `sync`, `stop-workload`, `start-workload`, `rate memory|disk|hot KIB`,
 * `corrupt-memory`, `run SHELL-COMMAND`, `poweroff`.
 *
 * Connects on first use and again after a failure. QEMU serves one client at a time.
 */
export class GuestChannel implements Disposable {
  #connection: Deno.Conn | null = null;
  #connecting: Promise<Deno.Conn> | null = null;
  #waiting = new Map<string, (answer: string | Error) => void>();
  #nextTag = 1;

  constructor(readonly socketPath: string) {}

  /**
   * @param timeoutMs a guest that is paused or moved away does not answer; default 60 s
   * @throws {Error} when there is no QEMU at the socket, it ends, or time is up
   */
  async ask(line: string, timeoutMs = 60_000): Promise<string> {
    if (line.includes("\n")) throw new RangeError("A command is one line");
    // One connection for all who ask at once: QEMU would leave a second one waiting.
    this.#connecting ??= this.#connect();
    const connection = await this.#connecting;
    // Tags differ between clients too: the guest may still answer one that has left.
    const tag = `#${crypto.randomUUID().slice(0, 8)}.${this.#nextTag++}`;
    const answered = Promise.withResolvers<string>();
    const timer = setTimeout(
      () => answered.reject(new Error(`Guest did not answer "${line}" within ${timeoutMs} ms`)),
      timeoutMs,
    );
    this.#waiting.set(tag, (answer) => {
      if (answer instanceof Error) answered.reject(answer);
      else answered.resolve(answer);
    });
    try {
      await writeAll(connection, new TextEncoder().encode(`${tag} ${line}\n`));
      return await answered.promise;
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(tag);
    }
  }

  /** Ends the connection; asking again makes a new one. */
  close(): void {
    this.#end(new Error("The channel was closed"));
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #connect(): Promise<Deno.Conn> {
    try {
      const connection = await Deno.connect({ transport: "unix", path: this.socketPath });
      this.#connection = connection;
      void this.#readAnswers(connection);
      return connection;
    } catch (error) {
      this.#connecting = null;
      throw error;
    }
  }

  async #readAnswers(connection: Deno.Conn): Promise<void> {
    const decoder = new TextDecoder();
    const chunk = new Uint8Array(4096);
    let text = "";
    try {
      for (;;) {
        const lengthBytes = await connection.read(chunk);
        if (lengthBytes === null) throw new Error("QEMU closed the guest's channel");
        text += decoder.decode(chunk.subarray(0, lengthBytes), { stream: true });
        const lines = text.split("\n");
        text = lines.pop()!.slice(-ANSWER_BYTES_MAX);
        for (const line of lines) {
          const [tag, ...words] = line.trimEnd().split(" ");
          this.#waiting.get(tag)?.(words.join(" "));
        }
      }
    } catch (error) {
      if (this.#connection === connection) this.#end(error as Error);
    }
  }

  #end(cause: Error): void {
    const connection = this.#connection;
    this.#connection = null;
    this.#connecting = null;
    try {
      connection?.close();
    } catch {
      // It ended by itself.
    }
    for (const settle of this.#waiting.values()) settle(cause);
  }
}

async function writeAll(connection: Deno.Conn, bytes: Uint8Array): Promise<void> {
  let sentBytes = 0;
  while (sentBytes < bytes.length) sentBytes += await connection.write(bytes.subarray(sentBytes));
}
