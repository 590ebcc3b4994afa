import assert from "node:assert/strict";
import { GuestChannel } from "./guest_channel.ts";

/** A guest that answers each line by what `answer` makes of tag and command; null hangs up. */
async function withGuest(
  answer: (tag: string, command: string) => string | null,
  test: (channel: GuestChannel) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/channel`;
  const listener = Deno.listen({ transport: "unix", path });
  const served = (async () => {
    const all: Promise<void>[] = [];
    for await (const connection of listener) all.push(serve(connection, answer));
    await Promise.all(all);
  })();
  const channel = new GuestChannel(path);
  try {
    await test(channel);
  } finally {
    channel.close();
    listener.close();
    await served;
    await Deno.remove(folder, { recursive: true });
  }
}

async function serve(
  connection: Deno.Conn,
  answer: (tag: string, command: string) => string | null,
): Promise<void> {
  const lines = connection.readable.pipeThrough(new TextDecoderStream());
  const writer = connection.writable.getWriter();
  let text = "";
  for await (const piece of lines) {
    const complete = (text + piece).split("\n");
    text = complete.pop()!;
    for (const line of complete) {
      const [tag, ...words] = line.split(" ");
      const reply = answer(tag, words.join(" "));
      if (reply === null) return connection.close();
      await writer.write(new TextEncoder().encode(reply));
    }
  }
  await writer.close();
}

Deno.test("ask() takes the answer with its own tag and no other", async () => {
  const guest = (tag: string, command: string) =>
    `boot noise\r\n#other.1 stale answer\n${tag} you said: ${command}\r\n`;
  await withGuest(guest, async (channel) => {
    const answers = await Promise.all([channel.ask("one  two"), channel.ask("three")]);
    assert.deepEqual(answers, ["you said: one  two", "you said: three"]);
  });
});

Deno.test("ask() gives up after its time, and the next question is answered", async () => {
  const guest = (tag: string, command: string) => command === "silence" ? "" : `${tag} here\n`;
  await withGuest(guest, async (channel) => {
    await assert.rejects(channel.ask("silence", 10), /did not answer "silence" within 10 ms/);
    assert.equal(await channel.ask("ping"), "here");
  });
});

Deno.test("ask() fails when QEMU goes away and connects anew afterwards", async () => {
  const guest = (tag: string, command: string) => command === "die" ? null : `${tag} here\n`;
  await withGuest(guest, async (channel) => {
    await assert.rejects(channel.ask("die"), /QEMU closed the guest's channel/);
    assert.equal(await channel.ask("ping"), "here");
  });
});

Deno.test("ask() refuses more than one line", async () => {
  await assert.rejects(new GuestChannel("/nowhere").ask("a\nb"), RangeError);
});
