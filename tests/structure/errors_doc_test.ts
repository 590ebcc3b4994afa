import assert from "node:assert/strict";
import { ERRORS_PAGE, renderErrors } from "../../docs/render_errors.ts";
import { ERRORS } from "../../src/core/error_codes.ts";
import { isForTests, placeOf, readFiles } from "./files.ts";

const RENDER = "deno run --allow-read --allow-write docs/render_errors.ts";

/** Words in documents that look like a code and are something else. */
const OTHER_NAMES = new Set([
  // Kinds of audit entries, and commands of the QEMU Machine Protocol.
  "address_locked",
  "foreign_migration",
  "guest_registered",
  "guest_removed",
  "key_replaced",
  "leftovers_deleted",
  "link_refused",
  "block_set_io_throttle",
  "migrate_cancel",
  "offer_rejected",
  "offer_withdrawn",
  "peer_changed",
  "peer_key_seen",
  "peer_removed",
  "preflight_refused",
  "role_refused",
  "token_created",
  "token_refused",
  "token_revoked",
  "verdict_ignored",
]);

Deno.test("docs/errors.md shows the table of error codes", async () => {
  const page = await Deno.readTextFile(ERRORS_PAGE).catch(() => "");
  assert.equal(page, renderErrors(ERRORS), `Render it again: ${RENDER}`);
});

Deno.test("error codes stand in alphabetical order, each with a sentence", () => {
  const codes = Object.keys(ERRORS);
  assert.deepEqual(codes, codes.toSorted());
  for (const [code, { meaning }] of Object.entries(ERRORS)) {
    assert.match(meaning, /^[A-Z].*\.$/, code);
    assert.doesNotMatch(meaning, /\||\n/, `${code}: it has to fit a cell of a table`);
  }
});

Deno.test("every error code is thrown or answered somewhere in src/", async () => {
  const sources = (await readFiles("src/", /\.tsx?$/))
    .filter(({ path }) => path !== "src/core/error_codes.ts" && !isForTests(path));
  const unused = Object.keys(ERRORS)
    .filter((code) => !sources.some(({ text }) => text.includes(`"${code}"`)));
  assert.deepEqual(unused, [], "Take them out of src/core/error_codes.ts");
});

Deno.test("documents name only error codes that exist", async () => {
  const unknown: string[] = [];
  for (const document of await readFiles("", /^(?:docs\/.*|[A-Z]+)\.md$/)) {
    for (const match of document.text.matchAll(/`([a-z]+(?:_[a-z]+)+)`/g)) {
      const [, name] = match;
      if (!(name in ERRORS) && !OTHER_NAMES.has(name)) {
        unknown.push(`${placeOf(document, match.index)}: ${name}`);
      }
    }
  }
  assert.deepEqual(unknown, []);
});
