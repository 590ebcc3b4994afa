import { bytes, duration, range, rate } from "./format.js";
import { html, useEffect, useRef, useState } from "./html.js";
import { Dialog, Problem, useAction } from "./parts.js";

const MEGA = 1_000_000;

/** Asks for what a move needs, shows its plan, and starts it: nothing moves without a plan. */
export function StartDialog({ site, guest, onClose }) {
  const [form, setForm] = useState({
    to: site.state.peers[0]?.name ?? "",
    strategy: "precopy",
    maxDowntimeMs: 300,
    rateMega: "",
    hold: false,
  });
  const [plan, setPlan] = useState(null);
  const planning = useAction();
  const starting = useAction();
  const left = useRef(new AbortController());
  useEffect(() => () => left.current.abort(), []);

  const set = (name) => (event) => {
    const { type, checked, value } = event.currentTarget;
    setForm({ ...form, [name]: type === "checkbox" ? checked : value });
    // What was planned was another move.
    setPlan(null);
  };
  const wishes = () => ({
    guest,
    to: form.to,
    strategy: form.strategy,
    maxDowntimeMs: Number(form.maxDowntimeMs),
    rate: form.rateMega === "" ? null : Math.round(Number(form.rateMega) * MEGA),
  });
  const makePlan = (event) => {
    event.preventDefault();
    void planning.run(async () => {
      setPlan(await site.act("POST", "/v1/plan", wishes(), left.current.signal));
    });
  };
  const start = () =>
    starting.run(async () => {
      const { id } = await site.act("POST", "/v1/migrations", { ...wishes(), hold: form.hold });
      onClose();
      location.hash = `#/moves/${id}`;
    });

  return html`
    <${Dialog} title=${`Move ${guest}`} onClose=${onClose}>
      <form onSubmit=${makePlan} class="fields">
        <label>To
          <select value=${form.to} onChange=${set("to")}>${site.state.peers.map(({ name }) =>
            html`<option key=${name}>${name}</option>`
          )}</select>
        </label>
        <label>Strategy
          <select value=${form.strategy} onChange=${set("strategy")}>
            <option>precopy</option><option>stop-and-copy</option><option>seed</option>
          </select>
        </label>
        <label>Longest pause, ms
          <input type="number" min="1" max="86400000" required value=${form.maxDowntimeMs}
            onInput=${set("maxDowntimeMs")} />
        </label>
        <label>Cap, MB/s (none)
          <input type="number" min="0.01" step="any" value=${form.rateMega} onInput=${set(
            "rateMega",
          )} />
        </label>
        <label class="check">
          <input type="checkbox" checked=${form.hold} onChange=${set("hold")} />
          Hold before the switch
        </label>
        <button class=${plan === null ? "main" : ""} disabled=${planning.isBusy || form.to === ""}>
          ${planning.isBusy ? "Watching the machine …" : "Plan"}
        </button>
      </form>
      <${Problem} error=${planning.error} />
      <div aria-live="polite">${plan !== null && html`<${Plan} plan=${plan} />`}</div>
      <${Problem} error=${starting.error} />
      ${plan !== null && site.may("operate") && html`
        <button
          type="button" class="main" disabled=${starting
            .isBusy} onClick=${start}>Start the move</button>
      `}
    <//>
  `;
}

function Plan({ plan }) {
  return html`
    <h3>Plan</h3>
    <p>At ${rate(plan.rate.bytesPerSecond.expected)} (${plan.rate.source}).</p>
    ${plan.findings.map((finding) =>
      html`<p class=${`note ${finding.severity === "refusal" ? "bad" : "ask"}`} key=${finding.code}>
        ${finding.message}. ${finding.hint}
      </p>`
    )}
    <div class="wide" role="region" tabindex="0" aria-label="Forecast by strategy">
      <table>
        <thead>
          <tr>
            <th>Strategy</th>
            <th>Time</th>
            <th>Pause</th>
            <th>Bytes</th>
            <th>Outcome</th>
          </tr>
        </thead>
        <tbody>${plan.strategies.map((each, at) =>
          html`
            <tr key=${at}>
              <th scope="row">${each.strategy}, ${each.whenOver.join(", ")}</th>
              <td>${range(each.totalMs, duration)}</td>
              <td>${range(each.downtimeMs, duration)}</td>
              <td>${range(each.wireBytes, bytes)}</td>
              <td>${each.reason}</td>
            </tr>
          `
        )}</tbody>
      </table>
    </div>
    <ul>${plan.changes.map(({ text }) => html`<li key=${text}>${text}</li>`)}</ul>
  `;
}
