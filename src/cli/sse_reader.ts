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
  #text = "";
  #name = "";
  #data: string[] = [];
  #dataCharacters = 0;

  /** Events that are complete with `chunk`. */
  push(chunk: string): ServerEvent[] {
    this.#text += chunk;
    const events: ServerEvent[] = [];
    for (;;) {
      const line = this.#nextLine();
      if (line === null) break;
      const event = this.#line(line);
      if (event) events.push(event);
    }
    if (this.#text.length > EVENT_CHARACTERS_MAX) throw new RangeError("An event does not end");
    return events;
  }

  /** Lines end with LF, CR LF or CR; a CR at the very end may be half of one. */
  #nextLine(): string | null {
    const match = /\r\n|\n|\r(?=[^])/.exec(this.#text);
    if (!match) return null;
    const line = this.#text.slice(0, match.index);
    this.#text = this.#text.slice(match.index + match[0].length);
    return line;
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
