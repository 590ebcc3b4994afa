import assert from "node:assert/strict";
import { renderMetrics } from "../../src/http/metrics.ts";
import { ROOT } from "./files.ts";

const DASHBOARD = "docs/monitoring/grafana-dashboard.json";
const ALERTS = "docs/monitoring/prometheus-alerts.yml";

interface Dashboard {
  readonly panels: readonly {
    readonly id: number;
    readonly title: string;
    readonly description: string;
    readonly gridPos: {
      readonly x: number;
      readonly y: number;
      readonly w: number;
      readonly h: number;
    };
    readonly targets: readonly { readonly expr: string }[];
  }[];
}

async function read(path: string): Promise<string> {
  return await Deno.readTextFile(new URL(path, ROOT));
}

/** Every family that a gateway serves. */
function families(): Set<string> {
  const process = { residentBytes: 1, heapBytes: 1, cpuSeconds: 1, startedAtSeconds: 1 };
  const text = renderMetrics({ migrations: [], peers: [], process });
  return new Set([...text.matchAll(/^# TYPE (\S+) /gm)].map(([, name]) => name));
}

function metricsIn(text: string): string[] {
  return [...text.matchAll(/\b(?:causeway|process)_[a-z_]+/g)].map(([name]) => name);
}

Deno.test("dashboard, alert rules and docs/operations.md name only metrics that a gateway serves", async () => {
  const known = families();
  for (const path of [DASHBOARD, ALERTS]) {
    const unknown = metricsIn(await read(path)).filter((name) => !known.has(name));
    assert.deepEqual(unknown, [], path);
  }
  const page = (await read("docs/operations.md")).split("## Metrics")[1];
  const missing = [...known].filter((name) => !page.includes(name));
  assert.deepEqual(missing, [], "docs/operations.md, Metrics");
});

Deno.test("the dashboard shows every metric once or more, in panels that do not lie on each other", async () => {
  const { panels } = JSON.parse(await read(DASHBOARD)) as Dashboard;
  const shown = new Set(
    panels.flatMap(({ targets }) => targets.flatMap(({ expr }) => metricsIn(expr))),
  );
  assert.deepEqual([...families()].filter((name) => !shown.has(name)), []);
  assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
  const taken = new Set<string>();
  for (const { title, description, gridPos: { x, y, w, h } } of panels) {
    assert.ok(description.length > 0, title);
    assert.ok(x + w <= 24, title);
    for (let column = x; column < x + w; column++) {
      for (let row = y; row < y + h; row++) {
        assert.ok(!taken.has(`${column},${row}`), title);
        taken.add(`${column},${row}`);
      }
    }
  }
});

Deno.test("each alert has a severity and says what is wrong", async () => {
  const rules = (await read(ALERTS)).split(/^ {6}- alert: /m).slice(1);
  assert.ok(rules.length >= 8);
  for (const rule of rules) {
    assert.match(rule, /severity: (?:critical|warning)/, rule);
    assert.match(rule, /summary: /, rule);
    assert.match(rule, /expr: /, rule);
  }
});
