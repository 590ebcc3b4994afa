import assert from "node:assert/strict";
import { formatIp, parseIp } from "../../../core/ip_address.ts";
import { neighbourQuestion, parseNeighbourAnswer } from "../../../redirect/neighbour_frames.ts";
import { mutateBytes } from "../bytes_mutator.ts";
import type { Dice } from "../dice.ts";
import type { FuzzTarget } from "../target.ts";

const OPERATION_AT = 21;
const ADVERTISEMENT_AT = 54;

/** An answer: a question with the type of one, and padding as Ethernet has it. */
function anyAnswer(dice: Dice): Uint8Array {
  const isIpv4 = dice.chance(0.5);
  const ip = formatIp({ family: isIpv4 ? 4 : 6, bytes: dice.bytes(isIpv4 ? 4 : 16) });
  const frame = neighbourQuestion(ip, "52:54:00:00:00:05");
  if (isIpv4) frame[OPERATION_AT] = 2;
  else frame.set([136, 0, 0, 0, 0x60], ADVERTISEMENT_AT);
  return Uint8Array.from([...frame, ...dice.bytes(dice.below(19))]);
}

/** Frames that anybody on a machine's network sends. */
export function neighbourFrames(): FuzzTarget {
  return {
    name: "neighbour-frames",
    reads: "ARP and neighbour advertisements (src/redirect/neighbour_frames.ts)",
    codes: [],
    form: "bytes",
    bufferBytesMax: 4_096,
    testExecutions: 20_000,
    generate: anyAnswer,
    mutate: (input, dice, others) => mutateBytes(input, dice, others),
    run(input) {
      const answer = parseNeighbourAnswer(input);
      if (answer === null) return "none";
      const address = parseIp(answer.ip);
      assert.ok(address, answer.ip);
      assert.equal(formatIp(address), answer.ip);
      assert.match(answer.mac, /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/);
      return `answer ${address.family}`;
    },
  };
}
