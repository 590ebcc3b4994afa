import assert from "node:assert/strict";

/** What a destination would have after loading a stream. */
export interface LoadedStream {
  /** Everything but memory, in order: hex bytes, each with a digest of memory at that moment. */
  readonly events: readonly string[];
  readonly memory: ReadonlyMap<string, Uint8Array>;
  /** From the first byte that the loader does not know (device state, EOF, an unknown record). */
  readonly tail: Uint8Array;
  /** Block that "same block" would mean in the tail, if the tail begins inside a section. */
  readonly tailBlock: string | null;
}

/** The tests' machines are smaller; a damaged length must not exhaust the test. */
const MAX_BLOCK_BYTES = 16 * 1024 * 1024;

/**
 * Loads a complete stream as strictly as QEMU does, deltas included; the oracle of the stream
 * tests. It shares no code with the reader.
 *
 * @throws {AssertionError} where QEMU would refuse: an unlisted block, an offset outside its block,
 *   "same block" before any name, a wrong footer, an undeclared section
 */
export function loadStream(bytes: Uint8Array): LoadedStream {
  const memory = new Map<string, Uint8Array>();
  const events: string[] = [];
  let at = 0;
  let pageBytes = 4096;
  let ramSection = -1;
  let bitmapSection = -1;
  let lastBlock: string | null = null;

  const be = (byteCount: number) => {
    assert(at + byteCount <= bytes.length, "stream ends inside a field");
    let value = 0;
    for (let i = 0; i < byteCount; i++) value = value * 256 + bytes[at++];
    return value;
  };
  const text = (byteCount: number) => {
    assert(at + byteCount <= bytes.length, "stream ends inside a text");
    return new TextDecoder().decode(bytes.subarray(at, at += byteCount));
  };
  const str8 = () => text(be(1));
  const event = (from: number) => {
    events.push(`${hex(bytes.subarray(from, at))} ${memoryDigest(memory)}`);
  };
  const footer = (section: number) => {
    assert.equal(be(1), 0x7e, "no footer");
    assert.equal(be(4), section, "footer of another section");
  };
  const finish = (tailAt: number, inSection: boolean): LoadedStream => ({
    events,
    memory,
    tail: bytes.slice(tailAt),
    tailBlock: inSection ? lastBlock : null,
  });
  /** Returns true at the section's end, false at a record that is not known. */
  const records = (): boolean => {
    for (;;) {
      const from = at;
      const word = be(8);
      const flags = word % pageBytes;
      if (word === 0x10) return true;
      const kind = flags & ~0x20;
      if (![0x02, 0x08, 0x40].includes(kind)) {
        at = from;
        return false;
      }
      const name: string | null = flags & 0x20 ? lastBlock : str8();
      assert(name !== null, "same block, but none was named");
      const block = memory.get(name);
      assert(block, `unlisted block ${name}`);
      lastBlock = name;
      const offset = word - flags;
      assert(offset < block.length, "offset outside the block");
      const page = block.subarray(offset, offset + pageBytes);
      if (kind === 0x02) {
        assert.equal(be(1), 0, "fill byte");
        page.fill(0);
      } else if (kind === 0x08) {
        assert(at + pageBytes <= bytes.length, "stream ends inside a page");
        page.set(bytes.subarray(at, at += pageBytes));
      } else {
        assert.equal(be(1), 1, "delta encoding");
        const end = at + be(2) + 2;
        for (let position = 0; at < end;) {
          position += be(1);
          for (let left = be(1); left > 0; left--) page[position++] = be(1);
          assert(position <= pageBytes, "delta beyond its page");
        }
        assert.equal(at, end, "delta length");
      }
    }
  };

  assert.equal(be(4), 0x5145564d, "file magic");
  assert.equal(be(4), 3, "file version");
  if (bytes[at] === 7) {
    be(1);
    text(be(4));
    while (bytes[at] === 5) {
      be(1);
      assert.equal(str8(), "configuration/target-page-bits");
      be(4);
      pageBytes = 2 ** be(4);
    }
  }
  event(0);
  for (;;) {
    const from = at;
    if (at === bytes.length) return finish(at, false);
    const element = be(1);
    if (element === 8) {
      const command = be(2);
      if (command >= 4 && command <= 10) return finish(from, false); // post-copy, COLO
      text(be(2));
      event(from);
    } else if (element === 1) {
      const section = be(4);
      const name = str8();
      at += 8;
      if (name === "ram") {
        ramSection = section;
        for (let left = be(8) - 4; left > 0;) {
          const block = str8();
          const lengthBytes = be(8);
          assert(lengthBytes <= MAX_BLOCK_BYTES, "block length");
          memory.set(block, new Uint8Array(lengthBytes).fill(0xee));
          left -= lengthBytes;
        }
        assert.equal(be(8), 0x10, "EOS of START");
      } else {
        assert.equal(name, "dirty-bitmap");
        bitmapSection = section;
        bitmapChunks();
      }
      footer(section);
      event(from);
    } else if (element === 2 || element === 3) {
      const section = be(4);
      if (section === ramSection) {
        if (!records()) return finish(at, true);
        footer(section);
        if (element === 3) events.push(`end ${memoryDigest(memory)}`);
      } else {
        assert.equal(section, bitmapSection, "section was never started");
        bitmapChunks();
        footer(section);
        event(from);
      }
    } else return finish(from, false);
  }

  function bitmapChunks(): void {
    for (;;) {
      const flags = be(1);
      if (flags & 8) str8();
      if (flags & 4) str8();
      if (flags & 0x10) at += 5;
      if (flags & 0x40) {
        at += 12;
        if (!(flags & 2)) text(be(8));
      }
      if (flags & 1) return;
    }
  }
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** FNV-1a over names and contents. */
function memoryDigest(memory: ReadonlyMap<string, Uint8Array>): string {
  let hash = 0x811c9dc5;
  for (const [name, block] of memory) {
    for (const byte of new TextEncoder().encode(name)) hash = Math.imul(hash ^ byte, 0x01000193);
    for (const byte of block) hash = Math.imul(hash ^ byte, 0x01000193);
  }
  return (hash >>> 0).toString(16);
}
