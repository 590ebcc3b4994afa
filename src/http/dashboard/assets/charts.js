import uPlot from "uplot";
import { bytes, duration, rate } from "./format.js";
import { html, useLayoutEffect, useRef } from "./html.js";

const HEIGHT = 170;

/** The live charts of a move, from what was seen of it since this page was opened. */
export function Charts({ series }) {
  if (series === undefined) return null;
  const { seconds, throughput, remaining, dirty, forecast, budget } = series;
  const line = (label, values, colour, extra = {}) => ({ label, values, colour, ...extra });
  return html`
    <section aria-labelledby="charts">
      <h2 id="charts">Live</h2>
      <div class="charts">
        <${Chart} title="Throughput" form=${rate} seconds=${seconds}
          lines=${[line("sent", throughput, "--line-1")]} />
        <${Chart} title="Remaining" form=${bytes} seconds=${seconds}
          lines=${[line("to send", remaining, "--line-2")]} />
        <${Chart} title="Dirty rate" form=${rate} seconds=${seconds}
          lines=${[
            line("written", dirty, "--line-3"),
            line("sent", throughput, "--line-1", { dash: [4, 4] }),
          ]} />
        <${Chart} title="Predicted pause" form=${duration} seconds=${seconds}
          lines=${[
            line("predicted", forecast, "--line-4"),
            line("budget", budget, "--line-5", {
              dash: [4, 4],
            }),
          ]} />
      </div>
    </section>
  `;
}

/** One chart; the chart library draws it, this gives it size, colours and data. */
function Chart({ title, form, seconds, lines }) {
  const holder = useRef(null);
  const plot = useRef(null);
  const columns = () => [seconds, ...lines.map(({ values }) => values)];
  useLayoutEffect(() => {
    const element = holder.current;
    const made = new uPlot(options(form, lines, element), columns(), element);
    plot.current = made;
    const resized = new ResizeObserver(() => made.setSize(sizeOf(element)));
    resized.observe(element);
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    const redraw = () => made.redraw(false, true);
    scheme.addEventListener("change", redraw);
    return () => {
      resized.disconnect();
      scheme.removeEventListener("change", redraw);
      made.destroy();
    };
  }, []);
  useLayoutEffect(() => {
    plot.current.setData(columns());
  }, [seconds, seconds.length]);
  const now = lines.map(({ label, values }) => `${label} ${form(values.at(-1))}`).join(", ");
  return html`
    <figure>
      <figcaption><strong>${title}</strong> <span class="quiet">${now}</span></figcaption>
      <div ref=${holder} class="plot" role="img" aria-label=${`${title}: ${now}`}></div>
    </figure>
  `;
}

function options(form, lines, element) {
  // Asked at each drawing: they change with the scheme of the browser.
  const colour = (name) => () => getComputedStyle(element).getPropertyValue(name).trim();
  const axis = {
    stroke: colour("--quiet"),
    grid: { stroke: colour("--rule"), width: 1 },
    ticks: { show: false },
  };
  return {
    ...sizeOf(element),
    legend: { show: false },
    cursor: { show: false },
    scales: { y: { range: (_, __, most) => [0, most > 0 ? most * 1.1 : 1] } },
    axes: [
      { ...axis, space: 70 },
      { ...axis, size: 72, values: (_, ticks) => ticks.map((tick) => form(tick)) },
    ],
    series: [
      {},
      ...lines.map((line) => ({
        label: line.label,
        stroke: colour(line.colour),
        width: 2,
        dash: line.dash,
        spanGaps: false,
        points: { show: false },
      })),
    ],
  };
}

function sizeOf(element) {
  return { width: Math.max(120, element.clientWidth), height: HEIGHT };
}
