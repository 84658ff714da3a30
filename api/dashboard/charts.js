// Three small charts in SVG: how far over time, how fast over time, and what was foretold when.

import { h, s } from "./dom.js";
import { amount, clock, duration, rate } from "./format.js";

const HEIGHT = 132;
const PAD = { right: 12, top: 8, bottom: 20 };

/** Round values that divide `0…top` into about four. */
export function ticks(top, about = 4) {
  if (!(top > 0)) return [0];
  const rough = top / about;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((m) => m >= rough);
  return Array.from({ length: Math.floor(top / step + 1e-9) + 1 }, (_, at) => at * step);
}

/** Steps of time people think in. */
export function timeTicks(seconds, about = 5) {
  const steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 172800, 604800];
  const step = steps.find((one) => seconds / one <= about) ?? 604800 * Math.ceil(seconds / 604800 / about);
  return Array.from({ length: Math.floor(seconds / step) + 1 }, (_, at) => at * step);
}

/** Few enough points for the width, first and last kept. */
export function thin(points, most = 400) {
  if (points.length <= most) return points;
  const step = (points.length - 1) / (most - 1);
  return Array.from({ length: most }, (_, at) => points[Math.round(at * step)]);
}

export class Chart {
  #last = null;

  constructor(id, heading) {
    this.plot = h("div.plot");
    this.caption = h("p.caption");
    this.root = h("section.panel.chart", { "aria-labelledby": id }, h("h2", { id }, heading), this.plot, this.caption);
    new ResizeObserver(() => this.#last && this.draw(this.#last)).observe(this.plot);
  }

  /**
   * `lines`: `[{class, points: [[x, y]…]}]`; `areas`: `[{class, points: [[x, low, high]…]}]`; x in seconds, 0 … `width`;
   * y from `floor` to `top`, written by `label`; `words` says it all in one sentence.
   */
  draw(data) {
    this.#last = data;
    const { lines = [], areas = [], spans = [], width, top, floor = 0, label, marks, words, caption = "" } = data;
    this.root.hidden = false;
    const full = Math.max(240, this.plot.clientWidth || 480);
    const steps = (marks ?? ticks(top)).map((value) => [value, label(value)]);
    const indent = 12 + 6 * Math.max(4, ...steps.map(([, words]) => words.length));
    const [w, hgt] = [full - indent - PAD.right, HEIGHT - PAD.top - PAD.bottom];
    const x = (value) => indent + (w * value) / (width || 1);
    const y = (value) => PAD.top + hgt * (1 - (value - floor) / (top - floor || 1));
    const path = (points) => points.map(([a, b], at) => `${at ? "L" : "M"}${x(a).toFixed(1)} ${y(b).toFixed(1)}`).join("");
    const svg = s("svg", { viewBox: `0 0 ${full} ${HEIGHT}`, width: full, height: HEIGHT, role: "img", "aria-label": words });
    for (const [value, words] of steps) {
      svg.append(s("line.grid", { x1: indent, x2: full - PAD.right, y1: y(value), y2: y(value) }));
      svg.append(s("text.axis", { x: indent - 6, y: y(value) + 3.5, "text-anchor": "end" }, words));
    }
    for (const value of timeTicks(width, Math.max(2, Math.floor(w / 90)))) {
      svg.append(s("text.axis", { x: x(value), y: HEIGHT - 5, "text-anchor": "middle" }, value ? duration(value).replace(/ 0[ms]$/, "") : "0"));
    }
    for (const { from, to } of spans) svg.append(s("rect.silent", { x: x(from), width: Math.max(1, x(to) - x(from)), y: PAD.top, height: hgt }));
    for (const area of areas) {
      if (area.points.length < 2) continue;
      const upper = area.points.map(([a, , b]) => [a, b]);
      const lower = area.points.map(([a, b]) => [a, b]).reverse();
      svg.append(s(`path.${area.class}`, { d: `${path(upper)}${path(lower).replace("M", "L")}Z` }));
    }
    for (const line of lines) {
      const points = thin(line.points.filter(([, b]) => b !== null && Number.isFinite(b)));
      if (points.length) svg.append(s(`path.${line.class}`, { d: path(points) }));
      if (line.dot && points.length) svg.append(s("circle.dot", { cx: x(points.at(-1)[0]), cy: y(points.at(-1)[1]), r: 3 }));
    }
    this.plot.replaceChildren(svg);
    this.caption.textContent = caption;
  }

  hide() {
    this.#last = null;
    this.root.hidden = true;
  }
}

/** Draws how far the run was over time, with the band of earlier runs behind it. */
export function drawDone(chart, run, { points, start, stalls }, past, now) {
  const seconds = (at) => Math.max(0, (at - start) / 1000);
  const byPercent = points.some((point) => point.percent !== null);
  const useUnits = byPercent && !run.stages?.length && run.total > 0;
  const value = (point) => (byPercent ? point.percent : point.work);
  const line = points.map((point) => [seconds(point.at), value(point)]);
  if (line.length && !run.finished_at) line.push([seconds(now), line.at(-1)[1]]);
  if (line.length < 2) return chart.hide();
  const width = Math.max(line.at(-1)[0], byPercent && past.length ? Math.min(past.at(-1).seconds, line.at(-1)[0] * 3 + 10) : 0, 1);
  const shown = byPercent ? past.filter((one) => one.seconds <= width) : [];
  const top = byPercent ? 100 : Math.max(1, ...points.map((point) => point.work));
  const label = (v) => (useUnits ? amount(Math.round((v * run.total) / 100), run.unit) : byPercent ? `${Math.round(v)} %` : amount(v, run.unit));
  chart.draw({
    width, top, label, marks: byPercent ? [0, 25, 50, 75, 100] : undefined,
    spans: stalls.map(({ from, to }) => ({ from: seconds(from), to: seconds(to) })),
    areas: [{ class: "band", points: shown.map((one) => [one.seconds, one.low, one.high]) }],
    lines: [{ class: "usualline", points: shown.map((one) => [one.seconds, one.mid]) }, { class: "line", points: line, dot: !run.finished_at }],
    words: `Done over time: ${label(line.at(-1)[1])} after ${duration(line.at(-1)[0])}`,
    caption: shown.length ? "Behind the line: where earlier runs of this kind were after the same time." : "",
  });
}

export function drawRate(chart, run, course, buckets, now) {
  if (buckets.length < 2 || !buckets.some((one) => one.rate > 0)) return chart.hide();
  const seconds = (at) => Math.max(0, (at - course.start) / 1000);
  const top = Math.max(...buckets.map((one) => one.rate)) * 1.1;
  const width = seconds(run.finished_at ? course.points.at(-1).at : now);
  chart.draw({
    width, top, label: (v) => (v === 0 ? "0" : rate(v, run.unit)), marks: ticks(top, 3),
    lines: [{ class: "line", points: buckets.map((one) => [seconds(one.at), one.rate]) }],
    words: `Rate over time, at most ${rate(Math.max(...buckets.map((one) => one.rate)), run.unit)}`,
  });
}

/** Draws what the estimate said when: each moment's expected end. A flat line was a good estimate. */
export function drawForetold(chart, run, samples, start, now) {
  const told = samples.filter((one) => one.finish !== null);
  if (told.length < 2) return chart.hide();
  const end = run.finished_at ? Date.parse(run.finished_at) : null;
  const values = told.flatMap((one) => [one.finish, one.low ?? one.finish, one.high ?? one.finish]).concat(end ?? []);
  const middle = [...values].sort((a, b) => a - b);
  const [low, high] = [middle[0], middle[Math.floor((middle.length - 1) * 0.97)]];
  const slack = Math.max(1000, (high - low) * 0.1);
  const [floor, top] = [low - slack, high + slack];
  const clip = (value) => Math.min(top, Math.max(floor, value));
  const seconds = (at) => Math.max(0, (at - start) / 1000);
  const marks = [0.1, 0.5, 0.9].map((part) => floor + (top - floor) * part);
  const fine = top - floor < 600000;
  chart.draw({
    width: Math.max(1, seconds(end ?? now)), floor, top, marks, label: (v) => clock(v, v, { seconds: fine }),
    areas: [{ class: "band", points: told.filter((one) => one.low !== null).map((one) => [seconds(one.at), clip(one.low), clip(one.high)]) }],
    lines: [{ class: "line", points: told.map((one) => [seconds(one.at), clip(one.finish)]), dot: !end },
      ...(end ? [{ class: "usualline", points: [[0, end], [seconds(end), end]] }] : [])],
    words: `Expected end over time: at last ${clock(told.at(-1).finish, now, { seconds: fine })}`,
    caption: end ? "Dashed: when it did end." : "Each moment's expected end; a flat line is a steady estimate.",
  });
}
