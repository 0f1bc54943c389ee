// Formatting of numbers and times as text, and of text as elements. Text is never inserted as HTML.

const counts = new Intl.NumberFormat("en");

export function count(value) {
  return counts.format(value);
}

export function percent(score) {
  return `${(score * 100).toFixed(score < 0.9995 ? 1 : 0)}\u202f%`;
}

export function wholePercent(score) {
  return `${Math.round(score * 100)}\u202f%`;
}

export function milliseconds(value) {
  if (value === null) return "–";
  return `${value < 10 ? value.toFixed(1) : Math.round(value)}\u202fms`;
}

export function rate(perSecond) {
  return perSecond.toFixed(perSecond < 10 ? 1 : 0);
}

export function duration(seconds) {
  const whole = Math.floor(seconds);
  if (whole < 60) return `${whole}\u202fs`;
  if (whole < 3600) return `${Math.floor(whole / 60)}\u202fmin ${whole % 60}\u202fs`;
  if (whole < 86400) return `${Math.floor(whole / 3600)}\u202fh ${Math.floor((whole % 3600) / 60)}\u202fmin`;
  return `${Math.floor(whole / 86400)}\u202fd ${Math.floor((whole % 86400) / 3600)}\u202fh`;
}

export function timeOfDay(unixSeconds) {
  return new Date(unixSeconds * 1000).toLocaleTimeString("en-GB");
}

export function part(tag, content) {
  const element = document.createElement(tag);
  element.textContent = content;
  return element;
}
