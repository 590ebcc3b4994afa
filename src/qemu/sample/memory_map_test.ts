import assert from "node:assert/strict";
import fc from "fast-check";
import { ramRanges, spreadChunks } from "./memory_map.ts";

/** `info mtree -f` of QEMU 10.0 (pc, 5 GiB, KVM), shortened. */
const TREE = `FlatView #0
 AS "I/O", root: io
 Root memory region: io
  0000000000000000-0000000000000007 (prio 0, i/o): dma-chan
  0000000000100000-0000000000ffffff (prio 0, ram): not of the machine

FlatView #1
 AS "memory", root: system
 AS "cpu-memory-0", root: system
 Root memory region: system
  0000000000000000-000000000009ffff (prio 0, ram): pc.ram KVM
  00000000000a0000-00000000000bffff (prio 1, i/o): vga-lowmem
  00000000000c0000-00000000000c3fff (prio 0, rom): pc.ram @00000000000c0000 KVM
  0000000000100000-00000000bfffffff (prio 0, ram): pc.ram @0000000000100000 KVM
  00000000fd000000-00000000fdffffff (prio 1, ram): vga.vram KVM
  00000000febc0000-00000000febdffff (prio 1, i/o): e1000-mmio
  00000000fee00000-00000000feefffff (prio 4096, i/o): kvm-apic-msi
  00000000fffc0000-00000000ffffffff (prio 0, rom): pc.bios KVM
  0000000100000000-000000017fffffff (prio 0, ram): pc.ram @00000000c0000000 KVM

FlatView #2
 AS "cpu-smm-0", root: memory
 Root memory region: memory
  0000000000100000-00000000bfffffff (prio 0, ram): pc.ram @0000000000100000 KVM
`;

Deno.test("memory is where the machine's own view has it, never where a device is", () => {
  const ranges = [
    { start: 0x100000, length: 0xbff00000 },
    { start: 0xfd000000, length: 0x1000000 },
    { start: 0x100000000, length: 0x80000000 },
  ];
  assert.deepEqual(ramRanges(TREE), ranges);
  assert.deepEqual(ramRanges(TREE.replaceAll("\n", "\r\n")), ranges);
});

Deno.test("a text that is not understood has no memory in it", () => {
  for (const text of ["", "null", "info mtree: unknown option", TREE.replaceAll("ram)", "RAM)")]) {
    assert.deepEqual(ramRanges(text), []);
  }
  assert.deepEqual(ramRanges(TREE.replace('AS "memory"', 'AS "bus"')), []);
});

Deno.test("chunks are spread evenly over all ranges, and lie whole in one of them", () => {
  const range = fc.record({ gap: fc.nat(50), length: fc.nat(400) }, { noNullPrototype: true });
  fc.assert(fc.property(
    fc.array(range, { maxLength: 5 }),
    fc.integer({ min: 1, max: 60 }),
    fc.array(fc.double({ min: 0, max: 0.999, noNaN: true }), { minLength: 1 }),
    (parts, count, draws) => {
      let at = 0;
      const ranges = parts.map(({ gap, length }) => {
        const start = at + gap;
        at = start + length;
        return { start, length };
      });
      let draw = 0;
      const chunks = spreadChunks(ranges, 10, count, () => draws[draw++ % draws.length]);
      const all = ranges.flatMap(({ start, length }) =>
        Array.from({ length: Math.floor(length / 10) }, (_, chunk) => start + chunk * 10)
      );
      assert.equal(chunks.length, Math.min(count, all.length));
      const places = chunks.map((chunk) => all.indexOf(chunk));
      for (const [part, place] of places.entries()) {
        assert.ok(place >= Math.floor(part * all.length / chunks.length));
        assert.ok(place < Math.floor((part + 1) * all.length / chunks.length));
      }
    },
  ));
});
