// The page as a whole: hears of the run by server-sent events, and says so when it hears nothing.

import { Card } from "./card.js";
import * as text from "./text.js";

const SILENCE_MS = 5000;
const AGAIN_MS = 2000;
const ANNOUNCE_MS = 3000;

const banner = document.getElementById("banner");
const pause = document.getElementById("pause");
let source = null;
let heardAt = performance.now();
let lost = false;
let version = null;
let cards = [];

function connect() {
  source?.close();
  source = new EventSource("events");
  heardAt = performance.now();
  listen("hello", hello);
  listen("status", status);
  listen("result", (result) => cards[result.camera].result(result));
  listen("event", (event) => cards[event.camera].event(event));
  source.onerror = () => lose(source.readyState === EventSource.CLOSED);
}

function listen(name, take) {
  const own = source;
  source.addEventListener(name, (message) => {
    if (own !== source) return;
    heardAt = performance.now();
    setLost(false);
    take(JSON.parse(message.data));
  });
}

// An EventSource tries again by itself, unless it was answered with a refusal.
async function lose(forGood) {
  if (document.hidden) return;
  setLost(true);
  if (!forGood) return;
  setTimeout(connect, AGAIN_MS);
  const answer = await fetch("healthz").catch(() => null);
  if (answer?.status === 401) banner.textContent = "The token has changed. Open the address that edgecnn printed.";
}

function setLost(now) {
  lost = now;
  if (banner.hidden === !lost) return;
  banner.hidden = !lost;
  banner.textContent = lost ? "Connection to edgecnn lost. Trying again …" : "";
}

function hello(run) {
  if (version !== null && version !== run.version) {
    location.reload();
    return;
  }
  version = run.version;
  document.getElementById("model").textContent = run.model;
  document.title = `${run.model} · edgecnn`;
  const names = run.cameras.map((camera) => camera.name);
  if (cards.length !== names.length || cards.some((card, camera) => card.name !== names[camera])) build(names);
  run.cameras.forEach((camera, number) =>
    cards[number].hello(camera, run.events.filter((event) => event.camera === number)),
  );
  pairs({ Model: run.model, Classes: text.count(run.classes), edgecnn: run.version, Running: "" });
  describeRun(run);
  refresh();
}

function build(names) {
  const main = document.getElementById("cameras");
  const template = document.getElementById("camera");
  cards = names.map((name, camera) => new Card(camera, name, template));
  main.className = cards.length === 1 ? "one" : "";
  main.replaceChildren(...cards.map((card) => card.element));
}

function status(run) {
  run.cameras.forEach((camera, number) => {
    cards[number].status(camera);
    cards[number].second(camera.second);
  });
  describeRun(run);
}

function describeRun(run) {
  document.querySelector("#about .running dd").textContent = text.duration(run.uptime_s);
  document.getElementById("outputs").replaceChildren(...run.outputs.map(outputRow));
}

function outputRow(output) {
  const counts = ["delivered", "dropped", "failed"].map((name) => `${text.count(output[name])} ${name}`).join(" · ");
  const row = document.createElement("li");
  row.append(text.part("strong", output.name), text.part("span", counts));
  if (output.failing) row.append(text.part("em", output.last_error));
  return row;
}

function pairs(entries) {
  const cells = Object.entries(entries).map(([name, value]) => {
    const cell = document.createElement("div");
    cell.className = name.toLowerCase();
    cell.append(text.part("dt", name), text.part("dd", value));
    return cell;
  });
  document.getElementById("about").replaceChildren(...cells);
}

function refresh() {
  if (!document.hidden && performance.now() - heardAt > SILENCE_MS) {
    setLost(true);
    connect();
  }
  const paused = pause.getAttribute("aria-pressed") === "true";
  for (const card of cards) card.refresh({ lost, paused });
}

// A screen reader is told what is seen now and then, and not ten times a second.
function announce() {
  const announcement = document.getElementById("announcement");
  const seen = cards.map((card) => (cards.length > 1 ? `${card.name}: ${card.shown}` : card.shown)).join(", ");
  if (!lost && announcement.textContent !== seen) announcement.textContent = seen;
}

pause.addEventListener("click", () => {
  const paused = pause.getAttribute("aria-pressed") !== "true";
  pause.setAttribute("aria-pressed", paused);
  pause.textContent = paused ? "Resume" : "Pause";
  refresh();
});

// A page that nobody sees leaves its connections to others.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) source.close();
  else connect();
  refresh();
});

connect();
setInterval(refresh, 250);
setInterval(announce, ANNOUNCE_MS);
