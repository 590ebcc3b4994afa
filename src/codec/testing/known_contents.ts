import assert from "node:assert/strict";
import { hintOf, nameBuffer, nameContent, nameKey } from "../../image/content_name.ts";
import type { NamedContents, PageNames } from "../named_items.ts";
import { PAGE } from "./memory_model.ts";

/** What a destination has, by name; some of it is announced wrongly. */
export class Contents implements NamedContents {
  readonly byName = new Map<string, Uint8Array>();
  readonly hints = new Set<number>();
  arrivals = 0;

  add(content: Uint8Array, { isThere = true } = {}): void {
    const name = nameBuffer();
    nameContent(content, name);
    this.hints.add(hintOf(name));
    if (isThere) this.byName.set(nameKey(name), new Uint8Array(content));
  }

  resolve(name: Uint32Array, into: Uint8Array): boolean {
    const content = this.byName.get(nameKey(name));
    // What is undefined where nothing is found must not matter.
    into.set(content ?? new Uint8Array(PAGE).fill(0xee));
    return content !== undefined;
  }

  arrived(content: Uint8Array): void {
    assert.equal(content.byteLength, PAGE);
    this.arrivals++;
    this.add(content);
  }
}

/** The source's side: names what the destination announced, keeps what it named. */
export class Names implements PageNames {
  readonly kept = new Map<string, Uint8Array>();
  batches = 0;
  /** Numbers of batches, and of the frames that they went in. */
  readonly sent: [number, number][] = [];
  carriedCount = 0;
  namedCount = 0;

  constructor(private readonly contents: Contents) {}

  mayName(name: Uint32Array): boolean {
    return this.contents.hints.has(hintOf(name));
  }

  named(name: Uint32Array, content: Uint8Array): void {
    this.namedCount++;
    this.kept.set(nameKey(name), new Uint8Array(content));
  }

  carried(): void {
    this.carriedCount++;
  }

  closeBatch() {
    const number = ++this.batches;
    return {
      sent: (sequence: number) => void this.sent.push([number, sequence]),
      dropped: () => assert.fail("nothing is dropped"),
    };
  }
}
