// One scatter panel on a canvas. It knows where its points lie; what is selected is the space's.

const MARGIN = { left: 46, right: 10, top: 8, bottom: 34 };
const NEAR = 14; // pixels from a point at which it is meant

class Panel {
  constructor(space, x, y) {
    Object.assign(this, { space, x, y, box: null });
    this.figure = element("figure", "panel");
    const caption = element("figcaption");
    caption.append(element("b", "", y.title), (this.says = element("span")));
    this.chosen = element("p", "chosen");
    this.canvas = element("canvas");
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute("role", "img");
    this.figure.append(caption, this.canvas, this.chosen);
    const numbers = this.numbers();
    this.says.textContent = numbers;
    this.figure.classList.toggle("quiet", numbers.startsWith("no signal"));
    const how = "Arrow keys step through the architectures.";
    this.canvas.setAttribute("aria-label", `${y.label} against ${x.label}: ${numbers}. ${how}`);
  }

  /** rho of all architectures compared, as the tables have it; of what is drawn where no table does. */
  numbers() {
    const { x, y, space } = this;
    const [i, j] = [space.axes.indexOf(x), space.axes.indexOf(y)];
    const found = space.data.rhos.find(([a, b]) => (a === i && b === j) || (a === j && b === i));
    if (found) return `${found[2]}, n = ${grouped(found[3])}`;
    const all = this.both(() => true);
    return `\u03c1 = ${fixed(spearman(...all))}, n = ${grouped(all[0].length)}`;
  }

  /** x and y of the architectures that `wanted` accepts and that have both. */
  both(wanted) {
    const found = [[], []];
    this.x.values.forEach((x, k) => {
      const y = this.y.values[k];
      if (Number.isNaN(x) || Number.isNaN(y) || !wanted(k)) return;
      found[0].push(x);
      found[1].push(y);
    });
    return found;
  }

  /** Gives the canvas as many pixels as the screen has there, and every point its place. */
  layout(sharp = window.devicePixelRatio || 1, width = this.canvas.clientWidth) {
    this.width = Math.max(width, 160);
    this.height = Math.round(Math.min(Math.max(this.width * 0.78, 190), 300));
    this.canvas.width = Math.round(this.width * sharp);
    this.canvas.height = Math.round(this.height * sharp);
    this.canvas.style.aspectRatio = `${this.width} / ${this.height}`;
    this.sharp = sharp;
    const right = this.width - MARGIN.right;
    const bottom = this.height - MARGIN.bottom;
    this.across = this.x.scale(MARGIN.left, right);
    this.up = this.y.scale(bottom, MARGIN.top);
    const inside = (at, low, high) => (Number.isNaN(at) ? at : Math.min(Math.max(at, low), high));
    this.px = this.x.values.map((v) => inside(this.across(v), MARGIN.left + 3, right - 3));
    this.py = this.y.values.map((v) => inside(this.up(v), MARGIN.top + 3, bottom - 3));
    this.beyond = this.x.values.map((v, k) => this.x.outside(v) || this.y.outside(this.y.values[k]));
  }

  /** Where architecture k lies on the canvas, in CSS pixels; null where it lacks one of the two. */
  place(k) {
    return Number.isNaN(this.px[k]) || Number.isNaN(this.py[k]) ? null : { x: this.px[k], y: this.py[k] };
  }

  nearest(x, y) {
    let [best, least] = [-1, NEAR ** 2];
    for (let k = 0; k < this.px.length; k++) {
      const far = (this.px[k] - x) ** 2 + (this.py[k] - y) ** 2; // NaN is never nearer
      if (far < least) [best, least] = [k, far];
    }
    return best;
  }

  within({ left, right, top, bottom }) {
    return (k) => this.px[k] >= left && this.px[k] <= right && this.py[k] >= top && this.py[k] <= bottom;
  }

  draw() {
    const { space, canvas, sharp } = this;
    const look = space.theme();
    const pen = canvas.getContext("2d");
    pen.setTransform(sharp, 0, 0, sharp, 0, 0);
    pen.clearRect(0, 0, this.width, this.height);
    this.axes(pen, look);
    const own = look.hues[this.y.hue] || look.hues[this.x.hue] || look.ink;
    const radius = this.px.length < 100 ? 4 : this.px.length < 1500 ? 2.6 : 1.7;
    const chosen = space.selected;
    const groups = new Map();
    for (let k = 0; k < this.px.length; k++) {
      if (!this.place(k)) continue;
      const faint = chosen && !chosen[k];
      const colour = faint ? look.faint : space.shade(k, look) || own;
      const hollow = this.beyond[k] ? "v" : space.compared[k] ? "" : "o";
      const key = `${faint ? 0 : 1}${hollow}${colour}`;
      if (!groups.has(key)) groups.set(key, { faint, hollow, colour, points: [] });
      groups.get(key).points.push(k);
    }
    const order = [...groups.values()].sort((a, b) => b.faint - a.faint);
    for (const group of order) this.points(pen, group, radius, look);
    if (this.box) {
      const { left, right, top, bottom } = this.box;
      pen.fillStyle = look.brush;
      pen.fillRect(left, top, right - left, bottom - top);
      pen.strokeStyle = look.soft;
      pen.strokeRect(left, top, right - left, bottom - top);
    }
    for (const k of new Set([space.pinned, space.hovered])) this.ring(pen, k, radius, look);
    this.say();
  }

  points(pen, { faint, hollow, colour, points }, radius, look) {
    pen.beginPath();
    const r = hollow ? radius + 0.6 : radius;
    for (const k of points) {
      const [x, y] = [this.px[k], this.py[k]];
      if (hollow === "v") {
        pen.moveTo(x - r, y - r);
        pen.lineTo(x + r, y - r);
        pen.lineTo(x, y + r);
        pen.closePath();
      } else {
        pen.moveTo(x + r, y);
        pen.arc(x, y, r, 0, 2 * Math.PI);
      }
    }
    const many = this.px.length >= 1500;
    pen.globalAlpha = faint ? 0.5 : this.space.selected ? 0.95 : many ? 0.55 : 0.8;
    if (hollow) {
      pen.strokeStyle = colour;
      pen.fillStyle = look.page;
      pen.fill();
      pen.stroke();
    } else {
      pen.fillStyle = colour;
      pen.fill();
    }
    pen.globalAlpha = 1;
  }

  ring(pen, k, radius, look) {
    const at = k >= 0 && this.place(k);
    if (!at) return;
    pen.lineWidth = 2;
    pen.strokeStyle = look.ink;
    pen.beginPath();
    pen.arc(at.x, at.y, radius + 4, 0, 2 * Math.PI);
    pen.stroke();
    pen.lineWidth = 1;
  }

  axes(pen, look) {
    const [right, bottom] = [this.width - MARGIN.right, this.height - MARGIN.bottom];
    pen.font = look.font;
    pen.lineWidth = 1;
    pen.fillStyle = look.soft;
    pen.strokeStyle = look.line;
    pen.textAlign = "center";
    for (const { at, text } of this.x.ticks(this.width < 260 ? 4 : 5)) {
      const x = Math.round(this.across(at)) + 0.5;
      pen.strokeRect(x, MARGIN.top, 0, bottom - MARGIN.top);
      pen.fillText(text, Math.min(x, right - pen.measureText(text).width / 2 + 8), bottom + 14);
    }
    pen.textAlign = "right";
    for (const { at, text } of this.y.ticks(5)) {
      const y = Math.round(this.up(at)) + 0.5;
      pen.strokeRect(MARGIN.left, y, right - MARGIN.left, 0);
      pen.fillText(text, MARGIN.left - 6, y + 4);
    }
    this.guessing(pen, look, right, bottom);
    pen.textAlign = "center";
    let label = this.x.label;
    while (label.length > 8 && pen.measureText(label).width > this.width - 8) label = `${label.slice(0, -3)}\u2026`;
    pen.fillText(label, Math.min((MARGIN.left + right) / 2, this.width - pen.measureText(label).width / 2 - 2), this.height - 5);
  }

  /** Dashed lines at the score of guessing, where it lies inside the panel. */
  guessing(pen, look, right, bottom) {
    const { x, y } = this;
    pen.strokeStyle = look.soft;
    pen.setLineDash([4, 3]);
    pen.beginPath();
    if (x.chance !== undefined && !x.outside(x.chance)) {
      pen.moveTo(this.across(x.chance), MARGIN.top);
      pen.lineTo(this.across(x.chance), bottom);
    }
    if (y.chance !== undefined && !y.outside(y.chance)) {
      pen.moveTo(MARGIN.left, this.up(y.chance));
      pen.lineTo(right, this.up(y.chance));
    }
    pen.stroke();
    pen.setLineDash([]);
  }

  /** What the selection's own correlation is. */
  say() {
    const { selected } = this.space;
    const inside = selected ? this.both((k) => selected[k]) : null;
    this.chosen.textContent = inside
      ? `selected: \u03c1 = ${fixed(spearman(...inside))}, n = ${grouped(inside[0].length)}`
      : "";
  }
}
