// One space: what is selected, hovered and pinned in all its panels at once, and the controls above them.

class Space {
  constructor(root, data, book, theme) {
    Object.assign(this, { root, data, book, theme, selected: null, hovered: -1, pinned: -1, colour: null });
    this.axes = data.axes.map((column) => new Axis(column));
    this.compared = Array.from(data.compared, (sign) => sign === "1");
    this.x = this.axes[data.first];
    this.panels = [];
    this.build();
    this.choose(this.x);
    new ResizeObserver(([entry]) => {
      if (Math.abs(entry.contentRect.width - this.wide) > 1) this.layout();
    }).observe(this.grid);
  }

  build() {
    const bar = element("div", "controls");
    const pick = (name, options, act) => {
      const label = element("label", "", `${name} `);
      const select = label.appendChild(element("select"));
      options.forEach(([text, value], k) => select.append(new Option(text, k, false, value === this.x)));
      select.addEventListener("change", () => act(options[select.selectedIndex][1]));
      bar.append(label);
    };
    pick("x", this.axes.map((axis) => [axis.name, axis]), (axis) => this.choose(axis));
    const counts = this.data.counts.map((one) => ({
      name: `number of ${one.name}`,
      values: Array.from(one.values, (sign) => this.book.digits.indexOf(sign)),
    }));
    const shades = [...this.axes.filter((axis) => axis.size), ...counts];
    pick("colour", [["task", null], ...shades.map((one) => [one.name, one])], (one) => this.paint(one));
    const find = element("input");
    find.type = "search";
    find.placeholder = "find architectures";
    find.setAttribute("aria-label", "find architectures by a part of their text or id");
    find.addEventListener("input", () => this.find(find.value));
    this.clear = element("button", "", "Clear");
    this.clear.addEventListener("click", () => {
      find.value = "";
      this.select(null);
    });
    this.many = element("output");
    this.lister = element("button", "", "List");
    this.lister.addEventListener("click", () => this.list());
    this.legend = element("span", "legend");
    bar.append(this.legend, find, this.many, this.lister, this.clear);
    this.names = element("textarea");
    this.names.readOnly = this.names.hidden = true;
    this.names.setAttribute("aria-label", "the selected architectures, one per line");
    this.grid = element("div", "panels");
    this.card = element("aside", "card");
    const linked = element("div", "linked");
    linked.append(this.grid, this.card);
    this.root.append(bar, this.names, linked);
    this.root.addEventListener("keydown", (event) => event.key === "Escape" && this.select(null));
  }

  /** Puts an axis on x of all panels: those of its dataset come first, sizes last. */
  choose(axis) {
    this.x = axis;
    const rank = (y) => (y.size ? 2 : y.dataset === axis.dataset ? 0 : 1);
    // One panel of size tells enough: parameters and multiply-adds order architectures much alike.
    const size = this.axes.find((y) => y.size);
    const others = this.axes.filter((y) => y !== axis && (!y.size || (y === size && !axis.size)));
    this.panels = others.sort((a, b) => rank(a) - rank(b)).map((y) => new Panel(this, axis, y));
    for (const panel of this.panels) listen(panel);
    this.grid.classList.toggle("few", this.panels.length <= 4);
    this.grid.replaceChildren(...this.panels.map((panel) => panel.figure));
    this.best = axis.values.reduce((best, v, k) => (v > (best < 0 ? -Infinity : axis.values[best]) ? k : best), -1);
    this.layout();
    this.show();
  }

  layout(sharp, width) {
    this.wide = this.grid.clientWidth;
    for (const panel of this.panels) {
      panel.box = null;
      panel.layout(sharp, width);
    }
    this.draw();
  }

  draw() {
    for (const panel of this.panels) panel.draw();
  }

  /** Draws before the next frame, however often it is asked until then. */
  soon() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.draw();
    });
  }

  paint(one) {
    this.colour = one && { ...one, steps: one.values };
    this.legend.replaceChildren();
    if (one) {
      const known = one.values.filter(Number.isFinite);
      const [low, high] = [Math.min(...known), Math.max(...known)];
      this.colour.steps = one.values.map((v) => Math.round((8 * (v - low)) / (high - low || 1)));
      this.colour.ends = [low, high];
      const bar = element("span", "ramp");
      for (let k = 0; k < 9; k++) bar.append(element("i", `step-${k}`));
      this.legend.append(String(low), bar, String(high));
    }
    this.soon();
  }

  shade(k, look) {
    return this.colour && (look.ramp[this.colour.steps[k]] || look.faint);
  }

  /** Selects the architectures that a test accepts; null selects none, which shows all alike. */
  select(test, panel = null) {
    this.selected = test ? this.data.archs.map((_, k) => test(k)) : null;
    for (const other of this.panels) if (other !== panel) other.box = null;
    if (!test) this.pinned = this.hovered = -1;
    this.show();
    this.soon();
  }

  find(text) {
    const wanted = text.trim().toLowerCase();
    const { archs, ids } = this.data;
    this.select(wanted && ((k) => archs[k].toLowerCase().includes(wanted) || ids[k].toLowerCase().includes(wanted)));
    this.pin(wanted ? this.selected.indexOf(true) : -1);
  }

  pin(k) {
    this.pinned = k;
    this.show();
    this.soon();
  }

  hover(k) {
    if (k === this.hovered) return;
    this.hovered = k;
    this.show();
    this.soon();
  }

  /** The next architecture along x, for the keyboard. */
  step(by) {
    const order = this.x.values.map((v, k) => k).filter((k) => !Number.isNaN(this.x.values[k]));
    order.sort((a, b) => this.x.values[a] - this.x.values[b]);
    const at = order.indexOf(this.pinned < 0 ? this.best : this.pinned) + by;
    this.pin(order[Math.min(Math.max(at, 0), order.length - 1)]);
  }

  show() {
    const count = this.selected ? this.selected.filter(Boolean).length : 0;
    this.many.textContent = this.selected ? `${grouped(count)} of ${grouped(this.data.archs.length)} selected` : "";
    this.lister.hidden = !this.selected;
    this.clear.hidden = !this.selected && this.pinned < 0;
    this.names.hidden = this.names.hidden || !this.selected;
    if (!this.names.hidden) this.names.value = this.chosen().join("\n");
    const k = [this.hovered, this.pinned, this.best].find((k) => k >= 0);
    const why = this.hovered >= 0 ? "Under the pointer" : this.pinned >= 0 ? "Picked" : `Best by ${this.x.name}`;
    this.card.classList.toggle("picked", this.pinned >= 0);
    if (k === undefined) return;
    fillCard(this.card, this, k, why, this.book);
    if (this.pinned < 0) return;
    const close = element("button", "close", "\u00d7");
    close.setAttribute("aria-label", "unpick");
    close.addEventListener("click", () => this.pin(-1));
    this.card.prepend(close);
  }

  chosen() {
    return this.data.archs.filter((_, k) => this.selected[k]);
  }

  list() {
    this.names.hidden = !this.names.hidden;
    this.show();
  }
}

/** Pointer and keys on a panel: hovering shows, a click picks, dragging selects what the box holds. */
function listen(panel) {
  const { canvas, space } = panel;
  const at = (event) => {
    const edge = canvas.getBoundingClientRect();
    const zoom = panel.width / edge.width;
    return { x: (event.clientX - edge.left) * zoom, y: (event.clientY - edge.top) * zoom };
  };
  let start = null;
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    start = at(event);
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    const now = at(event);
    if (!start) return event.pointerType === "mouse" ? space.hover(panel.nearest(now.x, now.y)) : undefined;
    if (!panel.dragging && Math.hypot(now.x - start.x, now.y - start.y) < 5) return undefined;
    panel.dragging = true;
    space.hovered = -1;
    const [left, right] = [start.x, now.x].sort((a, b) => a - b);
    const [top, bottom] = [start.y, now.y].sort((a, b) => a - b);
    panel.box = { left, right, top, bottom };
    return space.select(panel.within(panel.box), panel);
  });
  canvas.addEventListener("pointerup", (event) => {
    const now = at(event);
    if (start && !panel.dragging) {
      const k = panel.nearest(now.x, now.y);
      if (k >= 0) space.pin(k);
      else space.select(null);
    }
    start = panel.dragging = null;
  });
  canvas.addEventListener("pointercancel", () => (start = panel.dragging = null));
  canvas.addEventListener("pointerleave", () => space.hover(-1));
  canvas.addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    space.step(by);
  });
}
