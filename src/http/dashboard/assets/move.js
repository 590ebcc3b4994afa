import { Actions } from "./actions.js";
import { Charts } from "./charts.js";
import { bytes, duration, moment, percent, rate, STATE_WORDS, timeOfDay } from "./format.js";
import { html, useEffect, useState } from "./html.js";
import { Facts, Problem, Progress, StateTag } from "./parts.js";
import { Question } from "./question.js";
import { remainingBytes } from "./series.js";
import { ENDED } from "./site.js";
import { Timeline } from "./timeline.js";

/** One move: what it does, why, and what can be done about it; its report when it has ended. */
export function MoveView({ site, id }) {
  const report = site.state.moves.get(id);
  if (report === undefined) {
    return html`
      <h1>Move ${id}</h1>
      <p>${site.state.isLoaded ? "There is no such move here." : "Loading …"}</p>
    `;
  }
  const isEnded = ENDED.includes(report.state);
  return html`
    <nav><a href="#/">All moves</a></nav>
    <div class="row">
      <h1 tabindex="-1">${report.guest}: ${report.from} to ${report.to}</h1>
      <span aria-live="polite"><${StateTag} state=${report.state} /></span>
    </div>
    <p class="phase">${STATE_WORDS[report.state]}: ${report.phase}</p>
    ${!isEnded && html`<${Progress} report=${report} />`}
    <${Problem} error=${report.error} />
    <${Question} site=${site} report=${report} />
    <${Actions} site=${site} report=${report} />
    <${Facts} facts=${[
      ["Machine", `${report.machine.runState} at ${report.machine.site}`],
      ["Owner", `${report.owner}, epoch ${report.epoch}`],
      ["Started", moment(report.startedAt)],
      ["Took", isEnded ? duration(report.totalMs) : undefined],
      ["Time left", isEnded ? undefined : duration(report.etaMs)],
      ["Remaining", isEnded ? undefined : bytes(remainingBytes(report))],
      ["Paused for", duration(report.downtimeMs)],
      ["Longest pause wished", duration(report.maxDowntimeMs)],
      ["Cap", report.rateBytesPerSecond === null ? "none" : rate(report.rateBytesPerSecond)],
      ["On the wire", bytes(report.wireBytes.total)],
      ["Saved", bytes(Object.values(report.savedBytes).reduce((sum, each) => sum + each, 0))],
      ["Taken from the machine", throttled(report.throttle)],
      ["Convergence", report.convergence?.reason],
    ]} />
    <section aria-labelledby="timeline">
      <h2 id="timeline">Phases</h2>
      <${Timeline} report=${report} />
    </section>
    <${Charts} series=${site.state.series.get(id)} />
    <section aria-labelledby="decisions">
      <h2 id="decisions">Decisions</h2>
      ${report.decisions.length === 0 && html`<p class="quiet">None yet.</p>`}
      <div class="decisions" role="region" tabindex="0" aria-labelledby="decisions">
        <ol class="lines">${report.decisions.toReversed().map(decision)}</ol>
      </div>
    </section>
    <${Report} report=${report} />
  `;
}

function decision({ at, action, reason, numbers }, index) {
  const figures = Object.entries(numbers).map(([name, value]) => `${name} ${value ?? "–"}`).join(
    ", ",
  );
  return html`
    <li key=${`${at} ${index} ${action}`}>
      <time datetime=${at}>${timeOfDay(at)}</time> <strong>${action}</strong> ${reason}
      ${figures !== "" && html`<span class="quiet figures">${figures}</span>`}
    </li>
  `;
}

function throttled({ diskBytesPerSecond, cpuShare }) {
  if (diskBytesPerSecond === null && cpuShare === null) return undefined;
  const parts = [];
  if (cpuShare !== null) parts.push(`${percent(cpuShare)} of its processor`);
  if (diskBytesPerSecond !== null) parts.push(`disk writes above ${rate(diskBytesPerSecond)}`);
  return parts.join(", ");
}

/** Every round and byte, and the report as the API gives it. */
function Report({ report }) {
  const [isOpen, setOpen] = useState(false);
  const [url, setUrl] = useState(null);
  useEffect(() => {
    if (!isOpen) return;
    const made = URL.createObjectURL(
      new Blob([JSON.stringify(report, null, 2)], { type: "application/json" }),
    );
    setUrl(made);
    return () => URL.revokeObjectURL(made);
  }, [isOpen, report]);
  return html`
    <details onToggle=${(event) => setOpen(event.currentTarget.open)}>
      <summary>Report</summary>
      ${isOpen && html`
        ${url && html`<p><a href=${url} download=${`${report.id}.json`}>Save as JSON</a></p>`}
        <div class="wide" role="region" tabindex="0" aria-label="Rounds">
          <table>
            <thead>
              <tr>
                <th>Round</th>
                <th>Of</th>
                <th>Began</th>
                <th>Took</th>
                <th>Sent</th>
                <th>Remaining</th>
              </tr>
            </thead>
            <tbody>${report.rounds.map((round, at) =>
              html`
                <tr key=${at}>
                  <th scope="row">${round.number}</th>
                  <td>${round.kind}</td>
                  <td>${timeOfDay(round.startedAt)}</td>
                  <td>${duration(round.durationMs)}</td>
                  <td>${bytes(round.sentBytes)}</td>
                  <td>${bytes(round.remainingBytes)}</td>
                </tr>
              `
            )}</tbody>
          </table>
        </div>
        <h3>On the wire</h3>
        <${Facts} facts=${Object.entries(report.wireBytes).map((
          [name, value],
        ) => [name, bytes(value)])} />
        <h3>Saved</h3>
        <${Facts} facts=${Object.entries(report.savedBytes).map((
          [name, value],
        ) => [name, bytes(value)])} />
        ${report.leftovers.length > 0 && html`
          <h3>Left behind</h3>
          <ul>${report.leftovers.map((each) => html`<li key=${each}>${each}</li>`)}</ul>
        `}
      `}
    </details>
  `;
}
