// An architecture's card: its cells drawn, and its numbers.

/** Reads the strings that analysis/page/cell_code.py writes. */
class Reader {
  constructor(text, digits) {
    this.values = Array.from(text, (sign) => digits.indexOf(sign));
    this.at = 0;
  }
  get more() {
    return this.at < this.values.length;
  }
  one() {
    return this.values[this.at++];
  }
  two() {
    return this.one() * 64 + this.one();
  }
}

/** A shape's boxes {x, y, width} and its edges as paths, in points. */
function shape(text, { digits, height, layer }) {
  const reader = new Reader(text, digits);
  const [wide, high, count] = [reader.two(), reader.two(), reader.one()];
  const boxes = [];
  for (let k = 0; k < count; k++) {
    const x = reader.two() / 2;
    const level = reader.one();
    boxes.push({ x, level, y: height / 2 + layer * level, width: reader.two() });
  }
  const paths = [];
  while (reader.more) {
    const [from, to] = [boxes[reader.one()], boxes[reader.one()]];
    let [x, y] = [from.x, from.y + height / 2];
    let path = `M${x} ${y}`;
    const curve = (toX, toY) => {
      const half = (y + toY) / 2;
      path += `C${x} ${half} ${toX} ${half} ${toX} ${toY}`;
      [x, y] = [toX, toY];
    };
    for (let level = from.level + 1; level < to.level; level++) {
      curve(reader.two() / 2, layer * level);
      curve(x, y + height);
    }
    curve(to.x, to.y - height / 2);
    paths.push(path);
  }
  return { wide, high, boxes, paths };
}

function drawCell([name, at, pattern], book) {
  const drawn = shape(book.shapes[at], book);
  const home = document.getElementById("icon").namespaceURI;
  const make = (tag, values, parent) => {
    const made = parent.appendChild(document.createElementNS(home, tag));
    for (const [key, value] of Object.entries(values)) made.setAttribute(key, value);
    return made;
  };
  const figure = element("figure", "cell");
  figure.append(element("figcaption", "", book.names[name]));
  const size = { viewBox: `-1 -1 ${drawn.wide + 2} ${drawn.high + 2}`, width: drawn.wide, role: "img" };
  const svg = make("svg", { ...size, "aria-label": `cell ${book.names[name]}` }, figure);
  for (const d of drawn.paths) make("path", { d, class: "edge" }, svg);
  const looks = new Reader(pattern, book.digits);
  for (const { x, y, width } of drawn.boxes) {
    const [label, fill, ink, round] = book.looks[looks.two()];
    const corner = { x: x - width / 2, y: y - book.height / 2, rx: round ? 10 : 5 };
    make("rect", { ...corner, width, height: book.height, fill, class: "box" }, svg);
    make("text", { x, y: y + 3.7, fill: ink }, svg).textContent = label;
  }
  return figure;
}

function element(tag, kind, text) {
  const made = document.createElement(tag);
  if (kind) made.className = kind;
  if (text !== undefined) made.textContent = text;
  return made;
}

/** Fills the card with architecture k of a space; `why` says how it was chosen. */
function fillCard(card, space, k, why, book) {
  const { data, axes } = space;
  card.replaceChildren();
  card.append(element("p", "why", why));
  card.append(element("p", "arch", data.archs[k]));
  if (data.ids[k] && data.ids[k] !== data.archs[k]) card.append(element("p", "id", data.ids[k]));
  const table = element("table");
  const whole = data.archs.length === data.of;
  for (const axis of axes) {
    const value = axis.values[k];
    if (Number.isNaN(value)) continue;
    const row = table.insertRow();
    row.append(element("th", "", axis.name));
    const spread = axis.sd && axis.sd[k] !== null ? ` \u00b1 ${axis.sd[k]}` : "";
    const unit = axis.unit.includes("%") ? " %" : "";
    const shown = Number.isFinite(value) ? `${minus(axis.spell(value))}${spread}${unit}` : "diverged";
    row.append(element("td", "number", shown));
    const place = whole && !axis.size ? `${grouped(axis.place(k))} of ${grouped(axis.known)}` : "";
    row.append(element("td", "number rank", place));
  }
  card.append(table);
  if (axes.some((axis) => axis.sd)) card.append(element("p", "why", "\u00b1: standard deviation over seeds"));
  const cells = element("div", "cells");
  for (const cell of data.cells[k]) cells.append(drawCell(cell, book));
  card.append(cells.children.length ? cells : element("p", "why", "This row holds no graph of the cell to draw."));
}
