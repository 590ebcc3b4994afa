import assert from "node:assert/strict";
import { compareCpuModels, formatCpuModel } from "./cpu_model.ts";

const word = (register: string, eax: number, features: number, ecx?: number) => ({
  "cpuid-register": register,
  "cpuid-input-eax": eax,
  ...(ecx === undefined ? {} : { "cpuid-input-ecx": ecx }),
  features,
});
const codes = (own: string | null, counterpart: string | null) =>
  compareCpuModels(own, counterpart).map(({ severity, code }) => `${severity} ${code}`);

Deno.test("a processor is its name and what CPUID says of it, in a fixed order", () => {
  const words = [word("EBX", 7, 0x20, 0), word("ECX", 1, 0x80802001), word("EDX", 7, 0, 1)];
  const text = "Skylake-Server 1:ecx=80802001 7.0:ebx=20";
  assert.equal(formatCpuModel("Skylake-Server-x86_64-cpu", words), text);
  assert.equal(formatCpuModel("Skylake-Server-x86_64-cpu", words.toReversed()), text);
  assert.equal(formatCpuModel("cortex-a57-arm-cpu", []), "cortex-a57");
});

Deno.test("equal processors, and those that one site knows nothing of, are no finding", () => {
  for (const [own, counterpart] of [["a 1:ecx=1", "a 1:ecx=1"], [null, "a"], ["a", null]]) {
    assert.deepEqual(codes(own, counterpart), []);
  }
});

Deno.test("another name and a missing feature refuse, a feature more is a warning", () => {
  assert.deepEqual(codes("a 1:ecx=1", "b 1:ecx=1"), ["refusal cpu_model_differs"]);
  assert.deepEqual(codes("a 1:ecx=80000001", "a 1:ecx=1"), ["refusal cpu_model_differs"]);
  assert.deepEqual(codes("a 7.0:ebx=1", "a"), ["refusal cpu_model_differs"]);
  assert.deepEqual(codes("a 1:ecx=1", "a 1:ecx=3"), ["warning cpu_model_differs"]);
  assert.deepEqual(codes("a 1:ecx=5", "a 1:ecx=3"), [
    "refusal cpu_model_differs",
    "warning cpu_model_differs",
  ]);
  const [finding] = compareCpuModels("a 7.0:ebx=80000000", "a 7.0:ebx=1");
  assert.match(finding.message, /CPUID 7\.0 ebx 80000000$/);
});
