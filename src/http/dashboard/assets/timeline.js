import { duration } from "./format.js";
import { html } from "./html.js";

const STEPS = ["preparing", "copying", "switching", "completed"];
const LANES = [["disk", "Disks"], ["memory", "Memory"], ["final", "Switch"]];
/** A pass of some ms is still there to be seen. */
const WIDTH_MIN = 0.4;

/** Where the move stands, and when which round of disks and memory ran. */
export function Timeline({ report }) {
  const at = STEPS.indexOf(report.state === "holding" ? "copying" : report.state);
  return html`
    ${at >= 0 && html`<ol class="steps">${
      STEPS.map((step, index) =>
        html`
          <li key=${step} class=${index < at ? "done" : ""}
            aria-current=${index === at ? "step" : undefined}>${step}</li>
        `
      )
    }</ol>`}
    <${Lanes} report=${report} />
  `;
}

function Lanes({ report }) {
  const startMs = Date.parse(report.startedAt);
  const rounds = report.rounds.map((round) => {
    const fromMs = Date.parse(round.startedAt) - startMs;
    return {
      ...round,
      fromMs,
      untilMs: round.durationMs === null ? null : fromMs + round.durationMs,
    };
  });
  // By the gateway's clock, not by the reader's.
  const endMs = Math.max(
    report.totalMs ?? 0,
    ...rounds.map(({ fromMs, untilMs }) => untilMs ?? fromMs),
    1,
  );
  const share = (ms) => 100 * ms / endMs;
  const bar = ({ number, kind, fromMs, untilMs, durationMs }, at) => {
    const width = Math.max(WIDTH_MIN, share((untilMs ?? endMs) - fromMs));
    const left = Math.max(0, Math.min(share(fromMs), 100 - width));
    const title = `${kind} round ${number}: ${
      durationMs === null ? "under way" : duration(durationMs)
    }`;
    return html`
      <i key=${at} class=${kind} title=${title}
        style=${{ left: `${left}%`, width: `${Math.min(width, 100)}%` }}></i>
    `;
  };
  return html`
    <div class="lanes">
      ${LANES.map(([kind, name]) => {
        const own = rounds.filter((round) => round.kind === kind);
        const tookMs = own.reduce((sum, { durationMs }) => sum + (durationMs ?? 0), 0);
        return html`
          <span>${name}</span>
          <div class="lane" role="img"
            aria-label=${`${name}: ${own.length} rounds, ${duration(tookMs)} together`}>${own.map(
              bar,
            )}</div>
        `;
      })}
      <span></span><span class="ends"><span>0</span><span>${duration(endMs)}</span></span>
    </div>
  `;
}
