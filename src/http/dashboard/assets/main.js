import { App } from "./app.js";
import { html, render } from "./html.js";
import { Site } from "./site.js";

const root = document.getElementById("app");
let isDue = false;

const site = new Site(() => {
  if (isDue) return;
  isDue = true;
  // Not at the next frame: a tab in the background has none.
  queueMicrotask(() => {
    isDue = false;
    draw();
  });
});

function draw() {
  render(html`<${App} site=${site} />`, root);
}

addEventListener("hashchange", draw);
draw();
await site.resume();
