/** Nothing here has a reason to ask for so much at once; the request is refused before it is made. */
export const SINGLE_BYTES_MAX = 512 * 1024 * 1024;

/** More was asked for at once than anything may. */
export class AllocationRefused extends Error {
  override readonly name = "AllocationRefused";
}

interface Counts {
  /** Bytes of all buffers made since `reset`. */
  sumBytes: number;
  largestBytes: number;
}

const counts: Counts = { sumBytes: 0, largestBytes: 0 };

function note(lengthBytes: number): void {
  counts.sumBytes += lengthBytes;
  if (lengthBytes <= counts.largestBytes) return;
  counts.largestBytes = lengthBytes;
  if (lengthBytes > SINGLE_BYTES_MAX) throw new AllocationRefused(`${lengthBytes} bytes at once`);
}

type Constructor = abstract new (...args: never[]) => object;

/**
 * Takes the place of the constructors of buffers in this realm and counts what is asked of them, views
 * of buffers that exist apart. What the runtime makes inside (zlib, sockets) is not seen: that has
 * limits of its own. Once, in a thread that does nothing but fuzz.
 */
export function observeAllocations(): Counts & { reset(): void } {
  const names = ["Uint8Array", "Uint16Array", "Uint32Array", "Float64Array"] as const;
  for (const name of names) {
    const real = globalThis[name] as unknown as new (...args: unknown[]) => ArrayBufferView;
    const { BYTES_PER_ELEMENT } = real as unknown as { BYTES_PER_ELEMENT: number };
    const observed = function (first: unknown, second: unknown, third: unknown) {
      if (typeof first === "number") note(first * BYTES_PER_ELEMENT);
      else if (typeof first === "object" && first !== null && "length" in first) {
        note(Number(first.length) * BYTES_PER_ELEMENT);
      }
      return third !== undefined
        ? new real(first, second, third)
        : second !== undefined
        ? new real(first, second)
        : new real(first);
    };
    replace(name, real as unknown as Constructor, observed);
  }
  const real = ArrayBuffer;
  replace("ArrayBuffer", real, function (lengthBytes: number, options?: object) {
    note(lengthBytes);
    return new real(lengthBytes, options);
  });
  return Object.assign(counts, {
    reset() {
      counts.sumBytes = counts.largestBytes = 0;
    },
  });
}

/** A function in the place of a class: made arrays are real ones, with the real prototype. */
function replace(name: string, real: Constructor, observed: object): void {
  Object.setPrototypeOf(observed, real);
  Object.defineProperty(observed, "prototype", { value: real.prototype });
  Object.defineProperty(globalThis, name, { value: observed, writable: true, configurable: true });
}
