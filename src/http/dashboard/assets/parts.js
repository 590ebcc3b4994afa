import { STATE_WORDS } from "./format.js";
import { html, useLayoutEffect, useRef, useState } from "./html.js";

const STATE_COLOURS = {
  completed: "good",
  seeded: "good",
  failed: "bad",
  inDoubt: "bad",
  conflict: "bad",
  cancelled: "",
  rolledBack: "",
};

/** A move's state as a coloured word. */
export function StateTag({ state }) {
  return html`<span class=${`tag ${STATE_COLOURS[state] ?? "busy"}`}>${
    STATE_WORDS[state] ?? state
  }</span>`;
}

/** How far a move is. */
export function Progress({ report }) {
  const label = `Progress of ${report.guest}`;
  return html`<progress aria-label=${label} max="1" value=${report.progress}></progress>`;
}

/** Names with values: `facts` is a list of pairs; pairs without a value are left out. */
export function Facts({ facts }) {
  return html`<dl class="facts">${
    facts.filter(([, value]) => value !== undefined).map(([name, value]) =>
      html`
        <div key=${name}>
          <dt>${name}</dt>
          <dd>${value}</dd>
        </div>
      `
    )
  }</dl>`;
}

/** An error or finding with its hint. */
export function Problem({ error }) {
  if (!error) return null;
  return html`<p role="alert" class="note bad">
    ${error.message}. ${error.hint} ${error.code && html`<code>${error.code}</code>`}
  </p>`;
}

/** A dialog of the browser's own: it holds the focus, Escape closes it. */
export function Dialog({ title, onClose, children }) {
  const dialog = useRef(null);
  useLayoutEffect(() => {
    dialog.current.showModal();
  }, []);
  return html`
    <dialog ref=${dialog} aria-labelledby="dialog-title" onClose=${onClose}>
      <div class="row">
        <h2 id="dialog-title">${title}</h2>
        <button type="button" class="push" onClick=${() => dialog.current.close()}>Close</button>
      </div>
      ${children}
    </dialog>
  `;
}

/**
 * Runs a request, and says how it went.
 *
 * @returns busy or not, the error if there was one, and the function that runs it; its result is
 *   true when the request was answered
 */
export function useAction() {
  const [isBusy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const run = async (request) => {
    setBusy(true);
    setError(null);
    try {
      await request();
      return true;
    } catch (thrown) {
      if (thrown.name !== "AbortError") setError(thrown);
      return false;
    } finally {
      setBusy(false);
    }
  };
  return { isBusy, error, run };
}
