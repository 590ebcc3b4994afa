import assert from "node:assert/strict";
import { requires } from "../../src/testing/requirements.ts";

const SCRIPT = `${import.meta.dirname}/debian.sh`;
const needs = await requires(
  ...["qemu", "qemuUtils", "guestImage", "cpio", "libnbd", "nbdkit"] as const,
  ...["chromium", "iperf3", "nftables", "namespaces", "bind", "ping"] as const,
);
const needsShell = Deno.build.os === "linux" ? {} : { ignore: true };

/** Files of an apt folder, and the words that must come out, one inner list per entry. */
const CASES: {
  name: string;
  files: Record<string, string>;
  release?: [codename: string, backports: string];
  expected: string[];
}[] = [
  {
    name: "the form of Debian 12's container images, with others beside it",
    files: {
      "sources.list.d/debian.sources": [
        "Types: deb",
        "# a remark",
        "URIs: http://mirror.example/debian",
        "Suites: bookworm bookworm-updates",
        "Components: main",
        "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg",
        "",
        "Types: deb",
        "URIs: http://mirror.example/debian-security",
        "Suites: bookworm-security",
        "Components: main",
      ].join("\n"),
      "sources.list.d/other.sources":
        "Types: deb\nURIs: https://other.example/apt\nSuites: bookworm\nComponents: main\n",
      "sources.list.d/more.list": "deb https://more.example/apt bookworm main\n",
    },
    expected: [
      "http://mirror.example/debian bookworm bookworm-updates",
      "http://mirror.example/debian-security bookworm-security",
      "http://mirror.example/debian bookworm-backports",
    ],
  },
  {
    name: "one-line entries with options, sources and other components",
    files: {
      "sources.list": [
        "# deb http://cdrom.example/debian bookworm main",
        "deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian/ bookworm main contrib",
        "deb-src http://mirror.example/debian/ bookworm main",
        "deb http://mirror.example/debian-security bookworm-security main",
        "deb http://mirror.example/debian bookworm non-free",
      ].join("\n"),
    },
    expected: [
      "[arch=amd64 signed-by=/k.gpg] http://mirror.example/debian/ bookworm",
      "http://mirror.example/debian-security bookworm-security",
      "[arch=amd64 signed-by=/k.gpg] http://mirror.example/debian/ bookworm-backports",
    ],
  },
  {
    name: "the form of cloud images, with continued lines, backports already there",
    files: {
      "sources.list.d/debian.sources": [
        "Types: deb deb-src",
        "URIs: mirror+file:///etc/apt/mirrors/debian.list",
        "Suites: bookworm",
        " bookworm-updates",
        " bookworm-backports",
        "Components: main",
      ].join("\n"),
    },
    expected: [
      "mirror+file:///etc/apt/mirrors/debian.list bookworm bookworm-updates bookworm-backports",
    ],
  },
  {
    name: "Debian 13, which needs no backports, and a disabled entry",
    files: {
      "sources.list.d/debian.sources": [
        "Types: deb",
        "URIs: http://mirror.example/debian/",
        "Suites: trixie trixie-updates",
        "Components: main",
        "",
        "Enabled: no",
        "Types: deb",
        "URIs: http://old.example/debian/",
        "Suites: trixie",
        "Components: main",
      ].join("\n"),
    },
    release: ["trixie", ""],
    expected: ["http://mirror.example/debian/ trixie trixie-updates"],
  },
];

for (const { name, files, release, expected } of CASES) {
  Deno.test(`the set-up script takes Debian's mirror from ${name}`, needsShell, async () => {
    const { code, stdout } = await printSources(files, release);
    assert.equal(code, 0);
    assert.deepEqual(entries(stdout).sort(), expected.sort());
  });
}

Deno.test(
  "the set-up script says so when apt's sources name no Debian mirror",
  needsShell,
  async () => {
    const { code, stderr } = await printSources({
      "sources.list.d/other.list": "deb https://other.example/apt bookworm main\n",
    });
    assert.equal(code, 1);
    assert.match(stderr, /apt's sources name no Debian mirror for bookworm\n.*debian\.sources/);
  },
);

Deno.test("the set-up script finds everything in place and leaves it alone", needs, async () => {
  const { code, stdout } = await runScript();
  assert.equal(code, 0);
  assert.equal(stdout, "setup: everything is there\n");
});

async function printSources(
  files: Record<string, string>,
  [codename, backports]: [string, string] = ["bookworm", "bookworm-backports"],
) {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.mkdir(`${folder}/sources.list.d`);
    for (const [path, text] of Object.entries(files)) {
      await Deno.writeTextFile(`${folder}/${path}`, text);
    }
    return await runScript(folder, codename, backports);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function runScript(...args: string[]) {
  const result = await new Deno.Command("sh", { args: [SCRIPT, ...args] }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code: result.code, stdout: text(result.stdout), stderr: text(result.stderr) };
}

/** "OPTIONS ADDRESS SUITES" of every entry, in whichever form it was written. */
function entries(text: string): string[] {
  const oneLine = [...text.matchAll(/^deb (.*) main$/gm)].map((match) => match[1]);
  const stanzas = text.split(/\n\n+/).filter((stanza) => /^Types:/m.test(stanza));
  return [
    ...oneLine,
    ...stanzas.map((stanza) => {
      const field = (name: string) =>
        new RegExp(`^${name}:((?:.|\n[ \t])*)`, "m").exec(stanza)![1].trim().split(/\s+/).join(" ");
      assert.equal(field("Components"), "main");
      return `${field("URIs")} ${field("Suites")}`;
    }),
  ];
}
