import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import { runToEnd, type VerifyReport } from "./audit.ts";
import { decodeCpuState, encodeCpuState } from "./cpu_state.ts";
import type { CoreMachine } from "./core_machine.ts";
import { withCoreMachine } from "./testing.ts";
import { BLOCK_BYTES, PAGE_BYTES } from "./units.ts";

Deno.test("a machine is whole at power-on and after any number of ticks", async () => {
  await withCoreMachine({}, (machine) => {
    machine.powerOn();
    assert.deepEqual(verify(machine), {
      ok: true,
      ticks: 0,
      memoryPagesChecked: 1024,
      diskBlocksChecked: 1024,
    });
    for (const ticks of [1, 5, 94, 400]) {
      run(machine, ticks);
      assert.ok(verify(machine).ok);
    }
  });
});

Deno.test("a flipped bit anywhere in memory is found, on its page", async () => {
  await withCoreMachine({}, (machine) => {
    machine.powerOn();
    run(machine, 50);
    fc.assert(
      fc.property(fc.nat(1023), fc.nat(PAGE_BYTES * 8 - 1), (page, bit) => {
        const words = machine.memory.wordsOf(page);
        const at = machine.memory.wordOf(page) + (bit >>> 5);
        words[at] ^= 1 << (bit & 31);
        const { ok, firstBad } = verify(machine);
        words[at] ^= 1 << (bit & 31);
        assert.equal(ok, false);
        assert.equal(firstBad?.where, "memory");
        assert.equal(firstBad?.index, page);
      }),
      { numRuns: 20 },
    );
    assert.ok(verify(machine).ok);
  });
});

Deno.test("a page as it was before its last write is found", async () => {
  await withCoreMachine({}, (machine) => {
    machine.powerOn();
    run(machine, 100);
    const before = copyOfMemory(machine);
    run(machine, 20);
    const changed = pagesThatDiffer(machine, before);
    assert.ok(changed.length > 10, `only ${changed.length} pages changed`);
    for (const page of changed.slice(0, 10)) {
      const now = pageOf(machine, page);
      machine.memory.copyIn(page, before.subarray(page * PAGE_BYTES, (page + 1) * PAGE_BYTES));
      assert.equal(verify(machine).firstBad?.index, page);
      machine.memory.copyIn(page, now);
    }
    assert.ok(verify(machine).ok);
  });
});

Deno.test("a page torn between two versions is found at every sector", async () => {
  await withCoreMachine({}, (machine) => {
    machine.powerOn();
    run(machine, 100);
    const before = copyOfMemory(machine);
    run(machine, 20);
    const [page] = pagesThatDiffer(machine, before);
    const now = pageOf(machine, page);
    const old = before.subarray(page * PAGE_BYTES, (page + 1) * PAGE_BYTES);
    for (let cut = 512; cut < PAGE_BYTES; cut += 512) {
      const torn = now.slice();
      torn.set(old.subarray(cut), cut);
      machine.memory.copyIn(page, torn);
      assert.equal(verify(machine).firstBad?.index, page, `torn at ${cut}`);
    }
  });
});

Deno.test("a stale page is found even when the machine has overwritten it since", async () => {
  await withCoreMachine({ silentRatio: 0 }, (machine) => {
    machine.powerOn();
    run(machine, 100);
    const before = copyOfMemory(machine);
    run(machine, 20);
    const stale = pagesThatDiffer(machine, before)[0];
    const old = before.slice(stale * PAGE_BYTES, (stale + 1) * PAGE_BYTES);
    machine.memory.copyIn(stale, old);
    while (Buffer.from(pageOf(machine, stale)).equals(old)) machine.stepMemory();
    assert.equal(verify(machine).firstBad?.where, "registers");
  });
});

Deno.test("a stale or zeroed disk block is found", async () => {
  await withCoreMachine({}, (machine) => {
    machine.powerOn();
    run(machine, 100);
    const [disk] = machine.disks;
    const before = new Uint8Array(disk.sizeBytes);
    disk.read(0, before);
    run(machine, 20);
    const now = new Uint8Array(disk.sizeBytes);
    disk.read(0, now);
    const blockAt = (bytes: Uint8Array, block: number) =>
      bytes.subarray(block * BLOCK_BYTES, (block + 1) * BLOCK_BYTES);
    const changed = Array.from({ length: 1024 }, (_, block) => block)
      .filter((block) => !Buffer.from(blockAt(now, block)).equals(blockAt(before, block)));
    assert.ok(changed.length > 5, `only ${changed.length} blocks changed`);
    for (const block of changed.slice(0, 5)) {
      for (const wrong of [blockAt(before, block), new Uint8Array(BLOCK_BYTES)]) {
        disk.write(block * BLOCK_BYTES, wrong);
        if (Buffer.from(wrong).equals(blockAt(now, block))) continue;
        assert.deepEqual(
          [verify(machine).firstBad?.where, verify(machine).firstBad?.index],
          ["disk0", block],
        );
      }
      disk.write(block * BLOCK_BYTES, blockAt(now, block));
    }
    assert.ok(verify(machine).ok);
  });
});

Deno.test("a disk write that was lost while it was under way is found", async () => {
  await withCoreMachine({}, (machine) => {
    machine.powerOn();
    run(machine, 100);
    assert.ok(machine.registers.disk.pending.length > 0);
    machine.registers.disk.pending.pop();
    assert.equal(verify(machine).firstBad?.where, "registers");
  });
});

Deno.test("disks that were held back for a time change nothing in memory, and the whole is whole", async () => {
  await withCoreMachine({}, async (busy) => {
    await withCoreMachine({}, (held) => {
      for (const machine of [busy, held]) machine.powerOn();
      run(busy, 200);
      for (let tick = 0; tick < 200; tick++) {
        held.stepMemory();
        if (tick % 3 === 0) held.stepDisks();
      }
      assert.ok(Buffer.from(copyOfMemory(held)).equals(copyOfMemory(busy)));
      assert.equal(held.registers.readDigest, busy.registers.readDigest);
      assert.equal(held.registers.disk.tick, 67);
      assert.ok(verify(held).ok);
      while (held.registers.disk.tick < 200) held.stepDisks();
      assert.deepEqual(held.registers, busy.registers);
    });
  });
});

Deno.test("a CPU state of another moment than the memory's is found", async () => {
  await withCoreMachine({}, (machine) => {
    machine.powerOn();
    run(machine, 100);
    const early = encodeCpuState(machine);
    run(machine, 1);
    const { workload, registers } = decodeCpuState(early, machine.shape);
    machine.load(workload, registers);
    assert.equal(verify(machine).ok, false);
  });
});

Deno.test("a machine goes on from its CPU state as it would have without a move", async () => {
  await withCoreMachine({ seed: 3 }, async (stayed) => {
    await withCoreMachine({ seed: 4 }, (moved) => {
      stayed.powerOn();
      run(stayed, 70);
      for (let page = 0; page < stayed.memory.pageCount; page++) {
        moved.memory.copyIn(page, pageOf(stayed, page));
      }
      const image = new Uint8Array(stayed.disks[0].sizeBytes);
      stayed.disks[0].read(0, image);
      moved.disks[0].write(0, image);
      const { workload, registers } = decodeCpuState(encodeCpuState(stayed), moved.shape);
      moved.load(workload, registers);
      run(stayed, 200);
      run(moved, 200);
      assert.deepEqual(moved.registers, stayed.registers);
      assert.ok(Buffer.from(copyOfMemory(moved)).equals(copyOfMemory(stayed)));
      assert.ok(verify(moved).ok);
    });
  });
});

Deno.test("what a free page holds does not matter, also after it was used again", async () => {
  await withCoreMachine({ freeMiB: 1 }, (machine) => {
    machine.powerOn();
    run(machine, 60);
    const free = pagesThatAre(machine, (page) => machine.isFree(page));
    assert.equal(free.length, 256);
    assert.equal(verify(machine).memoryPagesChecked, 1024 - free.length);
    for (const page of free) machine.memory.copyIn(page, new Uint8Array(PAGE_BYTES).fill(page));
    assert.ok(verify(machine).ok);
    run(machine, 60);
    const usedAgain = free.filter((page) => !machine.isFree(page));
    assert.ok(usedAgain.length > 20, `only ${usedAgain.length} pages were used again`);
    assert.ok(verify(machine).ok);
    const [page] = usedAgain;
    machine.memory.copyIn(page, new Uint8Array(PAGE_BYTES).fill(page));
    assert.equal(verify(machine).firstBad?.index, page);
  });
});

Deno.test("a page that is used again is dirty, one that becomes free is not", async () => {
  await withCoreMachine({ freeMiB: 1 }, (machine) => {
    machine.powerOn();
    const before = new Set(pagesThatAre(machine, (page) => machine.isFree(page)));
    const dirty = machine.memory.trackAll();
    dirty.clear();
    run(machine, 20);
    const after = new Set(pagesThatAre(machine, (page) => machine.isFree(page)));
    const [usedAgain, freed] = [[...before.difference(after)], [...after.difference(before)]];
    assert.ok(usedAgain.length > 5 && usedAgain.every((page) => dirty.has(page)));
    assert.ok(freed.length > 5 && freed.every((page) => !dirty.has(page)));
  });
});

Deno.test("a workload that frees nothing does what it did before there were free pages", async () => {
  await withCoreMachine({ freeMiB: 0 }, (machine) => {
    machine.powerOn();
    run(machine, 100);
    assert.equal(machine.registers.freeCursor, 0);
    assert.equal(pagesThatAre(machine, (page) => machine.isFree(page)).length, 0);
    assert.equal(verify(machine).memoryPagesChecked, 1024);
  });
});

Deno.test("seeds give different machines, equal seeds equal ones", async () => {
  const imageOf = async (seed: number) => {
    let image = new Uint8Array();
    await withCoreMachine({ seed }, (machine) => {
      machine.powerOn();
      run(machine, 10);
      image = copyOfMemory(machine);
    });
    return Buffer.from(image);
  };
  const [first, again, other] = [await imageOf(1), await imageOf(1), await imageOf(2)];
  assert.ok(first.equals(again));
  assert.ok(!first.equals(other));
});

function verify(machine: CoreMachine): VerifyReport {
  return runToEnd(machine.audit());
}

function run(machine: CoreMachine, ticks: number): void {
  for (let tick = 0; tick < ticks; tick++) {
    machine.stepMemory();
    machine.stepDisks();
  }
}

function pagesThatAre(machine: CoreMachine, wanted: (page: number) => boolean): number[] {
  return Array.from({ length: machine.memory.pageCount }, (_, page) => page).filter(wanted);
}

function pageOf(machine: CoreMachine, page: number): Uint8Array {
  const bytes = new Uint8Array(PAGE_BYTES);
  machine.memory.copyOut(page, bytes, 0);
  return bytes;
}

function copyOfMemory(machine: CoreMachine): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(machine.memory.lengthBytes);
  for (let page = 0; page < machine.memory.pageCount; page++) {
    machine.memory.copyOut(page, bytes, page * PAGE_BYTES);
  }
  return bytes;
}

function pagesThatDiffer(machine: CoreMachine, before: Uint8Array): number[] {
  return pagesThatAre(machine, (page) =>
    !Buffer.from(pageOf(machine, page))
      .equals(before.subarray(page * PAGE_BYTES, (page + 1) * PAGE_BYTES)));
}
