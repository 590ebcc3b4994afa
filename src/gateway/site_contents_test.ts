import assert from "node:assert/strict";
import { hintOf, nameBuffer, nameContent, UNIT_BYTES } from "../image/content_name.ts";
import { SiteContents } from "./site_contents.ts";

const MIB = 2 ** 20;

function unit(fill: number): Uint8Array {
  return new Uint8Array(UNIT_BYTES).fill(fill);
}

function nameOf(content: Uint8Array): Uint32Array {
  const name = nameBuffer();
  nameContent(content, name);
  return name;
}

async function inDirectory(test: (directory: string) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "cw-contents-" });
  try {
    await test(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

function contents(directory: string, bytesMax: number, sharedImages: string[] = []) {
  const complaints: string[] = [];
  const log = (_level: string, message: string) => void complaints.push(message);
  const made = new SiteContents({ bytesMax, sharedImages }, `${directory}/store`, true, log);
  return { made, complaints };
}

Deno.test("a move sees what its own peer has sent, and shared images", () =>
  inDirectory(async (directory) => {
    const image = `${directory}/base.raw`;
    Deno.writeFileSync(image, unit(7));
    const { made, complaints } = contents(directory, MIB, [`${directory}/missing.raw`, image]);
    made.open();
    await made.sharing;
    assert.equal(complaints.length, 1);
    assert.match(complaints[0], /missing\.raw/);
    const [one, other] = [made.ofMove("1", "sha256:aa")!, made.ofMove("2", "sha256:bb")!];
    one.put("disk", unit(1));
    const into = new Uint8Array(UNIT_BYTES);
    assert.equal(one.get(nameOf(unit(1)), into), true);
    assert.deepEqual(into, unit(1));
    assert.equal(other.get(nameOf(unit(1)), into), false);
    for (const store of [one, other]) assert.equal(store.get(nameOf(unit(7)), into), true);
    const hints = (fills: number[]) =>
      fills.map((fill) => hintOf(nameOf(unit(fill)))).sort(byValue);
    assert.deepEqual([...one.offer()], hints([1, 7]));
    assert.deepEqual([...other.offer()], hints([7]));
    assert.equal(made.ofMove("3", null), null, "a site that is not trusted any more");
    made.close();
    assert.equal(made.ofMove("4", "sha256:aa"), null);
    assert.equal(one.get(nameOf(unit(1)), into), false, "a move outlives the store");
    one.put("disk", unit(2));
    one.release();
  }));

const byValue = (a: number, b: number) => a - b;

Deno.test("a store that is switched off or cannot be opened is none, and the gateway goes on", () =>
  inDirectory((directory) => {
    const off = contents(directory, 0);
    off.made.open();
    assert.equal(off.made.ofMove("1", "sha256:aa"), null);
    assert.deepEqual(off.complaints, []);
    Deno.writeTextFileSync(`${directory}/store`, "no directory");
    const broken = contents(directory, MIB);
    broken.made.open();
    assert.equal(broken.made.ofMove("1", "sha256:aa"), null);
    assert.equal(broken.complaints.length, 1);
    off.made.close();
    broken.made.close();
    return Promise.resolve();
  }));

Deno.test("what was sent to a peer is known to all moves to it, and to no other", () => {
  const { made } = contents("/nowhere", 0);
  const sent = made.sentTo("south");
  sent.limitTo(MIB);
  sent.add(5);
  assert.equal(made.sentTo("south").has(5), true);
  assert.equal(made.sentTo("north").has(5), false);
});
