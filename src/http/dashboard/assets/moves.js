import { bytes, duration, moment, rate } from "./format.js";
import { html } from "./html.js";
import { Facts, Progress, StateTag } from "./parts.js";
import { remainingBytes } from "./series.js";
import { ENDED } from "./site.js";

const HISTORY_MAX = 100;

function byState(site, isEnded) {
  return [...site.state.moves.values()].reverse()
    .filter(({ state }) => ENDED.includes(state) === isEnded);
}

/** What is under way. */
export function OpenMoves({ site }) {
  const open = byState(site, false);
  return html`
    <section aria-labelledby="moves">
      <h1 id="moves" tabindex="-1">Moves</h1>
      ${open.length === 0 && html`<p class="quiet">Nothing moves.</p>`}
      <ul class="cards">${open.map((report) =>
        html`
          <li class="card" key=${report.id}>
            <div class="row">
              <h2><a href=${`#/moves/${report.id}`}>${report.guest}: ${report.from} to ${report
                .to}</a></h2>
              <${StateTag} state=${report.state} />
            </div>
            <${Progress} report=${report} />
            <p>${report.phase}</p>
            ${report.question && html`<p class="note ask">${report.question.text}</p>`}
            <${Facts} facts=${[
              ["Remaining", bytes(remainingBytes(report))],
              ["Throughput", rate(site.state.series.get(report.id)?.throughput.at(-1))],
              ["Time left", duration(report.etaMs)],
            ]} />
          </li>
        `
      )}</ul>
    </section>
  `;
}

/** What has ended, newest first. */
export function History({ site }) {
  const ended = byState(site, true);
  return html`
    <section aria-labelledby="history">
      <h2 id="history">History</h2>
      ${ended.length === 0 && html`<p class="quiet">No move has ended yet.</p>`}
      <ul class="lines">${ended.slice(0, HISTORY_MAX).map((report) =>
        html`
          <li key=${report.id}>
            <a href=${`#/moves/${report.id}`}>${report.guest}: ${report.from} to ${report.to}</a>
            <${StateTag} state=${report.state} />
            <span class="quiet">${moment(report.startedAt)}, ${duration(report.totalMs)},
              ${bytes(report.wireBytes.total)}${report.downtimeMs === null
                ? ""
                : `, paused ${duration(report.downtimeMs)}`}</span>
          </li>
        `
      )}</ul>
      ${ended.length > HISTORY_MAX &&
        html`<p class="quiet">Older ones: <code>causeway status</code></p>`}
    </section>
  `;
}
