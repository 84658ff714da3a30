// The head of a run's page: what it is, how it stands in one line, its figures, outcomes, notes and facts.

import { attr, h, icon, show, style, text, webAddress } from "./dom.js";
import { STATUS_WORDS, amount, basis, clock, duration, eta, finishing, moment, over, percent, progress, rate, shown, span, title } from "./format.js";
import { left, silence, why } from "./row.js";

/** The one line that says it all: `["63 %", "4–7 min left", "14:32"]`. */
export function headline(run, now) {
  const status = shown(run);
  const part = percent(run) === null ? progress(run) : `${percent(run)} %`;
  const took = duration(run.elapsed_seconds);
  if (status === "completed") return ["Completed", `in ${took}`, clock(run.finished_at, now)];
  if (status === "failed") return ["Failed", percent(run) === null ? `after ${took}` : `at ${part}`, clock(run.finished_at, now)];
  if (status === "cancelled" || status === "interrupted")
    return [STATUS_WORDS[status], percent(run) === null ? `after ${took}` : `at ${part}`, clock(run.finished_at, now)];
  if (status === "queued") return ["Queued", `waiting for ${duration((now - Date.parse(run.queued_at)) / 1000)}`];
  if (finishing(run)) return [part, `finishing${run.stage ? `: ${run.stage}` : ""}`];
  if (status === "stalled") return [part, `no progress for ${duration(silence(run, now))}`];
  if (status === "paused") return [part, "paused"];
  if (run.eta_seconds === null || run.eta_seconds === undefined) return [part, run.total === null ? "total unknown" : "time left unknown"];
  const gone = (run.eta_seconds ?? 0) - (left(run) ?? 0);
  const band = run.eta_low === null ? duration(left(run)) : span(run.eta_low - gone, run.eta_high - gone);
  return [part, `${band} left`, clock(run.finish_at, now)];
}

/** The sentence under it: why, and what to do. */
export function explanation(run, now, course, past) {
  const status = shown(run);
  if (status === "failed") return run.error || "No error was given.";
  if (status === "interrupted")
    return `${sentenceCase(run.error || run.message || "The producer is gone")}. It neither failed nor was cancelled: start it again, what it had done stays recorded here.`;
  if (status === "completed") {
    const bad = Object.entries(run.counts ?? {}).filter(([name, n]) => n > 0 && /fail|error|skip|reject/i.test(name));
    return bad.length ? `Completed with ${bad.map(([name, n]) => `${amount(n)} ${name.replaceAll("_", " ")}`).join(", ")}.` : (run.message ?? "");
  }
  if (status === "stalled") {
    const since = run.last_progress_at ?? run.started_at;
    return `Last progress at ${clock(since, now, { seconds: true })}. ${usual(run, course)} If the producer is gone, end the run by hand.`;
  }
  if (status === "cancelled") return run.message ?? "";
  if (run.cancel_requested) return "Cancel requested. The producer has not acknowledged it yet.";
  if (status === "paused") return "It does no work until it goes on; how long that takes nobody knows.";
  if (finishing(run)) return "Everything is counted; the run is over when its producer says so.";
  if (run.eta_seconds > 0) return `${why(run)}.${past.number ? ` ${past.number} earlier run${past.number === 1 ? "" : "s"} compared below.` : ""}`;
  return run.status === "running" ? why(run) : (run.message ?? "");
}

const sentenceCase = (words) => words.charAt(0).toUpperCase() + words.slice(1).replace(/\.$/, "");

/** What silence was to be expected, by the reason the limit was set. */
function usual(run, course) {
  const limit = duration(course?.stallSeconds ?? 60);
  return {
    declared: `It said that something would move every ${limit}.`,
    usual_gap: "That is more than ten times what usually passes between its ticks.",
    history: "Earlier runs of this kind were never silent for so long at this point.",
  }[run.stalled_because] ?? `Usually something moves within ${limit}.`;
}

const pair = (name) => {
  const value = h("dd");
  return { root: h("div", {}, h("dt", {}, name), value), value };
};

export class Summary {
  #notesKey = "";

  constructor() {
    this.name = h("h1", { dir: "auto" });
    this.use = icon("running");
    this.word = h("span");
    this.status = h("span.status.big", {}, this.use, this.word);
    this.what = h("p.what");
    this.line = h("p.headline", {}, h("b"), h("span"), h("span"));
    this.why = h("p.why", { dir: "auto" });
    this.reasons = h("ul");
    this.because = h("details.because", { hidden: true }, h("summary", {}, "Why this estimate?"), this.reasons);
    this.root = h("header.runhead", {}, h("div.titles", {}, this.name, this.status), this.what, this.line, this.why, this.because);
    const names = { done: "Done", rate: "Rate", elapsed: "Elapsed", left: "Left", last: "Last progress", message: "Message" };
    this.pairs = Object.fromEntries(Object.entries(names).map(([key, name]) => [key, pair(name)]));
    this.figures = h("dl.figures", {}, Object.values(this.pairs).map((one) => one.root));
    this.counts = h("dl.counts");
    this.countbar = h("div.countbar", { "aria-hidden": "true" });
    this.sum = h("p.sub");
    this.outcomes = h("section.panel.outcomes", { "aria-labelledby": "out-h", hidden: true }, h("h2", { id: "out-h" }, "Outcomes"), this.countbar, this.counts, this.sum);
    this.noteList = h("ul");
    this.notes = h("section.panel.notes", { "aria-labelledby": "notes-h", hidden: true }, h("h2", { id: "notes-h" }, "Notes"), this.noteList);
    this.factList = h("dl");
    this.facts = h("section.panel.facts", { "aria-labelledby": "facts-h" }, h("h2", { id: "facts-h" }, "About"), this.factList);
  }

  /** The reasons of the estimate in the server's sentences; how far the last signed checkpoint reaches. */
  tell({ because, head }) {
    if (because) this.reasons.replaceChildren(...because.map((one) => h("li", {}, one)));
    if (head) this.head = head;
  }

  update(run, { now, course, past, live }) {
    const status = shown(run);
    show(this.because, live && status === "running" && run.eta_seconds > 0 && this.reasons.children.length > 0);
    attr(this.root, "data-status", status);
    text(this.name, title(run));
    attr(this.status, "data-status", status);
    attr(this.use.firstChild, "href", `#i-${status}`);
    text(this.word, STATUS_WORDS[status] ?? status);
    text(this.what, [run.kind, run.scope, run.attempt > 1 ? `attempt ${run.attempt}` : null].filter(Boolean).join(" · "));
    const line = headline(run, now);
    [...this.line.children].forEach((node, at) => text(node, line[at] ?? ""));
    attr(this.line, "title", over(run) ? null : why(run));
    text(this.why, explanation(run, now, course, past));
    const last = run.last_progress_at;
    const values = {
      done: progress(run), rate: over(run) ? averageRate(run) : rate(run.rate, run.unit), elapsed: duration(elapsed(run, now, live)),
      left: over(run) ? "" : finishing(run) ? "done" : left(run) === null ? "—" : `${eta(left(run))} · ${basis(run.eta_basis)}`,
      last: last ? `${clock(last, now, { seconds: true })}` : "—", message: over(run) ? "" : (run.message ?? ""),
    };
    for (const [key, { root, value }] of Object.entries(this.pairs)) {
      text(value, values[key]);
      show(root, values[key] !== "");
    }
    attr(this.pairs.last.value, "title", last ? moment(last) : null);
    this.#counts(run);
    this.#notes(course, run, now);
    this.#facts(run, now);
  }

  #counts(run) {
    const entries = Object.entries(run.counts ?? {});
    show(this.outcomes, entries.length > 0);
    if (!entries.length) return;
    const sum = entries.reduce((a, [, n]) => a + n, 0);
    const tone = (name) => (/fail|error|reject/i.test(name) ? "bad" : /skip|warn|ignor/i.test(name) ? "meh" : /pass|ok|success|done|creat|updat/i.test(name) ? "good" : "plain");
    while (this.countbar.children.length > entries.length) this.countbar.lastChild.remove();
    while (this.countbar.children.length < entries.length) this.countbar.append(h("i"));
    this.counts.replaceChildren(...entries.map(([name, n], at) => {
      style(this.countbar.children[at], "--grow", String(sum ? n / sum : 0));
      attr(this.countbar.children[at], "data-tone", tone(name));
      return h("div", { "data-tone": tone(name) }, h("dt", { dir: "auto" }, name.replaceAll("_", " ")), h("dd", {}, amount(n)));
    }));
    const staged = run.stages?.length > 0;
    text(this.sum, staged || sum === run.done ? `${amount(sum)} counted${staged ? "" : ", as many as are done"}` : `${amount(sum)} of ${amount(run.done)} done are counted`);
  }

  #notes(course, run, now) {
    const notes = (course?.notes ?? []).filter((event) => event.version <= run.version).slice(-20).reverse();
    const key = notes.map((event) => event.version).join();
    show(this.notes, notes.length > 0);
    if (key === this.#notesKey) return;
    this.#notesKey = key;
    const seen = new Map(); // the same words again and again are one line with a number
    for (const event of notes) {
      const words = `${event.data.level}\n${event.data.message}\n${event.data.link}`;
      if (seen.has(words)) seen.get(words).times += 1;
      else seen.set(words, { event, times: 1 });
    }
    this.noteList.replaceChildren(...[...seen.values()].map(({ event: { data, time }, times }) => {
      const link = webAddress(data.link);
      const level = data.level && data.level !== "info" ? h("b.level", {}, data.level) : null;
      return h("li", { "data-level": data.level }, h("time", { datetime: time, title: moment(time) }, clock(time, now, { seconds: true })), level,
        h("span", { dir: "auto" }, data.message, times > 1 ? ` (×${times})` : ""),
        data.link && (link ? h("a", { href: link, rel: "noopener noreferrer nofollow", target: "_blank" }, "open link") : h("code", {}, String(data.link))));
    }));
  }

  #facts(run, now) {
    const facts = {
      "Run id": run.run_id, Kind: run.kind, Scope: run.scope, Slot: run.slot, Owner: run.owner,
      Labels: Object.entries(run.labels ?? {}).map(([key, value]) => `${key}: ${value}`).join("\n"),
      Queued: run.queued_at && moment(run.queued_at), Started: run.started_at && moment(run.started_at), Ended: run.finished_at && moment(run.finished_at),
      "Time at work": run.active_seconds !== null && run.active_seconds !== run.elapsed_seconds ? duration(run.active_seconds) : null,
      Result: run.result === null || run.result === undefined ? null : JSON.stringify(run.result, null, 1),
      "Place in the log": run.position ? `position ${run.position}, version ${run.version}` : null,
      "Last checkpoint": this.head ? checkpoint(run, this.head, now) : null,
    };
    const rows = Object.entries(facts).filter(([, value]) => value);
    const key = JSON.stringify(rows);
    if (key === this.factsKey) return;
    this.factsKey = key;
    this.factList.replaceChildren(...rows.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", { dir: "auto" }, String(value)))));
    void now;
  }
}

/** Whether the run is covered by the newest signed checkpoint: an event's place in the tree is never beyond its position. */
function checkpoint(run, { checkpoint: last }, now) {
  if (!last) return "nobody has signed this log yet";
  const when = `the one of ${clock(last.time, now)} over ${amount(last.size)} events`;
  return run.position <= last.size ? `included in ${when}` : `not yet in it; ${when} came before`;
}

function elapsed(run, now, live) {
  const start = Date.parse(run.started_at ?? "");
  return over(run) || !live || Number.isNaN(start) ? run.elapsed_seconds : Math.max(run.elapsed_seconds ?? 0, (now - start) / 1000);
}

function averageRate(run) {
  if (run.stages?.length || !run.done || !run.active_seconds) return "";
  return `${rate(run.done / run.active_seconds, run.unit)} on average`;
}
