// Starts the page: light or dark, print, and the linked panels of every space.

const data = JSON.parse(document.getElementById("data").textContent);
const root = document.documentElement;
const dark = matchMedia("(prefers-color-scheme: dark)");

const isDark = () => (root.style.colorScheme ? root.style.colorScheme === "dark" : dark.matches);

/** The colours of the page as a canvas needs them. */
function readTheme() {
  const probe = document.body.appendChild(element("i"));
  const colour = (name) => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
  const found = { hues: [] };
  for (const name of ["ink", "soft", "line", "faint", "page", "brush"]) found[name] = colour(name);
  for (let k = 0; k < 10; k++) found.hues.push(colour(`hue-${k}`));
  found.font = `11px ${getComputedStyle(document.body).fontFamily}`;
  found.ramp = data.ramps[isDark() ? "dark" : "light"];
  found.ramp.forEach((step, k) => root.style.setProperty(`--step-${k}`, step));
  probe.remove();
  return found;
}

let look = readTheme();
const spaces = [...document.querySelectorAll("[data-space]")].map(
  (home) => new Space(home, data.spaces[Number(home.dataset.space)], data.cells, () => look),
);

for (const figure of document.querySelectorAll(".chart")) nameLines(figure);

function repaint() {
  look = readTheme();
  for (const space of spaces) space.draw();
}

const toggle = document.getElementById("theme");
toggle.hidden = false;
toggle.addEventListener("click", () => {
  root.style.colorScheme = isDark() ? "light" : "dark";
  repaint();
});
dark.addEventListener("change", () => repaint());

let before = "";
addEventListener("beforeprint", () => {
  before = root.style.colorScheme;
  root.style.colorScheme = "light";
  look = readTheme();
  // Three panels a line, so as wide as a third of a page, in dots finer than those of a screen.
  for (const space of spaces) space.layout(4, 240);
});
addEventListener("afterprint", () => {
  root.style.colorScheme = before;
  look = readTheme();
  for (const space of spaces) space.layout();
});

// For whoever wants to know more, in the browser's console: archsweep.spaces[0].chosen()
window.archsweep = { data, spaces };
