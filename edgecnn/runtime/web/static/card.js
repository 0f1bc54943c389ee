// One camera on the page.

import { Chart } from "./chart.js";
import { Picture } from "./picture.js";
import * as text from "./text.js";

const LIVE_FOR_MS = 3000;
const KEPT_EVENTS = 50;
const FIGURES = ["Age", "Inference", "Frames/s", "Frames", "Dropped", "Reconnects", "Bad pictures"];

export class Card {
  #element;
  #picture;
  #chart;
  #status;
  #inView = true;
  #resultAt = -Infinity;
  #decidedAt = null;
  #shown = "";

  constructor(camera, name, template) {
    this.#element = template.content.firstElementChild.cloneNode(true);
    this.#find("h2").textContent = this.name = name;
    this.#find("h2").title = name;
    this.#find("canvas").setAttribute("aria-label", `Live picture of ${name}`);
    this.#picture = new Picture(camera, this.#find("canvas"));
    this.#chart = new Chart(this.#find(".history svg"), this.#find(".key .worst"));
    this.#find(".figures").append(...FIGURES.map(figure));
    new IntersectionObserver((entries) => (this.#inView = entries.at(-1).isIntersecting)).observe(this.#element);
  }

  get element() {
    return this.#element;
  }

  // The label that the camera shows, for announcements.
  get shown() {
    return this.#shown;
  }

  hello(camera, events) {
    this.#chart.replace(camera.history);
    if (camera.latest) this.result(camera.latest, camera.since_result_s);
    this.status(camera);
    this.#find(".events ol").replaceChildren();
    for (const event of events) this.event(event);
    this.#find(".events").hidden = !events.length && !(camera.latest && "decision" in camera.latest);
  }

  result(result, secondsAgo = 0) {
    const decided = "decision" in result;
    const best = (decided && result.decision) || result.top[0];
    this.#resultAt = performance.now() - secondsAgo * 1000;
    this.#decidedAt = result.held_s === null ? null : this.#resultAt - result.held_s * 1000;
    this.#shown = best.label;
    const label = this.#find(".label");
    label.classList.toggle("unknown", best.index < 0);
    label.classList.toggle("undecided", decided && !result.decision);
    write(label.querySelector(".text"), best.label);
    write(label.querySelector(".score"), text.wholePercent(best.score));
    this.#drawBars(result.top, best.index);
    this.#set("Age", text.milliseconds(result.age_ms));
    const { preprocess, invoke, postprocess } = result.latency_ms;
    this.#set("Inference", text.milliseconds(preprocess + invoke + postprocess));
    if (decided) this.#find(".events").hidden = false;
  }

  status(status) {
    this.#status = status;
    if (status.since_result_s !== null) this.#resultAt = performance.now() - status.since_result_s * 1000;
    this.#set("Frames/s", text.rate(status.per_second));
    this.#set("Frames", text.count(status.frames));
    this.#set("Dropped", text.count(status.dropped));
    this.#set("Reconnects", text.count(status.reconnects));
    this.#set("Bad pictures", text.count(status.bad_pictures));
    this.#find(".figures").lastElementChild.hidden = !status.bad_pictures;
  }

  second(second) {
    if (second) this.#chart.add(second);
  }

  event(event) {
    const row = document.createElement("li");
    row.className = `${event.event}${event.index < 0 ? " unknown" : ""}`;
    const change = event.event === "left" ? `left after ${text.duration(event.duration_s)}` : "entered";
    row.append(text.part("time", text.timeOfDay(event.at)), text.part("span", event.label), text.part("span", change));
    const list = this.#find(".events ol");
    list.prepend(row);
    while (list.children.length > KEPT_EVENTS) list.lastElementChild.remove();
  }

  // Updates everything that depends on the current time: outdated content is marked as such.
  refresh({ lost, paused }) {
    this.#picture.want(this.#inView && !paused && !lost && !document.hidden);
    const resultMs = performance.now() - this.#resultAt;
    const quiet = resultMs > this.#liveForMs();
    const [word, reason] = this.#staleness(lost, paused);
    this.#element.classList.toggle("stale", word !== "");
    this.#element.classList.toggle("quiet", quiet || lost);
    write(this.#find(".word"), word);
    write(this.#find(".reason"), reason);
    write(this.#find(".badge"), word ? "" : this.#badge());
    write(this.#find(".since"), this.#sinceText(quiet || lost, resultMs));
    this.#refreshState(lost, quiet);
  }

  // Returns why the picture does not show what the camera sees now, as a word and a reason; both are empty if it does.
  #staleness(lost, paused) {
    const { state, last_error } = this.#status;
    if (lost) return ["Connection lost", ""];
    if (state === "reconnecting") return ["Reconnecting", last_error];
    if (paused) return ["Paused", ""];
    if (this.#picture.ageMs === Infinity) return ["Waiting for a picture", ""];
    if (this.#picture.ageMs > this.#liveForMs()) return [`${text.duration(this.#picture.ageMs / 1000)} old`, ""];
    return ["", ""];
  }

  #badge() {
    const ageMs = this.#picture.ageMs;
    return ageMs < LIVE_FOR_MS ? "Live" : `${text.duration(ageMs / 1000)} ago`;
  }

  #sinceText(quiet, resultMs) {
    if (resultMs === Infinity) return "no result yet";
    if (quiet) return `${text.duration(resultMs / 1000)} ago`;
    if (this.#decidedAt === null) return "";
    const decidedS = (performance.now() - this.#decidedAt) / 1000;
    return decidedS < 1 ? "just now" : `for ${text.duration(decidedS)}`;
  }

  // A camera with, say, one result in ten seconds is still live: the limit depends on its rate.
  #liveForMs() {
    const { per_second } = this.#status;
    return per_second > 0 ? Math.max(LIVE_FOR_MS, 2500 / per_second) : LIVE_FOR_MS;
  }

  #refreshState(lost, quiet) {
    const state = this.#find(".state");
    const { state: connection, last_error } = this.#status;
    const word = lost ? "unknown" : connection === "reconnecting" ? connection : quiet ? "no results" : connection;
    state.className = `state ${word.replace(" ", "-")}`;
    state.title = last_error;
    write(state, word[0].toUpperCase() + word.slice(1));
  }

  #drawBars(top, current) {
    const list = this.#find(".bars");
    while (list.children.length < top.length) list.append(bar());
    while (list.children.length > top.length) list.lastElementChild.remove();
    top.forEach((score, index) => {
      const row = list.children[index];
      row.classList.toggle("current", score.index === current);
      row.style.setProperty("--share", Math.min(1, Math.max(0, score.score)));
      write(row.children[0], score.label);
      write(row.children[1], text.percent(score.score));
    });
  }

  #set(name, value) {
    const cell = this.#find(".figures").children[FIGURES.indexOf(name)];
    write(cell.lastElementChild, value);
  }

  #find(selector) {
    return this.#element.querySelector(selector);
  }
}

function figure(name) {
  const cell = document.createElement("div");
  cell.append(text.part("dt", name), text.part("dd", "–"));
  return cell;
}

function bar() {
  const row = document.createElement("li");
  row.append(text.part("span", ""), text.part("span", ""));
  return row;
}

// Unchanged text is not written again, because that would clear a selection in it.
function write(element, content) {
  if (element.textContent !== content) element.textContent = content;
}
