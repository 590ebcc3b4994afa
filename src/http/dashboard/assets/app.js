import { Addresses } from "./addresses.js";
import { Machines, Peers } from "./around.js";
import { html, useEffect } from "./html.js";
import { LogIn } from "./log_in.js";
import { MoveView } from "./move.js";
import { History, OpenMoves } from "./moves.js";

/** The move that the address names after its `#`. */
function shownMove() {
  const found = /^#\/moves\/(.+)$/.exec(location.hash);
  return found === null ? null : decodeURIComponent(found[1]);
}

export function App({ site }) {
  const { state } = site;
  const id = shownMove();
  useEffect(() => site.show(id), [id, state.token]);
  useEffect(() => {
    // As after the load of a page: what is new begins at its heading.
    if (state.token !== null) document.querySelector("h1")?.focus();
  }, [id, state.token, state.isLoaded]);
  useEffect(() => {
    document.title = state.site === null ? "Causeway" : `${state.site} – Causeway`;
  }, [state.site]);
  if (state.token === null) return html`<${LogIn} site=${site} />`;
  return html`
    <header>
      <a class="home" href="#/"><strong>Causeway</strong> <span>${state.site}</span></a>
      <span class=${`tag ${state.status === "ok" ? "good" : "bad"}`}>${state.status}</span>
      <span class="push">role ${state.role}</span>
      <button type="button" onClick=${() => site.logOut()}>Log out</button>
    </header>
    <main>
      ${!state.isReachable && html`<p role="alert" class="note bad">
        The gateway does not answer. What is shown is what it said last.
      </p>`}
      ${id === null
        ? html`<${Overview} site=${site} />`
        : html`<${MoveView} site=${site} id=${id} key=${id} />`}
    </main>
  `;
}

function Overview({ site }) {
  if (!site.state.isLoaded) {
    return html`
      <h1>Moves</h1>
      <p>Loading …</p>
    `;
  }
  return html`
    <${OpenMoves} site=${site} />
    <${Machines} site=${site} />
    <${Peers} site=${site} />
    <${Addresses} site=${site} />
    <${History} site=${site} />
  `;
}
