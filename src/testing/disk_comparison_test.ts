import assert from "node:assert/strict";
import { compareDisks, sequenceOf, syncedSequences } from "./disk_comparison.ts";

const BLOCK_BYTES = 4096;

function block(number: number, sequence: number, fill: number): Uint8Array {
  const bytes = new Uint8Array(BLOCK_BYTES).fill(fill);
  const header = `cw disk=vda block=${number} sequence=${sequence}`.padEnd(63) + "\n";
  bytes.set(new TextEncoder().encode(header));
  return bytes;
}

async function compare(left: Uint8Array[], right: Uint8Array[], lastSequence: number | null) {
  const folder = await Deno.makeTempDir();
  try {
    for (const [name, blocks] of Object.entries({ left, right })) {
      const bytes = new Uint8Array(blocks.length * BLOCK_BYTES);
      blocks.forEach((each, index) => bytes.set(each, index * BLOCK_BYTES));
      await Deno.writeFile(`${folder}/${name}`, bytes);
    }
    return await compareDisks(`${folder}/left`, `${folder}/right`, BLOCK_BYTES, lastSequence);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("a block may differ only where its header says that it was written later", async () => {
  const source = [block(0, 1, 7), block(1, 2, 7), block(2, 3, 7), block(3, 4, 7)];
  const destination = [
    block(0, 1, 7),
    block(1, 9, 8), // written after the switch
    block(2, 3, 8), // the same write with other content
    block(7, 9, 8), // another block's content
  ];
  assert.deepEqual(await compare(source, destination, 4), {
    blocks: 4,
    equalBlocks: 1,
    newerBlocks: 1,
    wrongBlocks: [2, 3],
  });
});

Deno.test("without writes after the switch no block may differ", async () => {
  const { wrongBlocks } = await compare([block(0, 1, 7)], [block(0, 2, 7)], null);
  assert.deepEqual(wrongBlocks, [0]);
});

Deno.test("a block without a header has no sequence", () => {
  assert.equal(sequenceOf(new Uint8Array(BLOCK_BYTES), 0), null);
  assert.equal(sequenceOf(block(3, 12, 0), 3), 12);
});

Deno.test("numbers go on at the destination, also where the switch cuts a line in two", () => {
  const source = "synced vda 1\r\nsynced vda 2\r\nsynced vda 3\r\nsyn";
  assert.deepEqual(syncedSequences(source, "ced vda 4\r\nsynced vda 5\r\n"), {
    atSwitch: 3,
    last: 5,
    missing: [],
  });
  assert.deepEqual(syncedSequences("synced vda 1\n", "synced vda 3\n").missing, [2]);
  assert.deepEqual(syncedSequences("synced vda 1\nsynced vda 1", "2\nsynced vda 13\n").atSwitch, 1);
});
