import assert from "node:assert/strict";
import { isForTests, placeOf, readFiles, resolveImport, type SourceFile } from "./files.ts";
import {
  IMPURE,
  PURE_MODULES,
  PURE_PACKAGES,
  type RoomRule,
  ROOMS,
  ruleOf,
  USES_TESTING,
} from "./rules.ts";
import { importsOf, stripSource } from "./source_text.ts";

const modules = [
  ...await readFiles("src/", /\.tsx?$/),
  ...(await readFiles("", /^main\.ts$/)),
];
const production = modules.filter(({ path }) => !isForTests(path));

/** What is wrong with the imports of one module. */
function importProblems(module: SourceFile, rule: RoomRule): string[] {
  return importsOf(module.text).flatMap(({ specifier, typeOnly, offset }) => {
    const problem = (why: string) => [`${placeOf(module, offset)}: ${specifier}: ${why}`];
    const target = resolveImport(module.path, specifier);
    if (!specifier.startsWith(".")) {
      const known = rule.packages?.some((name) => `${specifier}/`.startsWith(`${name}/`));
      return typeOnly || known ? [] : problem(`${rule.room} does not use this package`);
    }
    if (isForTests(target)) {
      const allowed = USES_TESTING.some((folder) => module.path.startsWith(folder));
      return allowed ? [] : problem("only tests use it");
    }
    const room = ruleOf(target)?.room;
    if (room === undefined) return problem("it belongs to no room");
    if (room === rule.room || rule.uses.includes(room)) return [];
    if (rule.types?.includes(room)) return typeOnly ? [] : problem("only its types may be named");
    return problem(`${rule.room} does not import from ${room}`);
  });
}

/** Where code touches what pure modules leave to others. */
function impurities(module: SourceFile): string[] {
  const { codeOnly } = stripSource(module.text);
  return IMPURE.flatMap(({ what, pattern }) =>
    [...codeOnly.matchAll(pattern)].map((match) =>
      `${placeOf(module, match.index)}: ${what}: ${match[0].trim()}`
    )
  );
}

Deno.test("every module belongs to a room and imports only from rooms further in", () => {
  const problems = production.flatMap((module) => {
    const rule = ruleOf(module.path);
    return rule ? importProblems(module, rule) : [`${module.path}:1: it belongs to no room`];
  });
  assert.deepEqual(problems, [], "See tests/structure/rules.ts");
});

Deno.test("the order of rooms has no circle", () => {
  const uses = new Map(ROOMS.map(({ room, uses }) => [room, uses]));
  const circles: string[] = [];
  const walk = (room: string, trail: readonly string[]): void => {
    if (trail.includes(room)) circles.push([...trail.slice(trail.indexOf(room)), room].join(" > "));
    else for (const next of uses.get(room) ?? []) walk(next, [...trail, room]);
  };
  for (const { room } of ROOMS) walk(room, []);
  assert.deepEqual(circles, []);
});

Deno.test("modules do not load each other in a circle", () => {
  const loads = new Map(production.map(({ path, text }) => [
    path,
    importsOf(text).filter(({ specifier, typeOnly }) => specifier.startsWith(".") && !typeOnly)
      .map(({ specifier }) => resolveImport(path, specifier)),
  ]));
  const circles: string[] = [];
  const done = new Set<string>();
  const walk = (path: string, trail: readonly string[]): void => {
    const at = trail.indexOf(path);
    if (at >= 0) circles.push([...trail.slice(at), path].join(" > "));
    if (at >= 0 || done.has(path)) return;
    for (const next of loads.get(path) ?? []) walk(next, [...trail, path]);
    done.add(path);
  };
  for (const path of loads.keys()) walk(path, []);
  assert.deepEqual(circles, []);
});

/** Pure modules and everything that they load: a pure module that loads another makes it one. */
function pureModules(): SourceFile[] {
  const byPath = new Map(production.map((module) => [module.path, module]));
  const found = new Set(
    production.filter(({ path }) => ruleOf(path)?.pure || PURE_MODULES.includes(path)),
  );
  for (const module of found) {
    for (const { specifier, typeOnly } of importsOf(module.text)) {
      const loaded = typeOnly ? undefined : byPath.get(resolveImport(module.path, specifier));
      if (loaded) found.add(loaded);
    }
  }
  return [...found];
}

Deno.test("pure modules, and what they load, touch no runtime, clock, randomness or network", () => {
  assert.deepEqual(pureModules().flatMap(impurities), []);
});

Deno.test("pure modules load only packages that compute", () => {
  const problems = pureModules().flatMap((module) =>
    importsOf(module.text)
      .filter(({ specifier, typeOnly }) =>
        !typeOnly && !specifier.startsWith(".") && !PURE_PACKAGES.includes(specifier)
      )
      .map(({ specifier, offset }) => `${placeOf(module, offset)}: ${specifier}`)
  );
  assert.deepEqual(problems, []);
});

Deno.test("every rule is about a room that exists", () => {
  const paths = modules.map(({ path }) => path);
  const missing = [...ROOMS.map(({ room }) => room), ...PURE_MODULES]
    .filter((room) => !paths.some((path) => path.startsWith(room)));
  assert.deepEqual(missing, []);
});

Deno.test("the rules see what they are meant to see", () => {
  const path = "src/migration/source/actor.ts";
  const rule = ruleOf(path)!;
  const problems = (text: string) => importProblems({ path, text }, rule);
  assert.deepEqual(problems(`import { Guest } from "../../guest/guest.ts";`), [
    `${path}:1: ../../guest/guest.ts: only its types may be named`,
  ]);
  assert.deepEqual(problems(`import type { Guest } from "../../guest/guest.ts";`), []);
  assert.deepEqual(problems(`\nimport { x } from "../../qemu/machine.ts";`), [
    `${path}:2: ../../qemu/machine.ts: src/migration/ does not import from src/qemu/`,
  ]);
  assert.equal(problems(`import { x } from "../../testing/netns.ts";`).length, 1);
  assert.equal(problems(`import { readFileSync } from "node:fs";`).length, 1);
  const touching = (text: string) => impurities({ path, text }).length;
  const impure = ["Deno.pid", "setTimeout(f, 1)", "Date.now()", "new Date()", "new Date", "Date()"];
  impure.push("Math.random()", "crypto.randomUUID()", "performance.now()", "await fetch(url)");
  for (const text of impure) assert.equal(touching(`f(${text})`), 1, text);
  const pure = ["new Date(wallMs)", "new Date( wallMs )", `"Deno"`, "store.fetch(x)", "/* Deno */"];
  for (const text of pure) assert.equal(touching(`f(${text})`), 0, text);
});
