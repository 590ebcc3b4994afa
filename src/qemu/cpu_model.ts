import { z } from "zod";
import type { Finding } from "../guest/guest.ts";
import { refusal, warning } from "./preflight_rules.ts";

/** CPUID leaves of a processor, as its property `feature-words` lists them; x86 alone has it. */
export const featureWordsAnswer = z.array(z.object({
  "cpuid-register": z.string(),
  "cpuid-input-eax": z.number().int().nonnegative(),
  "cpuid-input-ecx": z.number().int().nonnegative().optional(),
  features: z.number().int().nonnegative(),
}));
export type FeatureWords = z.infer<typeof featureWordsAnswer>;

/**
 * Pure: one text for a processor, such as `qemu64 1:ecx=80802001 1:edx=78bfbfd`: the name that
 * `-cpu` takes, and every CPUID word that is not 0. The same name can mean other features on another
 * host (`host`, `max`), and other names the same ones.
 *
 * @param type of the processor's object, such as `qemu64-x86_64-cpu`
 * @param words empty where there are none to ask for
 */
export function formatCpuModel(type: string, words: FeatureWords): string {
  const features = words.filter((word) => word.features !== 0).map((word) => {
    const sub = word["cpuid-input-ecx"];
    const leaf = word["cpuid-input-eax"].toString(16) + (sub === undefined ? "" : `.${sub}`);
    return `${leaf}:${word["cpuid-register"].toLowerCase()}=${word.features.toString(16)}`;
  });
  return [type.replace(/-[^-]+-cpu$/, ""), ...features.sort()].join(" ");
}

/** Pure: why a machine cannot run on as it is with the processor of the other site. */
export function compareCpuModels(own: string | null, counterpart: string | null): Finding[] {
  if (own === null || counterpart === null || own === counterpart) return [];
  const [here, there] = [own, counterpart].map(parse);
  if (here.name !== there.name) {
    return [refusal(
      "cpu_model_differs",
      `Cannot move: the processor is ${here.name} here, ${there.name} there`,
      `Start the destination with -cpu ${here.name} and the same features`,
    )];
  }
  const missing = beyond(here.words, there.words);
  const added = beyond(there.words, here.words);
  return [
    ...(missing.length === 0 ? [] : [refusal(
      "cpu_model_differs",
      `Cannot move: the processor (${here.name}) lacks features there that the machine may be ` +
        `using: CPUID ${missing.join(", ")}`,
      "Start both machines with a -cpu that both hosts have",
    )]),
    ...(added.length === 0 ? [] : [warning(
      "cpu_model_differs",
      `The processor (${here.name}) has features more there: CPUID ${added.join(", ")}`,
      "Once it has booted there the machine may use them, and not come back",
    )]),
  ];
}

interface Parsed {
  readonly name: string;
  readonly words: ReadonlyMap<string, number>;
}

function parse(model: string): Parsed {
  const [name, ...words] = model.split(" ");
  const pairs = words.map((word) => word.split("=")).filter(([, bits]) => bits !== undefined);
  return { name, words: new Map(pairs.map(([leaf, bits]) => [leaf, parseInt(bits, 16)])) };
}

/** Bits of `words` that `others` lacks, by word. */
function beyond(words: Parsed["words"], others: Parsed["words"]): string[] {
  return [...words].flatMap(([leaf, bits]) => {
    // 64-bit words are none of CPUID's; of these, bitwise operators give the bits as they are.
    const lacking = (bits & ~(others.get(leaf) ?? 0)) >>> 0;
    return lacking === 0
      ? []
      : [`${leaf.replace(":", " ")} ${lacking.toString(16).padStart(8, "0")}`];
  });
}
