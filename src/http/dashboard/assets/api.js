/** A refusal of the API: an RFC 9457 problem with `code`, `message` and `hint`. */
export class ApiError extends Error {
  constructor(status, { code = "unknown", message = `The gateway answered ${status}`, hint = "" }) {
    super(message);
    this.status = status;
    this.code = code;
    this.hint = hint;
  }

  /** The token is not good (any more). */
  get isRefusal() {
    return this.status === 401;
  }
}

/**
 * One request. The token goes in a header, never in an address: addresses end up in logs.
 *
 * @throws {ApiError} for every answer that is no success; TypeError when there is no answer
 */
export async function ask(token, method, path, body, signal) {
  const response = await fetch(path, {
    method,
    signal,
    headers: { authorization: `Bearer ${token}` },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  if (response.ok) return response.status === 204 ? null : await response.json();
  throw new ApiError(response.status, await response.json().catch(() => ({})));
}

/**
 * The reports of one move, each as soon as it is made. Read from a streamed answer, because
 * EventSource cannot send a token but in the address.
 */
export async function* reportsOf(token, id, signal) {
  const response = await fetch(`/v1/migrations/${encodeURIComponent(id)}/events`, {
    signal,
    headers: { authorization: `Bearer ${token}` },
  });
  if (!response.ok) throw new ApiError(response.status, await response.json().catch(() => ({})));
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const events = (rest + value).split("\n\n");
      rest = events.pop();
      for (const event of events) {
        const report = reportIn(event);
        if (report !== null) yield report;
      }
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

/** Null for keep-alives and the end of a move, which its last report has told already. */
function reportIn(event) {
  const lines = event.split("\n");
  if (!lines.includes("event: report")) return null;
  const data = lines.find((line) => line.startsWith("data: "));
  return JSON.parse(data.slice("data: ".length));
}
