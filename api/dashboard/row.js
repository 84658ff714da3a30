// One run as one row. Built once by cloning a prototype, then patched field by field.

import { attr, h, icon, style, text } from "./dom.js";
import { STATUS_WORDS, ago, amount, basis, clock, duration, eta, finishing, moment, over, percent, percentText, progress,
  rate, sentence, shown, span, stageOf, title } from "./format.js";

const COLUMNS = ["Status", "Run", "Stage", "Progress", "Rate", "Time left", "Last activity"];

export function tableHead() {
  const cells = COLUMNS.map((name) => h("span", { role: "columnheader" }, name));
  return h("div.head", { role: "rowgroup" }, h("div.row", { role: "row" }, cells));
}

let prototype = null;

function build() {
  const cell = (name, ...children) => h(`span.${name}`, { role: "cell" }, children);
  const slot = (name, tag = "span") => h(tag, { "data-slot": name });
  return h("div.row", { role: "row" },
    cell("c-status", h("span.status", {}, icon("running"), slot("status")), h("span.sub", { "data-slot": "attempt" })),
    cell("c-run", h("a.name", { dir: "auto", "data-slot": "name" }), h("span.sub", {}, slot("kind"), slot("dot"), slot("scope", "bdi"), slot("labels"))),
    cell("c-stage", h("span", { "data-slot": "stage", dir: "auto" }), h("span.sub", { "data-slot": "note", dir: "auto" })),
    cell("c-bar", h("span.figures", {}, slot("done"), slot("percent", "b")),
      h("span.bar", { role: "progressbar", "aria-valuemin": "0", "aria-valuemax": "100", "data-slot": "bar" }, h("i"))),
    cell("c-rate", slot("rate")),
    cell("c-eta", slot("eta"), h("span.sub", { "data-slot": "clock" })),
    cell("c-seen", slot("seen")));
}

/** Sets a progress bar: width, stripes when the total is unknown, values and words for those who hear it. */
export function setBar(bar, run) {
  const value = percent(run);
  attr(bar, "data-status", shown(run));
  attr(bar, "data-unknown", value === null && !over(run));
  attr(bar, "aria-valuenow", value);
  attr(bar, "aria-valuetext", sentence(run));
  attr(bar, "aria-label", `Progress of ${title(run)}`);
  style(bar, "--part", String((value ?? 0) / 100));
}

/** What else matters about a run, in one short line. */
export function note(run, now) {
  const status = shown(run);
  if (status === "failed") return run.error || run.message || "failed";
  if (status === "interrupted") return "producer gone · start again";
  if (run.cancel_requested && !over(run)) return "cancel requested";
  if (status === "stalled") return `no progress for ${duration(silence(run, now))}`;
  if (status === "queued") return `waiting ${duration((now - Date.parse(run.queued_at)) / 1000)}`;
  return run.message || "";
}

export function silence(run, now) {
  const since = Date.parse(run.last_progress_at ?? run.started_at ?? "");
  return Number.isNaN(since) ? run.stalled_seconds : Math.max(run.stalled_seconds ?? 0, (now - since) / 1000);
}

/** Seconds left now: the server's estimate less the time since it was heard, but never "done" before it says so. */
export function left(run, now = Date.now()) {
  // A run that stands still has no end in sight, whatever was foretold while it moved.
  if (run.eta_seconds === null || run.eta_seconds === undefined || shown(run) !== "running") return null;
  if (run.eta_seconds === 0) return 0;
  return Math.max(1, run.eta_seconds - (now - (run.heard ?? now)) / 1000);
}

export class Row {
  filled = false;

  constructor(id) {
    prototype ??= build();
    this.root = prototype.cloneNode(true);
    this.root.dataset.run = id;
    this.slots = Object.fromEntries([...this.root.querySelectorAll("[data-slot]")].map((node) => [node.dataset.slot, node]));
    this.use = this.root.querySelector("use");
    attr(this.slots.name, "href", `?run=${encodeURIComponent(id)}`);
    text(this.slots.name, id);
  }

  update(run, now) {
    const { slots } = this;
    const status = shown(run);
    this.filled = true;
    attr(this.root, "data-status", status);
    attr(this.use, "href", `#i-${status}`);
    text(slots.status, STATUS_WORDS[status] ?? status);
    text(slots.attempt, run.attempt > 1 ? `attempt ${run.attempt}` : "");
    text(slots.name, title(run));
    attr(slots.name, "title", run.title ? `${run.title}\n${run.run_id}` : run.run_id);
    text(slots.kind, run.kind ?? "");
    text(slots.dot, run.scope && run.kind ? " · " : "");
    text(slots.scope, run.scope ?? "");
    const labels = Object.entries(run.labels ?? {}).map(([key, value]) => `${key}:${value}`);
    text(slots.labels, labels.length ? ` · ${labels.slice(0, 3).join(", ")}` : "");
    attr(slots.labels, "title", labels.join("\n") || null);
    const stage = stageOf(run);
    const ends = finishing(run) && `finishing${run.stage ? `: ${run.stage}` : ""}`;
    text(slots.stage, ends || (stage && !over(run) ? `${stage.name} · ${stage.at} of ${stage.of}` : ""));
    attr(slots.stage, "title", stage?.name);
    text(slots.done, progress(run));
    text(slots.percent, percentText(run));
    setBar(slots.bar, run);
    text(slots.rate, over(run) || status === "queued" ? "" : rate(run.rate, run.unit));
    this.tick(run, now);
  }

  /** What changes with the clock alone. */
  tick(run, now) {
    const { slots } = this;
    const active = !over(run) && run.status !== "queued";
    const said = note(run, now);
    text(slots.note, said);
    attr(slots.note, "title", said || null);
    text(slots.eta, active ? (finishing(run) ? "done" : eta(left(run))) : over(run) ? duration(run.elapsed_seconds) : "");
    text(slots.clock, active && run.finish_at && left(run) > 0 && !finishing(run) ? clock(run.finish_at, now) : over(run) ? clock(run.finished_at, now) : "");
    attr(slots.eta.parentNode, "title", active ? why(run) : over(run) ? `took ${duration(run.elapsed_seconds)}` : null);
    const last = run.last_progress_at ?? run.updated_at;
    text(slots.seen, ago(over(run) ? (run.finished_at ?? last) : last, now));
    attr(slots.seen, "title", moment(over(run) ? run.finished_at : last));
  }
}

/** The band of an estimate and where it comes from. */
export function why(run) {
  if (run.eta_seconds === null || run.eta_seconds === undefined) {
    return run.total === null ? "The total is not known, so neither is the time left." : "Not enough is known to say when it ends.";
  }
  const counted = run.total === null ? "" : `, ${amount(Math.max(0, run.total - run.done), run.unit)} to go`;
  const reach = run.eta_low === null ? duration(run.eta_seconds) : span(run.eta_low, run.eta_high);
  return `Estimate: ${reach}, ${basis(run.eta_basis)}${counted}`;
}
