import htm from "htm";
// @ts-types="../untyped.d.ts"
import { h, render } from "preact";
// @ts-types="../untyped.d.ts"
export { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";

/** Tagged templates instead of a compiler: texts become text nodes, never markup. */
export const html = htm.bind(h);

export { render };
