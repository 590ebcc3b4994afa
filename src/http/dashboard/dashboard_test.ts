import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { VirtualClock } from "../../testing/virtual_clock.ts";
import { createApp } from "../app.ts";
import { STRICT_HEADERS } from "../auth/strict_headers.ts";
import { fakeService, sampleReport } from "../testing/fake_service.ts";
import { oneToken } from "../testing/one_token.ts";
import { loadDashboard } from "./assets.ts";
import { bytes, duration, range, rate } from "./assets/format.js";
import { addReport, newSeries } from "./assets/series.js";

/** What a browser loads, all of it and without compression (docs/operations.md states it). */
const SIZE_BYTES_MAX = 130_000;

function app() {
  return createApp({
    service: fakeService().service,
    authorized: oneToken("a-token-of-the-site"),
    clock: new VirtualClock(),
    log: () => {},
    processFigures: () => ({ residentBytes: 1, heapBytes: 1, cpuSeconds: 1, startedAtSeconds: 1 }),
    profiles: () => Promise.resolve([]),
  });
}

Deno.test("the page and its files need no token, and say nothing about the site", async () => {
  const served = app();
  const page = await served.request("/");
  assert.equal(page.status, 200);
  assert.match(page.headers.get("content-type")!, /^text\/html/);
  assert.doesNotMatch(await page.text(), /west|east/);
  for (const [name, { contentType, text }] of loadDashboard().files) {
    const answer = await served.request(`/dashboard/${name}`);
    assert.equal(answer.status, 200, name);
    assert.equal(answer.headers.get("content-type"), contentType);
    assert.equal(await answer.text(), text);
  }
  for (const path of ["/dashboard/none.js", "/dashboard/index.html", "/dashboard/..%2Fassets.ts"]) {
    const answer = await served.request(path);
    assert.equal(answer.status, 404, path);
    assert.equal((await answer.json()).code, "route_unknown");
  }
});

Deno.test("the page's policy lets it run its own files and its import map, and nothing else", async () => {
  const answer = await app().request("/");
  const [, importMap] = /<script type="importmap">([^]*?)<\/script>/.exec(await answer.text())!;
  const hash = createHash("sha256").update(importMap).digest("base64");
  assert.deepEqual(answer.headers.get("content-security-policy")!.split("; "), [
    "default-src 'none'",
    `script-src 'self' 'sha256-${hash}'`,
    "style-src 'self'",
    "connect-src 'self'",
    "img-src 'self' data:",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ]);
  for (const [name, value] of Object.entries(STRICT_HEADERS)) {
    if (name !== "content-security-policy") assert.equal(answer.headers.get(name), value);
  }
  const script = await app().request("/dashboard/main.js");
  assert.equal(
    script.headers.get("content-security-policy"),
    STRICT_HEADERS["content-security-policy"],
  );
});

Deno.test("everything that the page loads is served here, and is small", () => {
  const { page, files } = loadDashboard();
  const loaded = [...page.text.matchAll(/"\/dashboard\/([\w.]+)"/g)].map(([, name]) => name);
  const { imports } = JSON.parse(/importmap">([^]*?)<\/script>/.exec(page.text)![1]);
  for (const [name, { text }] of files) {
    for (const [, specifier] of text.matchAll(/^(?:import|export) [^;"]* from "([^"]+)";$/gm)) {
      const own = specifier.startsWith("./") ? specifier.slice(2) : imports[specifier];
      assert.ok(own !== undefined, `${name} imports ${specifier}`);
      loaded.push(own.replace("/dashboard/", ""));
    }
    assert.doesNotMatch(text, /sourceMappingURL/, name);
  }
  assert.deepEqual([...new Set(loaded)].sort(), [...files.keys()].sort());
  const sizeBytes = [page, ...files.values()]
    .reduce((sum, { text }) => sum + new TextEncoder().encode(text).length, 0);
  assert.ok(sizeBytes <= SIZE_BYTES_MAX, `${sizeBytes} bytes`);
});

Deno.test("texts of the API never become markup or code", () => {
  for (const [name, { text }] of loadDashboard().files) {
    if (["preact.js", "uplot.js"].includes(name)) continue;
    assert.doesNotMatch(
      text,
      /innerHTML|outerHTML|insertAdjacentHTML|\beval\b|new Function/i,
      name,
    );
    assert.doesNotMatch(text, /localStorage|document\.cookie|[?&]token=/, name);
  }
});

Deno.test("figures are shown with three digits and a unit, and what is unknown as a dash", () => {
  const cases: [string, string][] = [
    [bytes(null), "–"],
    [bytes(0), "0 B"],
    [bytes(999), "999 B"],
    [bytes(999.9), "1 kB"],
    [bytes(1_234_567), "1.23 MB"],
    [rate(undefined), "–"],
    [rate(12_345_678), "12.3 MB/s"],
    [duration(0.4), "0.4 ms"],
    [duration(240), "240 ms"],
    [duration(59_960), "1 min 0 s"],
    [duration(3_725_000), "1 h 2 min"],
    [range(null, bytes), "does not end"],
    [range({ low: 1, expected: null, high: null }, bytes), "1 B or no end"],
    [range({ low: 1, expected: 2, high: null }, bytes), "2 B (1 B to no end)"],
    [range({ low: 1, expected: 2, high: 3 }, bytes), "2 B (1 B to 3 B)"],
  ];
  for (const [shown, expected] of cases) assert.equal(shown, expected);
});

Deno.test("a chart's columns stay of one length and bounded, however long a move is watched", () => {
  const series = newSeries();
  assert.equal(addReport(series, sampleReport(), 0), true);
  assert.equal(addReport(series, sampleReport(), 100), false, "too soon after the one before");
  const wireBytes = { memory: 0, disk: 0, control: 0, total: 1_303 };
  addReport(series, sampleReport({ wireBytes }), 1_000);
  assert.deepEqual(series.throughput, [null, 1_000]);
  assert.deepEqual(series.remaining, [800, 800]);
  for (let at = 2; at < 10_000; at++) addReport(series, sampleReport(), at * 1_000);
  const { last: _, ...columns } = series;
  const lengths = new Set(Object.values(columns).map((column) => (column as unknown[]).length));
  assert.equal(lengths.size, 1);
  assert.ok([...lengths][0] <= 1_200);
});
