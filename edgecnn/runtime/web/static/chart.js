// History of a camera's latency as an SVG: mean and worst age, and mean inference time.

import { milliseconds } from "./text.js";

const WINDOW_S = 120;
const MARGIN = { top: 8, right: 4, bottom: 20, left: 50 };
const SVG = "http://www.w3.org/2000/svg";

export class Chart {
  #svg;
  #worst;
  #seconds = [];
  #marks = {};

  // `worst` is the element that shows the highest age as a number, because the scale does not follow every outlier.
  constructor(svg, worst) {
    this.#svg = svg;
    this.#worst = worst;
    for (const name of ["grid", "worst", "inference", "age"]) this.#marks[name] = this.#add("path", name);
    this.#marks.y = [0, 1, 2].map(() => this.#add("text", "y"));
    this.#marks.x = ["2\u202fmin ago", "1\u202fmin", "now"].map((text) => this.#add("text", "x", text));
    new ResizeObserver(() => this.#draw()).observe(svg);
  }

  replace(seconds) {
    this.#seconds = [...seconds];
    this.#draw();
  }

  add(second) {
    this.#seconds.push(second);
    while (this.#seconds[0].at < second.at - WINDOW_S) this.#seconds.shift();
    this.#draw();
  }

  #draw() {
    const { clientWidth: width, clientHeight: height } = this.#svg;
    if (!width || !height) return;
    const seconds = this.#seconds;
    const now = seconds.length ? seconds[seconds.length - 1].at : 0;
    // Seconds without a result have no times.
    const active = seconds.filter((second) => second.frames);
    const top = scaleTop(Math.max(1, percentile95(active.map((second) => second.oldest_ms)), ...active.map(mean)));
    const inner = { width: width - MARGIN.left - MARGIN.right, height: height - MARGIN.top - MARGIN.bottom };
    const x = (at) => MARGIN.left + inner.width * (1 - (now - at) / WINDOW_S);
    const y = (ms) => MARGIN.top + inner.height * (1 - Math.min(1, ms / top));
    this.#drawAxes(inner, top, y);
    this.#marks.age.setAttribute("d", line(seconds, x, (second) => y(second.age_ms)));
    this.#marks.inference.setAttribute("d", line(seconds, x, (second) => y(second.inference_ms)));
    this.#marks.worst.setAttribute("d", band(seconds, x, y));
    this.#svg.setAttribute("aria-label", description(active));
    const oldest = active.map((second) => second.oldest_ms);
    this.#worst.textContent = oldest.length ? milliseconds(Math.max(...oldest)) : "–";
  }

  #drawAxes(inner, top, y) {
    const levels = [0, top / 2, top];
    const across = `h${inner.width}`;
    this.#marks.grid.setAttribute("d", levels.map((ms) => `M${MARGIN.left} ${crisp(y(ms))}${across}`).join(""));
    levels.forEach((ms, index) => {
      const text = this.#marks.y[index];
      text.textContent = index === 2 ? `${ms}\u202fms` : `${ms}`;
      put(text, MARGIN.left - 8, y(ms) + 4);
    });
    this.#marks.x.forEach((text, index) => {
      text.setAttribute("text-anchor", ["start", "middle", "end"][index]);
      put(text, MARGIN.left + (inner.width * index) / 2, MARGIN.top + inner.height + 15);
    });
  }

  #add(tag, name, text = "") {
    const element = document.createElementNS(SVG, tag);
    element.setAttribute("class", name);
    element.textContent = text;
    this.#svg.append(element);
    return element;
  }
}

function mean(second) {
  return Math.max(second.age_ms, second.inference_ms);
}

// Returns the 95th percentile, or 0 if there are no values.
function percentile95(values) {
  return [...values].sort((one, other) => one - other)[Math.ceil(values.length * 0.95) - 1] ?? 0;
}

// Returns the smallest of 2, 4, 10, 20, 40, 100 ... that is not below the value; half of it is a round number too.
function scaleTop(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 10].map((factor) => factor * power).find((candidate) => candidate >= value && candidate > 1) ?? 2;
}

// Returns the stretches of consecutive seconds with results. A second without any leaves a gap, a single one is a dot.
function stretches(seconds) {
  const result = [];
  let last = null;
  for (const second of seconds) {
    if (second.frames && last !== null) result[result.length - 1].push(second);
    else if (second.frames) result.push([second]);
    last = second.frames ? second : null;
  }
  return result;
}

function line(seconds, x, y) {
  return stretches(seconds)
    .map((stretch) => {
      const points = stretch.map((second) => `${x(second.at).toFixed(1)} ${y(second).toFixed(1)}`);
      return `M${points.join("L")}${points.length === 1 ? "h0.1" : ""}`;
    })
    .join("");
}

function band(seconds, x, y) {
  return stretches(seconds)
    .map((stretch) => {
      const upper = stretch.map((second) => `${x(second.at).toFixed(1)} ${y(second.oldest_ms).toFixed(1)}`);
      const lower = stretch.map((second) => `${x(second.at).toFixed(1)} ${y(second.age_ms).toFixed(1)}`);
      return `M${[...upper, ...lower.reverse()].join("L")}Z`;
    })
    .join("");
}

function description(active) {
  if (!active.length) return "Latency over the last two minutes: no results";
  const overall = (name) => (active.reduce((sum, second) => sum + second[name], 0) / active.length).toFixed(0);
  return `Latency over the last two minutes: mean age ${overall("age_ms")} ms, mean inference ${overall("inference_ms")} ms`;
}

function crisp(position) {
  return Math.round(position) + 0.5;
}

function put(text, x, y) {
  text.setAttribute("x", x);
  text.setAttribute("y", y);
}
