// Charts with many thin lines: which one is under the pointer, or picked by the arrow keys, is named below the chart.

const REACH = 18; // pixels from a line at which it is meant

/** The squared distance of a point from a path of straight pieces, given as [x, y] pairs. */
function distance(points, x, y) {
  let least = Infinity;
  for (let k = 1; k < points.length; k++) {
    const [[x0, y0], [x1, y1]] = [points[k - 1], points[k]];
    const [dx, dy] = [x1 - x0, y1 - y0];
    const along = Math.min(Math.max(((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy || 1), 0), 1);
    least = Math.min(least, (x - x0 - along * dx) ** 2 + (y - y0 - along * dy) ** 2);
  }
  return least;
}

function nameLines(figure) {
  const svg = figure.querySelector("svg");
  const lines = [...figure.querySelectorAll(".thin")].map((path) => {
    const numbers = path.getAttribute("d").match(/[\d.-]+/g).map(Number);
    const points = [];
    for (let k = 0; k < numbers.length; k += 2) points.push([numbers[k], numbers[k + 1]]);
    return { path, points, name: path.textContent };
  });
  if (!lines.length) return;
  const said = figure.appendChild(element("p", "pointed"));
  said.setAttribute("aria-live", "polite");
  let at = -1;
  const show = (k) => {
    if (k === at) return;
    if (at >= 0) lines[at].path.classList.remove("on");
    if (k >= 0) lines[k].path.classList.add("on");
    said.textContent = k >= 0 ? lines[k].name : "";
    at = k;
  };
  const nearest = (event) => {
    const edge = svg.getBoundingClientRect();
    const zoom = svg.viewBox.baseVal.width / edge.width;
    const [x, y] = [(event.clientX - edge.left) * zoom, (event.clientY - edge.top) * zoom];
    let [best, least] = [-1, (REACH * zoom) ** 2];
    lines.forEach(({ points }, k) => {
      const far = distance(points, x, y);
      if (far < least) [best, least] = [k, far];
    });
    return best;
  };
  svg.addEventListener("pointermove", (event) => event.pointerType === "mouse" && show(nearest(event)));
  svg.addEventListener("pointerdown", (event) => show(nearest(event)));
  svg.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && show(-1));
  // The lines are in the order of their final scores.
  svg.tabIndex = 0;
  svg.setAttribute("aria-label", `${svg.getAttribute("aria-label")}. Arrow keys step through the architectures.`);
  svg.addEventListener("focus", () => svg.matches(":focus-visible") && at < 0 && show(lines.length - 1));
  svg.addEventListener("blur", () => show(-1));
  svg.addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
    if (event.key === "Escape") show(-1);
    if (!by) return;
    event.preventDefault();
    show(at < 0 ? (by > 0 ? 0 : lines.length - 1) : Math.min(Math.max(at + by, 0), lines.length - 1));
  });
}
