/** One server-sent event. */
export interface ServerEvent {
  readonly name: string;
  readonly data: string;
}

/** A line or event beyond this is not from a gateway. */
export const EVENT_CHARACTERS_MAX = 16 * 1024 * 1024;

/**
 * Takes server-sent events out of a stream of text, cut anywhere (HTML standard, section 9.2).
 * Comments, ids and retry times are passed over.
 *
 * @throws {RangeError} when a line or an event does not end
 */
export class EventDecoder {
  /** Of a line that has not ended: joined when it does, or each piece would copy all before it. */
  #pieces: string[] = [];
  #characters = 0;
  #name = "";
  #data: string[] = [];
  #dataCharacters = 0;

  /** Events that are complete with `chunk`. */
  push(chunk: string): ServerEvent[] {
    const mayEnd = /[\n\r]/.test(chunk) || this.#pieces.at(-1)?.endsWith("\r");
    this.#pieces.push(chunk);
    this.#characters += chunk.length;
    const events = mayEnd ? this.#lines(this.#pieces.join("")) : [];
    if (this.#characters > EVENT_CHARACTERS_MAX) throw new RangeError("An event does not end");
    return events;
  }

  /** Lines end with LF, CR LF or CR; a CR at the very end may be half of one. */
  #lines(text: string): ServerEvent[] {
    const events: ServerEvent[] = [];
    let from = 0;
    for (const match of text.matchAll(/\r\n|\n|\r(?=[^])/g)) {
      const event = this.#line(text.slice(from, match.index));
      if (event) events.push(event);
      from = match.index + match[0].length;
    }
    const rest = text.slice(from);
    this.#pieces = rest === "" ? [] : [rest];
    this.#characters = rest.length;
    return events;
  }

  #line(line: string): ServerEvent | null {
    if (line === "") {
      const event = { name: this.#name || "message", data: this.#data.join("\n") };
      const complete = this.#data.length > 0;
      this.#name = "";
      this.#data = [];
      this.#dataCharacters = 0;
      return complete ? event : null;
    }
    const [, field, value] = /^([^:]*):? ?([^]*)$/.exec(line)!;
    if (field === "event") this.#name = value;
    if (field === "data") {
      this.#dataCharacters += value.length;
      if (this.#dataCharacters > EVENT_CHARACTERS_MAX) {
        throw new RangeError("An event does not end");
      }
      this.#data.push(value);
    }
    return null;
  }
}
