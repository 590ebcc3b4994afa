import { bytes, duration, percent, rate } from "./format.js";
import { html, useState } from "./html.js";
import { Facts } from "./parts.js";
import { ENDED } from "./site.js";
import { StartDialog } from "./start.js";

/** The machines of this site; those that run here can be moved. */
export function Machines({ site }) {
  const [moved, setMoved] = useState(null);
  const { guests, moves } = site.state;
  const card = (guest) => {
    const move = moves.get(guest.migration);
    const isMoving = move !== undefined && !ENDED.includes(move.state);
    const disks = guest.description?.disks ?? [];
    return html`
      <li class="card" key=${guest.id}>
        <div class="row">
          <h3>${guest.id}</h3>
          <span class=${`tag ${guest.runState === "running" ? "good" : ""}`}>${guest
            .runState}</span>
          ${guest.runState === "running" && !isMoving && html`
            <button
              type="button" class="push" onClick=${() => setMoved(guest.id)}
              aria-label=${`Move ${guest.id}`}>${site.may("operate") ? "Move" : "Plan"}</button>
          `}
        </div>
        <${Facts} facts=${[
          ["Kind", guest.kind],
          ["Runs at", guest.owner ?? "–"],
          ["Memory", bytes(guest.description?.memoryBytes)],
          ["Disks", bytes(disks.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0))],
          ["Move", isMoving ? html`<a href=${`#/moves/${move.id}`}>to ${move.to}</a>` : undefined],
        ]} />
      </li>
    `;
  };
  return html`
    <section aria-labelledby="machines">
      <h2 id="machines">Machines</h2>
      ${guests.length === 0 && html`<p class="quiet">None is registered here.</p>`}
      <ul class="cards">${guests.map(card)}</ul>
      ${moved !== null &&
        html`<${StartDialog} site=${site} guest=${moved} onClose=${() => setMoved(null)} />`}
    </section>
  `;
}

/** Trusted sites and what is measured of the way to them. */
export function Peers({ site }) {
  const { peers } = site.state;
  return html`
    <section aria-labelledby="peers">
      <h2 id="peers">Peers</h2>
      ${peers.length === 0 && html`<p class="quiet">None is trusted yet.</p>`}
      <ul class="cards">${peers.map((
        { name, state, carrier, path, rateBytesPerSecond, address, lastError },
      ) =>
        html`
          <li class="card" key=${name}>
            <div class="row">
              <h3>${name}</h3>
              <span class=${`tag ${state === "up" ? "good" : "bad"}`}>${state}</span>
            </div>
            <${Facts} facts=${[
              ["Address", address ?? "dials us"],
              ["Carrier", carrier?.kind ?? "–"],
              ["Round trip", duration(path.roundTripMs)],
              ["Bottleneck", rate(path.bottleneckBytesPerSecond)],
              ["Goodput", rate(path.goodputBytesPerSecond)],
              ["Loss", percent(path.lossRatio)],
              ["Queue", duration(path.queueMs)],
              ["Cap", rateBytesPerSecond === null ? undefined : rate(rateBytesPerSecond)],
            ]} />
            ${state === "down" && lastError &&
              html`<p class="note bad">${lastError.message}. ${lastError.hint}</p>`}
          </li>
        `
      )}</ul>
    </section>
  `;
}
