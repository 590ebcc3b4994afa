/**
 * Builds QEMU streams by hand for tests. On purpose it shares no code with reader and writer, so
 * that a wrong idea of the format shows.
 */
export class StreamBuilder {
  private readonly bytes: number[] = [];
  private lastBlock: string | null = null;
  private open: "part" | "end" | null = null;

  constructor(readonly pageBytes: number, readonly section = 2) {}

  be(byteCount: number, value: number): this {
    for (let shift = byteCount - 1; shift >= 0; shift--) {
      this.bytes.push(Math.floor(value / 2 ** (8 * shift)) % 256);
    }
    return this;
  }

  raw(bytes: Iterable<number>): this {
    for (const byte of bytes) this.bytes.push(byte);
    return this;
  }

  str8(text: string): this {
    return this.be(1, text.length).raw(new TextEncoder().encode(text));
  }

  fileHeader(): this {
    return this.be(4, 0x5145564d).be(4, 3);
  }

  configuration(machine = "pc-i440fx-10.0"): this {
    this.be(1, 7).be(4, machine.length).raw(new TextEncoder().encode(machine));
    if (this.pageBytes === 4096) return this;
    return this.be(1, 5).str8("configuration/target-page-bits").be(4, 1)
      .be(4, Math.log2(this.pageBytes));
  }

  command(type: number, body: number[] = []): this {
    this.closeSection();
    return this.be(1, 8).be(2, type).be(2, body.length).raw(body);
  }

  ramStart(blocks: readonly { name: string; pages: number }[]): this {
    const total = blocks.reduce((sum, { pages }) => sum + pages * this.pageBytes, 0);
    this.be(1, 1).be(4, this.section).str8("ram").be(4, 0).be(4, 4).be(8, total + 0x004);
    for (const { name, pages } of blocks) this.str8(name).be(8, pages * this.pageBytes);
    return this.sectionEnd();
  }

  /** One START (or PART, with `element` 2) of dirty bitmaps: a bitmap of 32 bytes, zeroes, EOS. */
  bitmapSection(element: 1 | 2 | 3, section: number): this {
    this.closeSection();
    this.be(1, element).be(4, section);
    if (element === 1) {
      this.str8("dirty-bitmap").be(4, 0).be(4, 1);
      this.be(1, 0x1c).str8("disk0").str8("bitmap0").be(4, 65536).be(1, 1);
    } else {
      this.be(1, 0x40).be(8, 0).be(4, 128).be(8, 32).raw(new Array(32).fill(0xa5));
      this.be(1, 0x42).be(8, 128).be(4, 128);
      if (element === 3) this.be(1, 0x20);
    }
    return this.be(1, 1).be(1, 0x7e).be(4, section);
  }

  openSection(kind: "part" | "end"): this {
    if (this.open === kind) return this;
    this.closeSection();
    this.open = kind;
    return this.be(1, kind === "part" ? 2 : 3).be(4, this.section);
  }

  closeSection(): this {
    if (this.open === null) return this;
    this.open = null;
    return this.sectionEnd();
  }

  sectionEnd(): this {
    return this.be(8, 0x10).be(1, 0x7e).be(4, this.section);
  }

  record(flags: number, block: string, page: number, body: Iterable<number>, named = false): this {
    const sameBlock = !named && block === this.lastBlock;
    this.be(8, page * this.pageBytes + flags + (sameBlock ? 0x20 : 0));
    if (!sameBlock) this.str8(block);
    this.lastBlock = block;
    return this.raw(body);
  }

  page(block: string, page: number, body: Uint8Array, named = false): this {
    return this.record(0x08, block, page, body, named);
  }

  zero(block: string, page: number, named = false): this {
    return this.record(0x02, block, page, [0], named);
  }

  /** An XBZRLE record that replaces `replacement.length` bytes from `keep` on. */
  delta(block: string, page: number, keep: number, replacement: number[]): this {
    const encoded = [keep, replacement.length, ...replacement];
    return this.record(0x40, block, page, [1, 0, encoded.length, ...encoded]);
  }

  build(): Uint8Array {
    return Uint8Array.from(this.bytes);
  }
}
