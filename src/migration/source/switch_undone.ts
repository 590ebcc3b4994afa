import type { Decision } from "../report.ts";

/** Why a switch is undone that nothing else is wrong with: the machine runs on, the copy goes on. */
export abstract class SwitchUndone extends Error {
  constructor(message: string, readonly numbers: Decision["numbers"]) {
    super(message);
  }
}

/** The destination has not got all pages right. */
export class RepairAsked extends SwitchUndone {
  constructor() {
    super("the destination asks for pages again", {});
  }
}
