import { duration } from "./format.js";
import { html, useState } from "./html.js";
import { Problem, useAction } from "./parts.js";

/** What a move asks its operator, with the answers that there are. */
export function Question({ site, report }) {
  const { question } = report;
  const [budgetMs, setBudgetMs] = useState("");
  const { isBusy, error, run } = useAction();
  if (question === null) return null;
  const answer = (body) =>
    run(() => site.act("POST", `/v1/migrations/${encodeURIComponent(report.id)}/answer`, body));
  const accept = (event) => {
    event.preventDefault();
    const maxDowntimeMs = budgetMs === "" ? question.wantedDowntimeMs : Number(budgetMs);
    void answer({ accept: true, maxDowntimeMs: Math.ceil(maxDowntimeMs) });
  };
  return html`
    <section class="note ask" aria-labelledby="question">
      <h2 id="question">A question</h2>
      <p>${question.text}</p>
      ${site.may("operate") && html`
        <form class="fields" onSubmit=${accept}>
          <label>Longest pause, ms (${duration(question.wantedDowntimeMs)})
            <input type="number" min="1" value=${budgetMs}
              onInput=${(event) => setBudgetMs(event.currentTarget.value)} />
          </label>
          <button class="main" disabled=${isBusy}>Allow</button>
          <button type="button" disabled=${isBusy} onClick=${() =>
            answer({ accept: false })}>Refuse</button>
        </form>
      `}
      <${Problem} error=${error} />
    </section>
  `;
}
