// The page as a whole: it follows the run through server-sent events, and shows when there are none.

import { Card } from "./card.js";
import * as text from "./text.js";

const SILENCE_MS = 5000;
const RECONNECT_MS = 2000;
const ANNOUNCE_MS = 3000;

const banner = document.getElementById("banner");
const pause = document.getElementById("pause");
let source = null;
let lastMessageAt = performance.now();
let lost = false;
let version = null;
let cards = [];

function connect() {
  source?.close();
  source = new EventSource("events");
  lastMessageAt = performance.now();
  listen("hello", hello);
  listen("status", status);
  listen("result", (result) => cards[result.camera].result(result));
  listen("event", (event) => cards[event.camera].event(event));
  source.onerror = () => handleError(source.readyState === EventSource.CLOSED);
}

function listen(name, handle) {
  const ownSource = source;
  source.addEventListener(name, (message) => {
    if (ownSource !== source) return;
    lastMessageAt = performance.now();
    setLost(false);
    handle(JSON.parse(message.data));
  });
}

// An EventSource reconnects automatically, unless the server refused the request.
async function handleError(isClosed) {
  if (document.hidden) return;
  setLost(true);
  if (!isClosed) return;
  setTimeout(connect, RECONNECT_MS);
  const response = await fetch("healthz").catch(() => null);
  if (response?.status === 401) banner.textContent = "The token has changed. Open the address that edgecnn printed.";
}

function setLost(now) {
  lost = now;
  if (banner.hidden === !lost) return;
  banner.hidden = !lost;
  banner.textContent = lost ? "Connection to edgecnn lost. Reconnecting …" : "";
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
  if (!document.hidden && performance.now() - lastMessageAt > SILENCE_MS) {
    setLost(true);
    connect();
  }
  const paused = pause.getAttribute("aria-pressed") === "true";
  for (const card of cards) card.refresh({ lost, paused });
}

// A screen reader announces the labels every few seconds, not ten times a second.
function announce() {
  const announcement = document.getElementById("announcement");
  const labels = cards.map((card) => (cards.length > 1 ? `${card.name}: ${card.shown}` : card.shown)).join(", ");
  if (!lost && announcement.textContent !== labels) announcement.textContent = labels;
}

pause.addEventListener("click", () => {
  const paused = pause.getAttribute("aria-pressed") !== "true";
  pause.setAttribute("aria-pressed", paused);
  pause.textContent = paused ? "Resume" : "Pause";
  refresh();
});

// A hidden page closes its connection, so that others can use it.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) source.close();
  else connect();
  refresh();
});

connect();
setInterval(refresh, 250);
setInterval(announce, ANNOUNCE_MS);
