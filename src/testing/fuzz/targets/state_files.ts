import assert from "node:assert/strict";
import { endOfOffer, offerBlocks } from "../../../codec/disk_offer.ts";
import { readRecord } from "../../../gateway/record_file.ts";
import { isPlainQcow2 } from "../../../gateway/image_file.ts";
import { BlockMap } from "../../../image/block_map.ts";
import { nameBuffer, nameContent } from "../../../image/content_name.ts";
import { readStoreKey } from "../../../store/key_file.ts";
import { SiteStore } from "../../../store/site_store.ts";
import { getRecord, putRecord, RECORD_BYTES, RECORD_WORDS } from "../../../store/slot_record.ts";
import { unit } from "../../../store/testing/open_store.ts";
import { mutateBytes } from "../bytes_mutator.ts";
import type { Dice } from "../dice.ts";
import { mutateJson } from "../json_mutator.ts";
import { joinParts, mutateParts, splitParts } from "../parts.ts";
import { fastDirectory } from "../fast_directory.ts";
import type { FuzzTarget } from "../target.ts";

const IMAGE_BYTES = 40 * 65_536 + 100;
const TITLE = '{"version":1}';

/** What is recorded of an image, as a file: its parts are sealed again unless the seal is the point. */
export async function imageRecord(): Promise<FuzzTarget> {
  const directory = await fastDirectory();
  const path = `${directory}/r.blocks`;
  return {
    name: "image-record",
    reads: "records of what disk images hold, and the head of a qcow2 image (src/gateway)",
    codes: ["batch_invalid"],
    form: "bytes",
    bufferBytesMax: 8 * 2 ** 20,
    testExecutions: 1_500,
    // First part: whether the parts are sealed by their digests. The second one is the title.
    generate(dice) {
      const map = new BlockMap(IMAGE_BYTES);
      for (let block = 0; block < 40; block++) {
        if (dice.chance(0.5)) map.setDigest(block, new Uint32Array(4).fill(dice.below(9)));
      }
      const parts = [...offerBlocks(0, map), endOfOffer(0, map)];
      return joinParts([Uint8Array.of(1), new TextEncoder().encode(TITLE), ...parts]);
    },
    mutate: (input, dice, others) =>
      mutateParts(input, dice, (part) => mutateBytes(part, dice, others), () => dice.bytes(12)),
    async run(input) {
      const [isSealed = new Uint8Array(), ...parts] = splitParts(input);
      await Deno.writeFile(path, (isSealed[0] ?? 0) === 1 ? sealParts(parts) : input);
      const head = new Uint8Array(80);
      head.set(input.subarray(0, 80));
      isPlainQcow2(head);
      const map = new BlockMap(IMAGE_BYTES);
      return await readRecord(path, TITLE, map);
    },
    close: () => Deno.remove(directory, { recursive: true }),
  };
}

function sealParts(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(parts.flatMap((part) => [...sealPart(part)]));
}

function sealPart(part: Uint8Array): Uint8Array {
  const name = nameBuffer();
  nameContent(part, name);
  const bytes = new Uint8Array(20 + part.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, part.length);
  for (let word = 0; word < 4; word++) view.setUint32(4 + 4 * word, name[word]);
  bytes.set(part, 20);
  return bytes;
}

const SLOTS = 8;
const PEERS = ["sha256:a", "sha256:b"];

/** The files of a content store, each damaged in its own way: what is left is given, or nothing. */
export async function storeFiles(): Promise<FuzzTarget> {
  const directory = await fastDirectory();
  const whole = await madeStore(`${directory}/whole`);
  const into = new Uint8Array(4096);
  return {
    name: "store-files",
    reads: "key, records and units of the site's content store (src/store)",
    codes: [],
    form: "bytes",
    bufferBytesMax: 64 * 2 ** 20,
    testExecutions: 150,
    generate: () => joinParts(whole),
    mutate: (input, dice) => mutateStore(input, dice),
    run(input) {
      const store = `${directory}/damaged`;
      Deno.mkdirSync(store, { recursive: true });
      const parts = splitParts(input);
      ["key", "slots", "units"].forEach((name, i) =>
        Deno.writeFileSync(`${store}/${name}`, parts[i] ?? new Uint8Array())
      );
      const key = readStoreKey(`${store}/key`);
      const complaints: string[] = [];
      const opened = new SiteStore({
        directory: store,
        bytesMax: SLOTS * 4096,
        keepsMemory: input.length % 2 === 0,
        later: () => {},
        log: (_level, message) => complaints.push(message),
      });
      let given = 0;
      const name = nameBuffer();
      for (let seed = 0; seed < 6; seed++) {
        nameContent(unit(seed), name);
        for (const peer of PEERS) {
          if (!opened.get(peer, name, into)) continue;
          given++;
          assert.deepEqual(into, unit(seed), "only what was asked for");
        }
      }
      opened.offer("m", PEERS[0]);
      for (let seed = 0; seed < SLOTS + 2; seed++) opened.put(PEERS[1], 1, unit(seed));
      opened.flush();
      opened.release("m");
      opened.close();
      assert.ok(opened.unitCount <= SLOTS);
      return `${key !== null} ${Math.min(given, 3)} ${complaints.length > 0}`;
    },
    close: () => Deno.remove(directory, { recursive: true }),
  };
}

async function madeStore(directory: string): Promise<Uint8Array[]> {
  const store = new SiteStore({
    directory,
    bytesMax: SLOTS * 4096,
    keepsMemory: true,
    later: () => {},
    log: () => {},
  });
  for (let seed = 0; seed < 5; seed++) {
    store.put(PEERS[seed % 2], seed % 2 === 0 ? 1 : 2, unit(seed));
  }
  store.close();
  const files = ["key", "slots", "units"].map((name) => Deno.readFile(`${directory}/${name}`));
  return await Promise.all(files);
}

/** Records are sealed again mostly: a damaged one is a free slot and never read. */
function mutateStore(input: Uint8Array, dice: Dice): Uint8Array {
  const [key = new Uint8Array(), slots = new Uint8Array(), units = new Uint8Array()] = splitParts(
    input,
  );
  switch (dice.below(4)) {
    case 0:
      return joinParts([mutateJson(key, dice, [], ["peers", "numbersLeased"]), slots, units]);
    case 1:
      return joinParts([key, mutateBytes(slots, dice), units]);
    case 2:
      return joinParts([key, slots, mutateBytes(units, dice)]);
    default: {
      const words = new Uint32Array(slots.slice(0, SLOTS * RECORD_BYTES).buffer);
      const [from, to] = [dice.below(SLOTS), dice.below(SLOTS)];
      const record = getRecord(
        words.subarray(from * RECORD_WORDS, (from + 1) * RECORD_WORDS),
        from,
      );
      if (record === null) return input;
      const owners = Uint16Array.from({ length: 4 }, () => dice.pick([0, 1, 2, 3, 65_535]));
      const writeNumber = dice.pick([record.writeNumber, 1, 2 ** 53 - 1, 2 ** 40]);
      const changed = { ...record, owners, writeNumber, name: record.name.slice() };
      putRecord(changed, to, words.subarray(to * RECORD_WORDS, (to + 1) * RECORD_WORDS));
      return joinParts([key, new Uint8Array(words.buffer), units]);
    }
  }
}
