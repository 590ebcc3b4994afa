const READ_BYTES = 256 * 1024;

/** Sends the pieces through a unix socket; both ends are in this process. */
export async function unixSocket(pieces: Iterable<Uint8Array>): Promise<void> {
  const directory = await Deno.makeTempDir();
  const path = `${directory}/socket`;
  const listener = Deno.listen({ transport: "unix", path });
  try {
    const [near, far] = await Promise.all([
      Deno.connect({ transport: "unix", path }),
      listener.accept(),
    ]);
    const reading = drain(far);
    for (const piece of pieces) {
      for (let sent = 0; sent < piece.length;) sent += await near.write(piece.subarray(sent));
    }
    near.close();
    await reading;
    far.close();
  } finally {
    listener.close();
    await Deno.remove(directory, { recursive: true });
  }
}

async function drain(connection: Deno.Conn): Promise<void> {
  const target = new Uint8Array(READ_BYTES);
  while (await connection.read(target) !== null);
}
