// How figures are written, everywhere on the pages. Pure: the time comes in, text goes out.

export const STATUS_WORDS = {
  stalled: "Stalled", running: "Running", paused: "Paused", queued: "Queued", failed: "Failed",
  interrupted: "Interrupted", cancelled: "Cancelled", completed: "Completed",
};

const grouped = new Intl.NumberFormat("en-US");
const none = "—";

const floor = Math.floor;
const known = (value) => value !== null && value !== undefined && Number.isFinite(value);

/** `42s`, `5m 23s`, `2h 14m`, `3d 4h`; `—` when unknown. */
export function duration(seconds) {
  if (!known(seconds)) return none;
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s}s`;
  if (s < 3600) return `${floor(s / 60)}m ${s % 60}s`;
  if (s < 86400) return `${floor(s / 3600)}h ${floor((s % 3600) / 60)}m`;
  return `${floor(s / 86400)}d ${floor((s % 86400) / 3600)}h`;
}

/** As `duration`, and `done` when nothing is left. */
export function eta(seconds) {
  if (known(seconds) && seconds <= 0) return "done";
  return known(seconds) ? duration(Math.max(1, seconds)) : none;
}

/** `4–7 min`, `33–60s`, `1h 10m – 2h 5m`, or one duration when both ends read the same. */
export function span(low, high) {
  if (!known(low) || !known(high)) return none;
  const [a, b] = [Math.max(1, Math.round(low)), Math.max(1, Math.round(high))];
  if (b < 90) return a === b ? `${a}s` : `${a}–${b}s`;
  if (b < 5400) {
    const [m, n] = [floor(a / 60), Math.ceil(b / 60)];
    if (m === 0) return `${a}s – ${n} min`;
    return m === n ? `${m} min` : `${m}–${n} min`;
  }
  return duration(a) === duration(b) ? duration(a) : `${duration(a)} – ${duration(b)}`;
}

/** `12s ago`, and `now` for what has just been. */
export function ago(time, now) {
  const then = stamp(time);
  if (!known(then)) return none;
  const s = (now - then) / 1000;
  return s < 1 ? "now" : `${s < 3600 ? (s < 60 ? `${floor(s)}s` : `${floor(s / 60)}m`) : duration(s)} ago`;
}

/** Milliseconds since 1970 of an RFC 3339 time, null when there is none. */
export function stamp(time) {
  if (typeof time === "number") return time;
  const ms = time ? Date.parse(time) : NaN;
  return Number.isNaN(ms) ? null : ms;
}

// Made once: making a formatter costs a hundred times what using it does.
const form = (options) => new Intl.DateTimeFormat("en-GB", options);
const minutesOf = form({ hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const secondsOf = form({ hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const dayOf = form({ day: "numeric", month: "short" });
const wholeOf = form({ dateStyle: "medium", timeStyle: "medium" });

/** `14:32`, with the day in front when it is not today. */
export function clock(time, now = Date.now(), { seconds = false } = {}) {
  const at = stamp(time);
  if (!known(at)) return none;
  const date = new Date(at);
  const text = (seconds ? secondsOf : minutesOf).format(date);
  if (date.toDateString() === new Date(now).toDateString()) return text;
  const day = dayOf.format(date);
  const year = date.getFullYear() === new Date(now).getFullYear() ? "" : ` ${date.getFullYear()}`;
  return `${day}${year}, ${text}`;
}

/** The whole time, for tooltips. */
export function moment(time) {
  const at = stamp(time);
  return known(at) ? wholeOf.format(at) : none;
}

/** `1,234`, or `1.2 GB` when the unit is bytes. */
export function amount(value, unit) {
  if (!known(value)) return "?";
  if (unit !== "bytes") return grouped.format(value);
  if (value < 1000) return `${Math.round(value)} B`;
  const names = ["kB", "MB", "GB", "TB", "PB", "EB"];
  let [size, at] = [value / 1000, 0];
  while (size >= 999.5 && at < names.length - 1) [size, at] = [size / 1000, at + 1];
  return `${size >= 99.5 ? Math.round(size) : size.toFixed(1)} ${names[at]}`;
}

/** `0.42/s`, `4.2/s`, `42/s`, `3.1 MB/s`, `0.4/min` for the slow, `—` when unknown. */
export function rate(value, unit) {
  if (!known(value)) return none;
  if (value === 0) return "0/s";
  if (unit === "bytes") return `${amount(value, unit)}/s`;
  if (value < 0.01) return value * 60 >= 0.1 ? `${(value * 60).toFixed(1)}/min` : `${(value * 3600).toFixed(1)}/h`;
  if (value < 0.995) return `${value.toFixed(2)}/s`;
  if (value < 9.95) return `${value.toFixed(1)}/s`;
  return `${grouped.format(Math.round(value))}/s`;
}

/** `150 / 291 items`, `150 / ? items`, `120 items (100 expected)`. */
export function progress({ done, total, unit, over_total: over }) {
  const noun = unit && unit !== "bytes" ? ` ${unit}` : "";
  if (over || (known(total) && done > total)) return `${amount(done, unit)}${noun} (${amount(total, unit)} expected)`;
  return `${amount(done ?? 0, unit)} / ${amount(total, unit)}${noun}`;
}

/** The percent a page may show: whole, at most 99 until the run has completed, null when unknown. */
export function percent(run) {
  if (run.status === "completed") return 100;
  return known(run.percent) ? Math.max(0, Math.min(99, floor(run.percent))) : null;
}

export const percentText = (run) => (percent(run) === null ? none : `${percent(run)} %`);

/** What a person sees as the status: a stalled run is not a running one. */
export const shown = (run) => (run.status === "running" && run.stalled ? "stalled" : run.status);

export const TERMINAL = new Set(["completed", "failed", "cancelled", "interrupted"]);
export const over = (run) => TERMINAL.has(run.status);

/** Everything counted and yet not over. */
export function finishing(run) {
  if (over(run) || run.status === "queued") return false;
  if (known(run.percent) && run.percent >= 100) return true;
  return known(run.total) && run.total > 0 && run.done >= run.total && !run.stages?.some((s) => s.status === "pending");
}

/** Which stage, `2 of 8`; null without stages. */
export function stageOf(run) {
  if (!run.stages?.length || !run.stage) return null;
  const at = run.stages.findIndex((stage) => stage.name === run.stage);
  return { name: run.stage, at: at + 1, of: run.stages.length };
}

/** In words, where an estimate comes from. */
export function basis(text) {
  if (!text) return "no estimate yet";
  const [name, number] = String(text).split(":");
  if (name === "history") return `from ${number} earlier run${number === "1" ? "" : "s"} of this kind`;
  if (name === "mean") return "from this run's mean rate";
  if (name === "declared") return "from the declared weights of the stages";
  return `from ${text}`;
}

export const title = (run) => run.title || run.run_id;

/** One sentence that says where a run is, for screen readers and titles. */
export function sentence(run) {
  const done = progress(run);
  const status = STATUS_WORDS[shown(run)] ?? run.status;
  if (run.status === "completed") return `Completed, ${done}`;
  const part = percent(run) === null ? `${done}, percent unknown` : `${percent(run)} percent, ${done}`;
  return finishing(run) ? `Finishing, ${done}` : `${status}, ${part}`;
}
