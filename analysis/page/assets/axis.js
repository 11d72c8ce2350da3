// A column of the data as an axis: where values lie, what is ticked, how they are spelled. Sizes are logarithmic.

class Axis {
  constructor(column) {
    Object.assign(this, column);
    this.values = column.values.map(score);
    const shown = this.size ? this.values.map((v) => Math.log10(v)) : this.values;
    [this.low, this.high] = limits(shown);
    if (this.chance !== undefined) [this.low, this.high] = widened(this.low, this.high, this.chance);
    this.title = this.size ? `${this.name} ${this.unit}` : this.name;
    this.label = this.unit ? `${this.name}${this.unit.startsWith("(") ? " " : ", "}${this.unit}` : this.name;
  }
  scale(from, to) {
    const { low, high, size } = this;
    return (v) => from + (((size ? Math.log10(v) : v) - low) / (high - low)) * (to - from);
  }
  outside(v) {
    const at = this.size ? Math.log10(v) : v;
    return at < this.low || at > this.high;
  }
  ticks(most) {
    if (!this.size) return ticks(this.low, this.high, most);
    const found = [];
    for (let power = Math.floor(this.low); power <= this.high; power++) {
      for (const lead of this.high - this.low > 1.5 ? [1, 3] : [1, 2, 3, 5, 7]) {
        const at = lead * 10 ** power;
        if (!this.outside(at)) found.push({ at, text: String(Number(at.toPrecision(2))) });
      }
    }
    return found.length > 1 ? found : ticks(10 ** this.low, 10 ** this.high, most);
  }
  spell(v) {
    if (!this.size) return v.toFixed(this.digits);
    return v < 0.1 ? `${Number((v * 1000).toPrecision(4))} k` : `${v} M`;
  }
  get known() {
    return this.values.filter((v) => !Number.isNaN(v)).length;
  }
  place(k) {
    return 1 + this.values.filter((v) => v > this.values[k]).length;
  }
}
