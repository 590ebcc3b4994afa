import { html, useState } from "./html.js";
import { Dialog, Problem, useAction } from "./parts.js";

const MEGA = 1_000_000;
const COPYING = ["preparing", "copying", "holding"];
const DOUBTFUL = ["inDoubt", "conflict"];

/** What is asked before it is done, because it cannot be taken back or pauses the machine. */
const CONFIRMED = {
  switchover: ["Switch over", "The machine pauses, and goes on at the destination."],
  cancel: ["Cancel the move", "The machine runs on at the source. What was copied is given up."],
  rollback: ["Roll back", "The machine as it is now is moved back to where it came from."],
};

/** What the token's role may do with a move in its present state, and nothing else. */
export function Actions({ site, report }) {
  const [asked, setAsked] = useState(null);
  const { isBusy, error, run } = useAction();
  if (!site.may("operate")) return null;
  const path = `/v1/migrations/${encodeURIComponent(report.id)}`;
  const act = (method, name, body) => run(() => site.act(method, path + name, body));
  const isCopying = COPYING.includes(report.state);
  const isDoubtful = DOUBTFUL.includes(report.state) && site.may("admin");
  const button = (name, text, onClick) =>
    html`<button key=${name} type="button" disabled=${isBusy} onClick=${onClick}>${text}</button>`;
  const buttons = [
    isCopying && !report.hold && button("hold", "Hold", () => act("POST", "/hold")),
    isCopying && report.hold &&
    button("release", "Stop holding", () => act("PATCH", "", { hold: false })),
    isCopying && button("switchover", "Switch over", () => setAsked("switchover")),
    (isCopying || report.state === "switching") &&
    button("cancel", "Cancel", () => setAsked("cancel")),
    report.state === "completed" && button("rollback", "Roll back", () => setAsked("rollback")),
    isDoubtful && button("adjudicate", "Adjudicate", () => setAsked("adjudicate")),
  ].filter(Boolean);
  const close = () => setAsked(null);
  if (buttons.length === 0) return null;
  return html`
    <section aria-label="Actions" class="actions">
      <div class="row">${buttons}</div>
      ${isCopying && html`<${Wishes} report=${report} isBusy=${isBusy} act=${act} />`}
      <${Problem} error=${error} />
      ${CONFIRMED[asked] && html`
        <${Dialog} title=${CONFIRMED[asked][0]} onClose=${close}>
          <p>${CONFIRMED[asked][1]}</p>
          <button type="button" class="main" onClick=${() => {
            close();
            void act("POST", `/${asked}`);
          }}>${CONFIRMED[asked][0]}</button>
          <//>
      `}
      ${asked === "adjudicate" &&
        html`<${Adjudicate} report=${report} onClose=${close} act=${act} />`}
    </section>
  `;
}

/** Rate and budget while the move runs. */
function Wishes({ report, isBusy, act }) {
  // What was not touched follows the move, whoever changes it.
  const [rateMega, setRateMega] = useState(null);
  const [budgetMs, setBudgetMs] = useState(null);
  const change = async (event) => {
    event.preventDefault();
    const changes = {};
    if (budgetMs !== null) changes.maxDowntimeMs = Number(budgetMs);
    if (rateMega !== null) {
      changes.rate = rateMega === "" ? null : Math.round(Number(rateMega) * MEGA);
    }
    if (Object.keys(changes).length === 0 || !await act("PATCH", "", changes)) return;
    setRateMega(null);
    setBudgetMs(null);
  };
  const wished = typeof report.rate === "number" ? report.rate / MEGA : "";
  return html`
    <form class="fields" onSubmit=${change}>
      <label>Cap, MB/s (none)
        <input type="number" min="0.01" step="any" value=${rateMega ?? wished}
          onInput=${(event) => setRateMega(event.currentTarget.value)} />
      </label>
      <label>Longest pause, ms
        <input type="number" min="1" max="86400000" required value=${budgetMs ??
          report.maxDowntimeMs}
          onInput=${(event) => setBudgetMs(event.currentTarget.value)} />
      </label>
      <button disabled=${isBusy}>Change</button>
    </form>
  `;
}

/** An operator's word on who may run the machine. */
function Adjudicate({ report, onClose, act }) {
  const [owner, setOwner] = useState("");
  const [reason, setReason] = useState("");
  const [force, setForce] = useState(false);
  const decide = (event) => {
    event.preventDefault();
    onClose();
    void act("POST", "/adjudicate", { owner, reason, force });
  };
  return html`
    <${Dialog} title="Adjudicate" onClose=${onClose}>
      <p class="note bad">
        Make sure that the machine cannot run at the other site: two running copies of one machine
        destroy its data.
      </p>
      <form class="fields" onSubmit=${decide}>
        <label>Site that may run it
          <select required value=${owner} onChange=${(event) =>
            setOwner(event.currentTarget.value)}>
            <option value="">choose</option>
            <option>${report.from}</option>
            <option>${report.to}</option>
          </select>
        </label>
        <label>Reason, for the record
          <input required maxlength="1000" value=${reason}
            onInput=${(event) => setReason(event.currentTarget.value)} />
        </label>
        <label class="check">
          <input type="checkbox" checked=${force}
            onChange=${(event) => setForce(event.currentTarget.checked)} />
          Even if the other site can be asked
        </label>
        <button class="main">Decide</button>
      </form>
      <//>
  `;
}
