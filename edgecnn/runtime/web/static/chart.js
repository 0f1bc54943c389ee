// The history of a camera's latency as an SVG: mean age with its worst, and mean inference time.

import { milliseconds } from "./text.js";

const WINDOW_S = 120;
const MARGIN = { top: 8, right: 4, bottom: 20, left: 50 };
const SVG = "http://www.w3.org/2000/svg";

export class Chart {
  #svg;
  #worst;
  #seconds = [];
  #marks = {};

  // `worst` is where the oldest age is told, as a figure: the scale does not follow every stray one.
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
    const told = seconds.filter((second) => second.frames);
    const top = scaleTop(Math.max(1, common(told.map((second) => second.oldest_ms)), ...told.map(mean)));
    const inner = { width: width - MARGIN.left - MARGIN.right, height: height - MARGIN.top - MARGIN.bottom };
    const x = (at) => MARGIN.left + inner.width * (1 - (now - at) / WINDOW_S);
    const y = (ms) => MARGIN.top + inner.height * (1 - Math.min(1, ms / top));
    this.#drawAxes(inner, top, y);
    this.#marks.age.setAttribute("d", line(seconds, x, (second) => y(second.age_ms)));
    this.#marks.inference.setAttribute("d", line(seconds, x, (second) => y(second.inference_ms)));
    this.#marks.worst.setAttribute("d", band(seconds, x, y));
    this.#svg.setAttribute("aria-label", description(told));
    this.#worst.textContent = told.length ? milliseconds(Math.max(...told.map((second) => second.oldest_ms))) : "–";
  }

  #drawAxes(inner, top, y) {
    const levels = [0, top / 2, top];
    const across = `h${inner.width}`;
    this.#marks.grid.setAttribute("d", levels.map((ms) => `M${MARGIN.left} ${crisp(y(ms))}${across}`).join(""));
    levels.forEach((ms, place) => {
      const text = this.#marks.y[place];
      text.textContent = place === 2 ? `${ms}\u202fms` : `${ms}`;
      put(text, MARGIN.left - 8, y(ms) + 4);
    });
    this.#marks.x.forEach((text, place) => {
      text.setAttribute("text-anchor", ["start", "middle", "end"][place]);
      put(text, MARGIN.left + (inner.width * place) / 2, MARGIN.top + inner.height + 15);
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

// What nineteen of twenty values do not exceed.
function common(values) {
  return [...values].sort((one, other) => one - other)[Math.ceil(values.length * 0.95) - 1] ?? 0;
}

// The smallest of 2, 4, 10, 20, 40, 100 ... that is not below, so that its half is a round figure too.
function scaleTop(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 10].map((factor) => factor * power).find((candidate) => candidate >= value && candidate > 1) ?? 2;
}

// Stretches of seconds that had results; a second without any leaves a gap, and a lone one is a dot.
function stretches(seconds) {
  const found = [];
  let last = null;
  for (const second of seconds) {
    if (second.frames && last !== null) found[found.length - 1].push(second);
    else if (second.frames) found.push([second]);
    last = second.frames ? second : null;
  }
  return found;
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

function description(told) {
  if (!told.length) return "Latency over the last two minutes: no results";
  const overall = (name) => (told.reduce((sum, second) => sum + second[name], 0) / told.length).toFixed(0);
  return `Latency over the last two minutes: mean age ${overall("age_ms")} ms, mean inference ${overall("inference_ms")} ms`;
}

function crisp(position) {
  return Math.round(position) + 0.5;
}

function put(text, x, y) {
  text.setAttribute("x", x);
  text.setAttribute("y", y);
}
