import assert from "node:assert/strict";
import { GatewayError } from "../core/errors.ts";
import { samplePeer, sampleQuestion, sampleReport } from "../http/testing/fake_service.ts";
import { runCommand, withServedSite } from "./testing/served_site.ts";

const SCHEDULE = [{ from: "08:00", until: "18:00", days: [1, 5], bytesPerSecond: 250_000 }];

Deno.test("every wish of the command line reaches the API as it is meant, when a move starts", () =>
  withServedSite({}, async ({ run, calls, directory }) => {
    await Deno.writeTextFile(`${directory}/s.json`, JSON.stringify(SCHEDULE));
    const { code, out, err } = await run(
      ...["migrate", "web", "--to", "east", "--rate", `schedule:${directory}/s.json`],
      ...["--weight", "7", "--priority", "low", "--max-downtime", "900", "--hold"],
      ...["--when-over", "throttle-disks, ask,giveUp", "--hold-memory", "90s"],
      ...["--window", "2026-01-31T02:00:00Z/2026-01-31T04:00:00+01:00"],
    );
    assert.equal(code, 0, err);
    assert.equal(out, "m-1");
    assert.deepEqual(calls, [["startMigration", {
      guest: "web",
      to: "east",
      options: {
        strategy: "precopy",
        maxDowntimeMs: 900,
        hold: true,
        rate: { policy: "schedule", entries: SCHEDULE },
        weight: 7,
        priority: "low",
        whenOver: ["throttleDisks", "ask", "giveUp"],
        window: { from: "2026-01-31T02:00:00Z", until: "2026-01-31T04:00:00+01:00" },
        holdMemoryMs: 90_000,
        handover: "fast",
        keepSource: false,
        rollbackOf: null,
        disable: [],
      },
    }]]);
  }));

Deno.test("change sends what is given and nothing else", async () => {
  const cases: [string[], unknown][] = [
    [["--rate", "20mbit"], { rate: 2_500_000 }],
    [["--rate", "none"], { rate: null }],
    [["--rate", "fair"], { rate: { policy: "fair", maxBytesPerSecond: null } }],
    [["--max-downtime", "900"], { maxDowntimeMs: 900 }],
    [["--weight", "5", "--priority", "high"], { weight: 5, priority: "high" }],
    [["--when-over", "wait"], { whenOver: ["wait"] }],
    [["--window", "none"], { window: null }],
    [["--window", "2026-01-31T02:00:00Z"], {
      window: { from: "2026-01-31T02:00:00Z", until: null },
    }],
    [["--hold"], { hold: true }],
    [["--no-hold", "--hold-memory", "0"], { hold: false, holdMemoryMs: 0 }],
  ];
  await withServedSite({}, async ({ run, calls }) => {
    for (const [args, changes] of cases) {
      const { code, out, err } = await run("change", "m-1", ...args);
      assert.equal(code, 0, err);
      assert.match(out, /^copying 25 %/);
      assert.match(out, /^ {2}when over {2}wait$/m);
      assert.deepEqual(calls.at(-1), ["change", "m-1", changes], args.join(" "));
    }
    assert.equal(calls.length, cases.length);
  });
});

Deno.test("a wish that cannot be read ends with 2 and names the option, before anybody is asked", async () => {
  const cases: [string[], RegExp][] = [
    [[], /^Cannot change m-1: nothing else is wished/],
    [
      ["--rate", "fast"],
      /^Cannot use --rate fast: "fast" is no figure\n {2}It is bytes per second/,
    ],
    [["--rate", "20mib"], /mib is no unit of a rate/],
    [["--rate", "clark:9:8"], /least rate of clark is above the most/],
    [["--rate", "schedule:/nonexistent.json"], /^Cannot use the schedule in \/nonexistent\.json/],
    [["--when-over", "pray"], /^Cannot use --when-over pray: there is no remedy "pray"/],
    [["--when-over", "wait,ask"], /nothing comes after wait or giveUp/],
    [["--window", "tomorrow"], /^Cannot use --window tomorrow: FROM: a time with its zone/],
    [["--window", "2026-01-31T02:00:00"], /FROM: a time with its zone/],
    [["--window", "2026-01-31T02:00:00Z/2026-01-30T02:00:00Z"], /UNTIL: it must be later/],
    [["--window", "a/b/c"], /more than two times/],
    [
      ["--hold-memory", "5m"],
      /^Cannot use --hold-memory 5m: it is a figure with ms, s, min, h or d/,
    ],
    [["--priority", "urgent"], /low or normal or high/],
    [["--weight", "heavy"], /whole number/],
  ];
  for (const [args, message] of cases) {
    const { code, err } = await runCommand("change", "m-1", ...args);
    assert.equal(code, 2, args.join(" "));
    assert.match(err, message);
  }
  const { code, out } = await runCommand("migrate", "web", "--to", "b", "--rate", "x", "--json");
  assert.equal(code, 2);
  assert.equal(JSON.parse(out).error.code, "request_invalid");
});

Deno.test("a schedule that is none is refused where it is wrong", async () => {
  const directory = await Deno.makeTempDir();
  const path = `${directory}/s.json`;
  try {
    const cases: [string, RegExp][] = [
      ["{", /^Cannot use the schedule in \S+: .*JSON/],
      ["[]", /: entries: /],
      ['[{"from":"8","until":"18:00","bytesPerSecond":1}]', /: entries\.0\.from: a time of day/],
      ['{"entries":[],"rate":5}', /: entries: /],
      ["null", /: entries: /],
    ];
    for (const [text, message] of cases) {
      await Deno.writeTextFile(path, text);
      const { code, err } = await runCommand("change", "m-1", "--rate", `schedule:${path}`);
      assert.equal(code, 2, text);
      assert.match(err, message, text);
    }
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("what the API refuses of a wish is wrong usage, too", () =>
  withServedSite({}, async ({ run, calls }) => {
    const { code, err } = await run("change", "m-1", "--weight", "1001");
    assert.equal(code, 2);
    assert.match(err, /weight/);
    assert.deepEqual(calls, []);
  }));

Deno.test("answer says yes, yes to another budget, or no", async () => {
  const cases: [string[], unknown][] = [
    [["--accept"], { accept: true }],
    [["--max-downtime", "700"], { accept: true, maxDowntimeMs: 700 }],
    [["--accept", "--max-downtime", "700"], { accept: true, maxDowntimeMs: 700 }],
    [["--refuse"], { accept: false }],
  ];
  await withServedSite({}, async ({ run, calls }) => {
    for (const [args, said] of cases) {
      const { code, err } = await run("answer", "m-1", ...args);
      assert.equal(code, 0, err);
      assert.deepEqual(calls.at(-1), ["answer", "m-1", said], args.join(" "));
    }
  });
  const unclear: [string[], RegExp][] = [
    [[], /neither yes nor no was given/],
    [["--accept", "--refuse"], /yes and no were given/],
    [["--refuse", "--max-downtime", "700"], /yes and no were given/],
  ];
  for (const [args, message] of unclear) {
    const { code, err } = await runCommand("answer", "m-1", ...args);
    assert.equal(code, 2, args.join(" "));
    assert.match(err, message);
  }
});

Deno.test("an answer to nothing fails with what the gateway says", () => {
  const answer = () =>
    Promise.reject(
      new GatewayError("no_question", "Cannot answer m-1: it asks nothing now", { hint: "Look" }),
    );
  return withServedSite({ answer }, async ({ run }) => {
    const { code, err } = await run("answer", "m-1", "--accept");
    assert.equal(code, 1);
    assert.match(err, /^Cannot answer m-1: it asks nothing now/);
  });
});

Deno.test("a question stands out wherever its move is shown", () => {
  const asking = sampleReport({ question: sampleQuestion() });
  const overrides = { migrations: () => [asking], migration: () => asking };
  return withServedSite(overrides, async ({ run }) => {
    for (const args of [["status"], ["status", "m-1"]]) {
      const { out } = await run(...args);
      assert.match(out, /^QUESTION: May web pause for 900 ms instead of 300\?/m);
      assert.match(out, /causeway answer m-1 --accept/);
    }
  });
});

Deno.test("peers shows each cap as it was wished and as it is, and limit sets one", () => {
  const east = samplePeer({
    rate: {
      policy: "schedule",
      entries: [{ from: "08:00", until: "18:00", bytesPerSecond: 250_000 }],
    },
    rateBytesPerSecond: 250_000,
  });
  const peers = () => [east, samplePeer({ name: "south", rate: null })];
  return withServedSite({ peers }, async ({ run, calls }) => {
    const [titles, first, second] = (await run("peers")).out.split("\n");
    assert.match(titles, / CAP +FINGERPRINT$/);
    assert.match(first, / schedule of 1, now 2\.0 Mbit\/s +sha256:/);
    assert.match(second, / - +sha256:/);
    const limited = await run("peers", "limit", "east", "--rate", "2mbit");
    assert.equal(limited.code, 0, limited.err);
    assert.deepEqual(calls, [["setLinkRate", "east", 250_000]]);
    assert.equal((await run("peers", "limit", "east", "--rate", "fair")).code, 2);
    assert.equal((await run("peers", "limit", "east")).code, 2);
  });
});
