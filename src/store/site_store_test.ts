import assert from "node:assert/strict";
import fc from "fast-check";
import { hintOf, nameBuffer, nameContent, UNIT_BYTES } from "../image/content_name.ts";
import type { SiteStore } from "./site_store.ts";
import { DISK, MEMORY, RECORD_WORDS } from "./slot_record.ts";
import { inDirectory, TestStore, unit } from "./testing/open_store.ts";

const SLOTS = 8;
const PEERS = ["sha256:aa", "sha256:bb", "sha256:cc"];
const SEEDS = 20;

const UNITS = Array.from({ length: 2000 }, (_, seed) => unit(seed));
const NAMES = UNITS.map((content) => {
  const name = nameBuffer();
  nameContent(content, name);
  return name;
});

/** The content that a store gives; null when it gives none. */
function given(store: SiteStore, peer: string, seed: number): Uint8Array | null {
  const into = new Uint8Array(UNIT_BYTES);
  return store.get(peer, NAMES[seed], into) ? into : null;
}

function assertGiven(store: SiteStore, peer: string, seed: number): void {
  assert.deepEqual(given(store, peer, seed), UNITS[seed], `${peer} ${seed}`);
}

type Step =
  | { kind: "put" | "get"; peer: number; seed: number }
  | { kind: "offer" | "release"; peer: number; offer: number }
  | { kind: "work" | "restart" | "crash" }
  | { kind: "tear"; file: "units" | "slots"; at: number; bytes: number };

const peer = fc.nat(PEERS.length - 1);
const seed = fc.nat(SEEDS - 1);
const use: fc.Arbitrary<Step> = fc.record({
  kind: fc.constantFrom("put" as const, "put" as const, "get" as const),
  peer,
  seed,
});
const pin: fc.Arbitrary<Step> = fc.record({
  kind: fc.constantFrom("offer" as const, "release" as const, "release" as const),
  peer,
  offer: fc.nat(3),
});
const work: fc.Arbitrary<Step> = fc.constant({ kind: "work" as const });
const accident: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constantFrom("restart" as const, "crash" as const) }),
  fc.record({
    kind: fc.constant("tear" as const),
    file: fc.constantFrom("units" as const, "slots" as const),
    at: fc.nat(SLOTS * UNIT_BYTES),
    bytes: fc.nat(5000),
  }),
);
const weighted = (withAccidents: boolean) =>
  fc.array(
    fc.oneof(
      { weight: 12, arbitrary: use },
      { weight: 2, arbitrary: pin },
      { weight: 3, arbitrary: work },
      { weight: withAccidents ? 2 : 0, arbitrary: accident },
    ),
    { minLength: 50, maxLength: 200, size: "max" },
  );

/** The store as it is meant: contents by their last use, owners, pins. */
class Model {
  /** Seeds and who sent them, the one used longest ago first. */
  readonly #held = new Map<number, Set<number>>();
  readonly #offers = new Map<number, Set<number>>();

  put(peer: number, seed: number): void {
    const owners = this.#held.get(seed);
    if (owners) owners.add(peer);
    else {
      if (this.#held.size === SLOTS) {
        const oldest = [...this.#held.keys()].find((each) => !this.#isPinned(each));
        if (oldest === undefined) return;
        this.#held.delete(oldest);
      }
      this.#held.set(seed, new Set([peer]));
    }
    this.#use(seed);
  }

  get(peer: number, seed: number): boolean {
    if (!this.#held.get(seed)?.has(peer)) return false;
    this.#use(seed);
    return true;
  }

  offer(offer: number, peer: number): number[] {
    const mine = [...this.#held].filter(([, owners]) => owners.has(peer)).map(([seed]) => seed);
    this.#offers.set(offer, new Set([...this.#offers.get(offer) ?? [], ...mine]));
    return mine;
  }

  release(offer: number): void {
    const mine = this.#offers.get(offer) ?? new Set();
    this.#offers.delete(offer);
    const freed = [...this.#held.keys()].filter((each) => mine.has(each) && !this.#isPinned(each));
    for (const seed of freed) this.#use(seed);
  }

  #isPinned(seed: number): boolean {
    return [...this.#offers.values()].some((pinned) => pinned.has(seed));
  }

  #use(seed: number): void {
    const owners = this.#held.get(seed)!;
    this.#held.delete(seed);
    this.#held.set(seed, owners);
  }
}

Deno.test("the store holds what a bounded cache with owners and pins holds", () =>
  inDirectory((directory) => {
    let run = 0;
    fc.assert(
      fc.property(weighted(false), (steps) => {
        const opened = new TestStore(`${directory}/${run++}`, SLOTS);
        const { store } = opened;
        const model = new Model();
        for (const step of steps) {
          if (step.kind === "put") {
            store.put(PEERS[step.peer], MEMORY, UNITS[step.seed]);
            model.put(step.peer, step.seed);
          } else if (step.kind === "get") {
            const content = given(store, PEERS[step.peer], step.seed);
            const expected = model.get(step.peer, step.seed) ? UNITS[step.seed] : null;
            assert.deepEqual(content, expected);
          } else if (step.kind === "offer") {
            const hints = store.offer(`${step.offer}`, PEERS[step.peer]);
            const mine = model.offer(step.offer, step.peer);
            const expected = mine.map((each) => hintOf(NAMES[each])).sort((a, b) => a - b);
            assert.deepEqual([...hints], expected);
          } else if (step.kind === "release") {
            store.release(`${step.offer}`);
            model.release(step.offer);
          } else opened.work();
          assert.ok(store.unitCount <= SLOTS);
        }
        assert.deepEqual(opened.complaints, []);
        store.close();
      }),
      { numRuns: 80, endOnFailure: true },
    );
  }));

/** Overwrites a part of a file; what lies beyond its end makes it longer. */
function tear(path: string, at: number, bytes: number): void {
  const file = Deno.openSync(path, { write: true });
  file.seekSync(at, Deno.SeekMode.Start);
  file.writeSync(new Uint8Array(bytes).fill(0xd1));
  file.close();
}

Deno.test("restarts, crashes and damaged files never make it give what was not sent by who asks", () =>
  inDirectory((directory) => {
    let run = 0;
    let givenAfterAccidents = 0;
    fc.assert(
      fc.property(weighted(true), (steps) => {
        const path = `${directory}/${run++}`;
        let opened = new TestStore(path, SLOTS);
        const sent = PEERS.map(() => new Set<number>());
        let accidents = 0;
        for (const step of steps) {
          const { store } = opened;
          if (step.kind === "put") {
            store.put(PEERS[step.peer], MEMORY, UNITS[step.seed]);
            sent[step.peer].add(step.seed);
          } else if (step.kind === "get") {
            const content = given(store, PEERS[step.peer], step.seed);
            if (content === null) continue;
            assert.deepEqual(content, UNITS[step.seed]);
            assert.ok(sent[step.peer].has(step.seed), "another peer's content was given");
            if (accidents > 0) givenAfterAccidents++;
          } else if (step.kind === "offer") {
            const hints = store.offer(`${step.offer}`, PEERS[step.peer]);
            const mine = [...sent[step.peer]].map((each) => hintOf(NAMES[each]));
            for (const hint of hints) assert.ok(mine.includes(hint), "another peer's name");
          } else if (step.kind === "release") store.release(`${step.offer}`);
          else if (step.kind === "work") opened.work();
          else if (step.kind === "tear") {
            accidents++;
            tear(
              `${path}/${step.file}`,
              step.file === "slots" ? step.at % 512 : step.at,
              step.bytes,
            );
          } else {
            // A crash loses what waits; here its files stay open until the test ends.
            accidents++;
            if (step.kind === "restart") store.close();
            opened = new TestStore(path, SLOTS);
          }
        }
        opened.store.close();
      }),
      { numRuns: 30, endOnFailure: true },
    );
    assert.ok(givenAfterAccidents > 10, `${givenAfterAccidents} contents survived`);
  }));

Deno.test("after a restart everything is there, for those who sent it", () =>
  inDirectory((directory) => {
    const first = new TestStore(directory, 1000);
    for (let seed = 0; seed < 900; seed++) first.store.put(PEERS[seed % 2], DISK, UNITS[seed]);
    first.store.put(PEERS[2], MEMORY, UNITS[5]);
    first.store.close();
    const { store } = new TestStore(directory, 1000);
    assert.equal(store.unitCount, 900);
    for (let seed = 0; seed < 900; seed++) {
      assertGiven(store, PEERS[seed % 2], seed);
      assert.equal(given(store, PEERS[(seed + 1) % 2], seed), null);
    }
    assertGiven(store, PEERS[2], 5);
    assert.equal(store.counts.damaged, 0);
    store.close();
  }));

Deno.test("a smaller bound keeps what fits, a larger one everything", () =>
  inDirectory((directory) => {
    const fill = new TestStore(directory, 100);
    for (let seed = 0; seed < 100; seed++) fill.store.put(PEERS[0], DISK, UNITS[seed]);
    fill.store.close();
    for (const [slots, expected] of [[40, 40], [200, 40]]) {
      const { store } = new TestStore(directory, slots);
      let count = 0;
      for (let seed = 0; seed < 100; seed++) {
        const content = given(store, PEERS[0], seed);
        if (content !== null) count++;
        assert.deepEqual(content ?? UNITS[seed], UNITS[seed]);
      }
      assert.equal(count, expected);
      store.close();
    }
    const { size } = Deno.statSync(`${directory}/units`);
    assert.equal(size, 200 * UNIT_BYTES);
  }));

Deno.test("what a file system would see of a store is neither content nor readable by others", () =>
  inDirectory((directory) => {
    const { store } = new TestStore(directory, 10);
    const content = new Uint8Array(UNIT_BYTES).fill(0x41);
    store.put(PEERS[0], MEMORY, content);
    store.close();
    const bytes = Deno.readFileSync(`${directory}/units`);
    assert.ok(!new TextDecoder("latin1").decode(bytes).includes("AAAA"));
    for (const name of ["units", "slots", "key"]) {
      assert.equal(Deno.statSync(`${directory}/${name}`).mode! & 0o777, 0o600, name);
    }
  }));

Deno.test("no write number is used twice, however often the store is opened", () =>
  inDirectory((directory) => {
    const seen = new Set<string>();
    for (let opening = 0; opening < 5; opening++) {
      // Opened beside each other and not closed in order: two processes by mistake, or a crash.
      const { store } = new TestStore(directory, 4);
      store.put(PEERS[0], MEMORY, UNITS[opening]);
      store.flush();
      const units = Deno.readFileSync(`${directory}/units`);
      const slots = new Uint32Array(Deno.readFileSync(`${directory}/slots`).buffer);
      for (let slot = 0; slot < 4; slot++) {
        const number = slots[RECORD_WORDS * slot + 8];
        const cipher = units.subarray(slot * UNIT_BYTES, slot * UNIT_BYTES + 16).join();
        if (number > 0) seen.add(`${number} ${cipher}`);
      }
    }
    const numbers = [...seen].map((each) => each.split(" ")[0]);
    assert.equal(new Set(numbers).size, numbers.length);
    assert.ok(numbers.length >= 4);
  }));

Deno.test("without its key a store begins anew, with another one", () =>
  inDirectory((directory) => {
    const keys = new Set<string>();
    const damages = ["", "{", '{"version":1}', null, "[]"];
    for (const damage of damages) {
      const { store } = new TestStore(directory, 10);
      assert.equal(store.unitCount, 0);
      store.put(PEERS[0], DISK, UNITS[1]);
      store.close();
      keys.add(JSON.parse(Deno.readTextFileSync(`${directory}/key`)).key);
      if (damage === null) Deno.removeSync(`${directory}/key`);
      else Deno.writeTextFileSync(`${directory}/key`, damage);
    }
    assert.equal(keys.size, damages.length);
  }));

Deno.test("a store that keeps no memory takes none, and leaves nothing of what was kept before", () =>
  inDirectory((directory) => {
    const before = new TestStore(directory, 10);
    before.store.put(PEERS[0], MEMORY, UNITS[1]);
    before.store.put(PEERS[0], DISK, UNITS[2]);
    before.store.close();
    const key = Deno.readTextFileSync(`${directory}/key`);
    const { store } = new TestStore(directory, 10, { keepsMemory: false });
    assert.equal(store.unitCount, 0);
    assert.notEqual(JSON.parse(Deno.readTextFileSync(`${directory}/key`)).key, JSON.parse(key).key);
    assert.ok(Deno.readFileSync(`${directory}/units`).every((byte) => byte === 0));
    store.put(PEERS[0], MEMORY, UNITS[1]);
    store.put(PEERS[0], DISK, UNITS[2]);
    assert.equal(given(store, PEERS[0], 1), null);
    assertGiven(store, PEERS[0], 2);
    store.close();
    const again = new TestStore(directory, 10, { keepsMemory: false });
    assertGiven(again.store, PEERS[0], 2);
    again.store.close();
  }));

Deno.test("two moves pin what they were offered, and what only one of them needs goes with it", () =>
  inDirectory((directory) => {
    const opened = new TestStore(directory, 20);
    const { store } = opened;
    for (let seed = 0; seed < 20; seed++) store.put(PEERS[seed % 2], MEMORY, UNITS[seed]);
    store.offer("one", PEERS[0]);
    store.offer("two", PEERS[0]);
    for (let seed = 100; seed < 200; seed++) {
      store.put(PEERS[1], MEMORY, UNITS[seed]);
      opened.work();
    }
    for (let seed = 0; seed < 20; seed += 2) assertGiven(store, PEERS[0], seed);
    store.release("one");
    store.put(PEERS[1], MEMORY, UNITS[300]);
    for (let seed = 0; seed < 20; seed += 2) assertGiven(store, PEERS[0], seed);
    store.release("two");
    for (let seed = 400; seed < 420; seed++) store.put(PEERS[1], MEMORY, UNITS[seed]);
    assert.equal(given(store, PEERS[0], 0), null);
    store.offer("three", PEERS[1]);
    const { skipped } = store.counts;
    store.put(PEERS[0], MEMORY, UNITS[500]);
    assert.equal(store.counts.skipped, skipped + 1, "everything was pinned");
    assert.equal(given(store, PEERS[0], 500), null);
    store.close();
  }));

Deno.test("an offer has the contents used last, up to its bound", () =>
  inDirectory((directory) => {
    const { store } = new TestStore(directory, 100, { offerUnitsMax: 10 });
    for (let seed = 0; seed < 50; seed++) store.put(PEERS[0], MEMORY, UNITS[seed]);
    assertGiven(store, PEERS[0], 3);
    const hints = store.offer("move", PEERS[0]);
    const expected = [3, ...Array.from({ length: 9 }, (_, i) => 41 + i)];
    assert.deepEqual(
      [...hints],
      expected.map((each) => hintOf(NAMES[each])).sort((a, b) => a - b),
    );
    store.close();
  }));

Deno.test("what comes faster than it can be written is not kept", () =>
  inDirectory((directory) => {
    const opened = new TestStore(directory, 2000);
    const { store } = opened;
    for (let seed = 0; seed < 1500; seed++) store.put(PEERS[0], MEMORY, UNITS[seed]);
    assert.equal(store.counts.kept, 1024);
    assert.equal(store.counts.skipped, 476);
    assertGiven(store, PEERS[0], 1000);
    while (store.counts.kept < 1500) {
      opened.work();
      store.put(PEERS[0], MEMORY, UNITS[store.counts.kept]);
    }
    for (let seed = 0; seed < 1500; seed++) assertGiven(store, PEERS[0], seed);
    store.close();
  }));

Deno.test("a disk that refuses ends the keeping, not the store", () =>
  inDirectory((directory) => {
    const opened = new TestStore(directory, 100);
    const { store } = opened;
    store.put(PEERS[0], MEMORY, UNITS[1]);
    opened.work();
    Deno.removeSync(directory, { recursive: true });
    store.put(PEERS[1], MEMORY, UNITS[2]);
    assert.equal(opened.complaints.length, 1);
    store.put(PEERS[0], MEMORY, UNITS[3]);
    assert.equal(given(store, PEERS[0], 3), null);
    assertGiven(store, PEERS[0], 1);
    store.close();
    Deno.mkdirSync(directory);
  }));
