// Numbers: how they are ticked, spelled, ranked and correlated. A score is a number, NaN where there is none and
// -Infinity where the training diverged.

const score = (value) => (value === null ? NaN : value === false ? -Infinity : value);

/** Round values from low to high, about `most` of them. */
function ticks(low, high, most) {
  const rough = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((s) => s * power >= rough) * power;
  const digits = Math.min(Math.max(0, -Math.floor(Math.log10(step) + 1e-9)), 12);
  const found = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) {
    found.push({ at: k * step, text: minus((k * step).toFixed(digits)) });
  }
  return found;
}

const minus = (text) => String(text).replace(/^-(?=[0.]*$)/, "").replace("-", "\u2212");
const fixed = (value) => (Number.isFinite(value) ? minus(value.toFixed(2)) : "\u2013");
const grouped = (value) => value.toLocaleString("en-US");

/** Positions from 1, equal values sharing the mean of theirs. */
function ranks(values) {
  const order = values.map((_, k) => k).sort((a, b) => values[a] - values[b]);
  const found = new Array(values.length);
  for (let start = 0, end; start < order.length; start = end) {
    for (end = start; end < order.length && values[order[end]] === values[order[start]]; end++);
    for (let k = start; k < end; k++) found[order[k]] = (start + end + 1) / 2;
  }
  return found;
}

/** Spearman's rho; NaN for fewer than three pairs or a constant side. */
function spearman(x, y) {
  if (x.length < 3) return NaN;
  const [a, b] = [ranks(x), ranks(y)];
  const middle = (x.length + 1) / 2;
  let [ab, aa, bb] = [0, 0, 0];
  for (let k = 0; k < a.length; k++) {
    ab += (a[k] - middle) * (b[k] - middle);
    aa += (a[k] - middle) ** 2;
    bb += (b[k] - middle) ** 2;
  }
  return aa && bb ? ab / Math.sqrt(aa * bb) : NaN;
}

/** The range of the values with a margin; lone ones far from all others are left outside, as in the static figures. */
function limits(values) {
  let sorted = values.filter(Number.isFinite).sort((a, b) => a - b);
  if (!sorted.length) return [0, 1];
  if (sorted.length >= 20) {
    const quartile = (q) => sorted[Math.round(q * (sorted.length - 1))];
    const reach = 5 * (quartile(0.75) - quartile(0.25));
    const [low, high] = [quartile(0.25) - reach, quartile(0.75) + reach];
    const near = sorted.filter((v) => v >= low && v <= high);
    if (reach > 0 && near.length >= 0.95 * sorted.length) sorted = near;
  }
  const [low, high] = [sorted[0], sorted[sorted.length - 1]];
  const margin = high > low ? 0.06 * (high - low) : Math.max(Math.abs(low) * 0.01, 0.5);
  return [low - margin, high + margin];
}

/** Limits extended to hold a value where what they held keeps two thirds of the axis, as in the static figures. */
function widened(low, high, value) {
  const reach = 0.02 * (high - low);
  const [from, to] = [Math.min(low, value - reach), Math.max(high, value + reach)];
  return high - low >= (2 / 3) * (to - from) ? [from, to] : [low, high];
}
