import { causeway } from "./src/cli/main.ts";

if (import.meta.main) Deno.exit(await causeway(Deno.args));
