/** A file system of its own in memory that can be full, or read-only. Needs root, as tests do. */
export class SmallDisk implements AsyncDisposable {
  private constructor(readonly directory: string, private readonly owned: boolean) {}

  /** @param at an existing folder; without it one is made and removed again */
  static async mount(sizeMiB: number, at?: string, readOnly = false): Promise<SmallDisk> {
    const directory = at ?? await Deno.makeTempDir({ prefix: "cw-disk-" });
    const options = `size=${sizeMiB}m${readOnly ? ",ro" : ""}`;
    await run("mount", "-t", "tmpfs", "-o", options, "causeway-test", directory);
    return new SmallDisk(directory, at === undefined);
  }

  /** Not a byte is left. */
  fill(): void {
    using file = Deno.openSync(`${this.directory}/filler`, { create: true, append: true });
    // Large pieces first: the last pages go one by one.
    for (const bytes of [1 << 16, 1 << 12, 1]) {
      const piece = new Uint8Array(bytes);
      try {
        for (;;) file.writeSync(piece);
      } catch (error) {
        if (!/os error 28/.test(String(error))) throw error;
      }
    }
  }

  free(): void {
    Deno.removeSync(`${this.directory}/filler`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Lazily: a process that the test has not ended yet may still have files open.
    await run("umount", "--lazy", this.directory);
    if (this.owned) await Deno.remove(this.directory).catch(() => {});
  }
}

async function run(command: string, ...args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(command, { args }).output();
  if (!success) throw new Error(`${command}: ${new TextDecoder().decode(stderr)}`);
}
