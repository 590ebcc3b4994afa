import { bytes, duration, moment, timeOfDay } from "./format.js";
import { html } from "./html.js";
import { Facts, Problem, useAction } from "./parts.js";

/** Addresses that follow their machines: where they are, and what keeps them reachable. */
export function Addresses({ site }) {
  const { redirects } = site.state;
  if (redirects.length === 0) return null;
  return html`
    <section aria-labelledby="addresses">
      <h2 id="addresses">Addresses</h2>
      <ul class="cards">${redirects.map((redirect) =>
        html`<${Redirect} key=${`${redirect.guest} ${redirect.migration}`} site=${site} redirect=${redirect} />`
      )}</ul>
    </section>
  `;
}

function Redirect({ site, redirect }) {
  const { guest, migration, side, peer, state, problem, addresses, reach, question, kept } =
    redirect;
  const colour = state === "failed" || problem !== null
    ? "bad"
    : redirect.settled
    ? "good"
    : "busy";
  return html`
    <li class="card">
      <div class="row">
        <h3>${guest}</h3>
        <span class=${`tag ${colour}`}>${state}</span>
        ${migration !== null && html`<a class="push" href=${`#/moves/${migration}`}>its move</a>`}
      </div>
      <ul class="lines">${addresses.map(({ ip, name, site: at, traffic }) =>
        html`<li key=${ip}>
          ${ip}${name === null ? "" : ` (${name})`} at ${at}
          ${
          traffic && html`<span class="quiet figures">
            ${bytes(traffic.toMachineBytes)} to it, ${bytes(traffic.fromMachineBytes)} from it
          </span>`
        }
        </li>`
      )}</ul>
      <${Facts} facts=${[
        ["By", redirect.means.join(", ") || "–"],
        ["Since", moment(redirect.since)],
        ["This site is", side === null ? undefined : `the ${side} one, ${peer} the other`],
        [
          "Reached",
          reach === null ? undefined : reach.reached ? "yes" : `not ${reach.missing.join(", ")}`,
        ],
        ["Not reached for", reach?.blackoutMs == null ? undefined : duration(reach.blackoutMs)],
        [
          "Packets that waited",
          kept === null ? undefined : `${kept.packets} (${kept.droppedPackets} lost)`,
        ],
      ]} />
      ${problem !== null && html`<p class="note bad">${problem}</p>`}
      ${question !== null &&
        html`<${Question} site=${site} migration=${migration} text=${question.text} />`}
      <details>
        <summary>History</summary>
        <ol class="lines">${redirect.history.map(({ at, kind, detail }, index) =>
          html`
            <li
              key=${index}><time datetime=${at}>${timeOfDay(
                at,
              )}</time> <strong>${kind}</strong> ${detail}</li>
          `
        )}</ol>
      </details>
    </li>
  `;
}

/** Asked where the machine is not reached after its move. */
function Question({ site, migration, text }) {
  const { isBusy, error, run } = useAction();
  const answer = (keep) => () =>
    run(() => site.act("POST", `/v1/redirects/${encodeURIComponent(migration)}/answer`, { keep }));
  return html`
    <div class="note ask">
      <p>${text}</p>
      ${site.may("operate") && html`
        <div class="row">
          <button type="button" disabled=${isBusy} onClick=${answer(true)}>Keep it there</button>
          <button type="button" disabled=${isBusy} onClick=${answer(false)}>Bring it back</button>
        </div>
      `}
      <${Problem} error=${error} />
    </div>
  `;
}
