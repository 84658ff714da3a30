// The stages of a run: one bar segmented by weight, and the stretches they took.

import { attr, h, style, text } from "./dom.js";
import { amount, clock, duration, over, percent, progress, sentence, shown, stamp, title } from "./format.js";
import { weights } from "./history.js";

/** The big bar. Segments are as wide as the stages weigh; marks above show where earlier runs spent their time. */
export class SegmentedBar {
  #key = null;

  constructor() {
    this.segments = h("div.segments", { "aria-hidden": "true" });
    this.ghosts = h("div.ghosts", { "aria-hidden": "true" });
    this.bar = h("div.bigbar", { role: "progressbar", "aria-valuemin": "0", "aria-valuemax": "100" }, this.segments);
    this.legend = h("ol.stagelegend");
    this.root = h("div.bigbarbox", {}, this.ghosts, this.bar, this.legend);
  }

  update(run, usual) {
    const stages = run.stages?.length ? run.stages : [{ name: "", weight: 1, percent: run.percent, status: "active", only: true }];
    const shares = weights(stages);
    const sum = shares.reduce((a, one) => a + one.weight, 0);
    const key = stages.map((stage) => stage.name).join("\n");
    if (key !== this.#key) {
      this.#key = key;
      this.segments.replaceChildren(...stages.map(() => h("div.segment", {}, h("i"))));
      this.legend.replaceChildren(...(stages[0].only ? [] : stages.map((stage) => h("li", {}, h("bdi", {}, stage.name), h("span")))));
    }
    attr(this.bar, "data-status", shown(run));
    attr(this.bar, "aria-label", `Progress of ${title(run)}`);
    attr(this.bar, "aria-valuenow", percent(run));
    attr(this.bar, "aria-valuetext", sentence(run));
    stages.forEach((stage, at) => {
      const segment = this.segments.children[at];
      const done = run.status === "completed" || stage.status === "done";
      const part = done ? 100 : stage.only ? percent(run) : stage.status === "active" ? (stage.percent ?? null) : 0;
      const width = shares[at].weight / sum;
      style(segment, "--grow", String(width));
      style(segment, "--part", String((part ?? 0) / 100));
      attr(segment, "data-state", done ? "done" : stage.status);
      attr(segment, "data-unknown", part === null && !over(run) && run.status !== "queued");
      const entry = this.legend.children[at];
      if (!entry) return;
      attr(entry, "data-state", done ? "done" : stage.status);
      attr(entry, "data-narrow", width < 0.1);
      style(entry, "--grow", String(width));
      attr(entry, "title", `${stage.name}: ${this.#words(stage, done, run)}, ${Math.round(width * 100)} % of the whole`);
      text(entry.lastChild, this.#words(stage, done, run));
    });
    this.#ghosts(stages, usual);
  }

  #words(stage, done, run) {
    if (done) return "done";
    if (stage.status !== "active") return "to come";
    const unit = stage.unit ?? run.unit;
    return stage.total === null || stage.total === undefined ? amount(stage.done ?? 0, unit) : `${amount(stage.done ?? 0, unit)} / ${amount(stage.total, unit)}`;
  }

  #ghosts(stages, usual) {
    const lengths = stages.map((stage) => usual?.get(stage.name) ?? 0);
    const sum = lengths.reduce((a, b) => a + b, 0);
    const marks = sum > 0 && stages.length > 1 ? lengths.slice(0, -1) : [];
    let at = 0;
    this.ghosts.replaceChildren(...marks.map((seconds, index) => {
      at += seconds / sum;
      const mark = h("i", { title: `Earlier runs had ${stages[index].name} behind them after ${Math.round(at * 100)} % of their time` });
      mark.style.setProperty("--at", String(at));
      return mark;
    }));
  }
}

/** When each stage ran, what it usually takes, and where nothing moved. */
export class Gantt {
  constructor() {
    this.rows = h("div.ganttrows");
    this.root = h("section.panel.gantt", { "aria-labelledby": "gantt-h" }, h("h2", { id: "gantt-h" }, "Stages"), this.rows);
  }

  /** `now` in milliseconds; `stalls` as `course` gives them; `usual` seconds by stage name. */
  update(run, { now, stalls = [], usual = new Map() }) {
    const stages = (run.stages ?? []).filter((stage) => stage.name);
    this.root.hidden = stages.length === 0;
    if (!stages.length) return;
    const start = stamp(run.started_at) ?? now;
    const end = Math.max(stamp(run.finished_at) ?? now, start + 1000);
    let ahead = end;
    const rows = stages.map((stage) => {
      const from = stamp(stage.started_at);
      const to = stamp(stage.finished_at) ?? (stage.status === "active" ? end : null);
      if (from !== null && usual.has(stage.name)) ahead = Math.max(ahead, from + usual.get(stage.name) * 1000);
      return { stage, from, to };
    });
    const whole = ahead - start;
    const place = (node, from, to) => {
      node.style.setProperty("--from", String(Math.max(0, (from - start) / whole)));
      node.style.setProperty("--to", String(Math.min(1, (to - start) / whole)));
      return node;
    };
    this.rows.replaceChildren(...rows.map(({ stage, from, to }) => {
      const track = h("span.track", { "aria-hidden": "true" });
      const expected = usual.get(stage.name);
      if (from !== null && expected) track.append(place(h("i.usual", { title: `usually ${duration(expected)}` }), from, from + expected * 1000));
      if (from !== null && to !== null) {
        track.append(place(h("i.stretch", { "data-state": stage.status, "data-status": shown(run) }), from, to));
        for (const stall of stalls) {
          const [a, b] = [Math.max(stall.from, from), Math.min(stall.to, to)];
          if (b > a) track.append(place(h("i.stall", { title: `nothing moved for ${duration((b - a) / 1000)}` }), a, b));
        }
      }
      const took = from === null ? "–" : duration(((to ?? end) - from) / 1000);
      const usually = expected ? `usually ${duration(expected)}` : "";
      const count = stage.done === undefined ? "" : progress({ unit: run.unit, ...stage, total: stage.total ?? null });
      return h("div.ganttrow", { "data-state": stage.status },
        h("bdi.stagename", { title: stage.name }, stage.name), track,
        h("span.took", { title: from === null ? null : `from ${clock(from, now, { seconds: true })}` }, took),
        h("span.sub", {}, [stage.status === "pending" ? "" : count, usually].filter(Boolean).join(" · ")));
    }));
  }
}
