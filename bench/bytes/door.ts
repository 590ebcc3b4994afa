/**
 * Lets processes of other network namespaces reach an address of this one: a unix socket has a path
 * in the file system, whatever the namespace. Runs until it is killed.
 *
 *     bench/bytes/door.ts SOCKET HOST PORT
 */
const [path, hostname, port] = Deno.args;

const listener = Deno.listen({ transport: "unix", path });
console.log("ready");
for await (const outside of listener) void join(outside);

async function join(outside: Deno.Conn): Promise<void> {
  try {
    using inside = await Deno.connect({ hostname, port: Number(port) });
    const [left, right] = [outside, inside].map(({ readable, writable }) => ({
      readable,
      writable,
    }));
    await Promise.all([left.readable.pipeTo(right.writable), right.readable.pipeTo(left.writable)]);
  } catch {
    // Either side has left; the other one notices.
  } finally {
    try {
      outside.close();
    } catch {
      // Piped to its end, and closed by that.
    }
  }
}
