import assert from "node:assert/strict";
import { requires } from "../../src/testing/requirements.ts";

const ROOT = `${import.meta.dirname}/../../`;
const needs = await requires("qemu", "guestImage", "cpio");

async function bench(name: string): Promise<{ success: boolean; printed: string }> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-check", "--allow-all", `bench/${name}.ts`, "--quick"],
    cwd: ROOT,
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { success, printed: `${text(stdout)}${text(stderr)}` };
}

Deno.test(
  "the bench of crashes says who owns the machine, and what is sent again",
  needs,
  async () => {
    const { success, printed } = await bench("crashes");
    assert.ok(success, printed);
    assert.match(printed, /^disk is copied +gateway a +failed .* a +a +yes /m);
    assert.match(printed, /^1 points, 0 without a whole machine, 0 without result$/m);
  },
);
