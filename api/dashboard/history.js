// What a run's events say about its course: points for the charts, stretches of stages and of silence, notes. Pure.

import { stamp } from "./format.js";

const WORK = new Set(["ticked", "stage_changed", "rewound", "total_changed", "started", "resumed"]);
export const STALL_SECONDS = 60;

/** Weights of the stages by name; equal where nothing is said. */
export function weights(stages) {
  const given = stages.map((stage) => (stage.weight > 0 ? stage.weight : null));
  const known = given.filter((weight) => weight !== null);
  const usual = known.length ? known.reduce((a, b) => a + b, 0) / known.length : 1;
  return stages.map((stage, at) => ({ name: stage.name, weight: given[at] ?? usual }));
}

/** The share of the whole (0–100) when `name` stands at `done` of `total`; null where that cannot be known. */
export function overall(shares, name, done, total) {
  if (!shares.length) return total > 0 ? Math.min(100, (100 * done) / total) : null;
  const sum = shares.reduce((a, share) => a + share.weight, 0);
  const at = shares.findIndex((share) => share.name === name);
  if (at < 0) return 0;
  const before = shares.slice(0, at).reduce((a, share) => a + share.weight, 0);
  const part = total > 0 ? Math.min(1, done / total) : 0;
  return (100 * (before + part * shares[at].weight)) / sum;
}

/**
 * Folds events (oldest first, from version 1) into `{start, points, stages, stalls, pauses, notes, stallSeconds}`.
 * Points are `{at, done, total, work, percent}`: `work` counts units over all stages, `at` is in milliseconds.
 */
export function course(events, stages = []) {
  const shares = weights(stages);
  const out = { start: null, points: [], stages: [], stalls: [], pauses: [], notes: [], stallSeconds: STALL_SECONDS };
  let [done, total, stage, work, percent, last, paused] = [0, null, null, 0, null, null, null];
  for (const event of events) {
    const at = stamp(event.data.occurred_at) ?? stamp(event.time);
    const { type, data } = event;
    if (type === "queued" || (type === "started" && event.version === 1)) {
      total = data.total ?? total;
      if (data.stall_seconds) out.stallSeconds = data.stall_seconds;
    }
    if (type === "started" || out.start === null) out.start = at;
    if (WORK.has(type) && last !== null && paused === null) {
      const until = last + out.stallSeconds * 1000;
      if (at > until) out.stalls.push({ from: until, to: at });
    }
    if (type === "stage_changed") {
      const open = out.stages.at(-1);
      if (open && open.to === null) open.to = at;
      out.stages.push({ name: data.stage, from: at, to: null });
      [stage, done] = [data.stage, 0];
      total = data.total ?? stages.find((one) => one.name === stage)?.total ?? null;
    } else if (type === "ticked") {
      const next = data.advance === undefined ? Math.max(done, data.done ?? done) : done + data.advance;
      work += next - done;
      done = next;
      if ("total" in data) total = data.total;
    } else if (type === "total_changed") total = data.total;
    else if (type === "rewound") [work, done, percent] = [work - (done - data.done), data.done, null];
    else if (type === "paused") paused = at;
    else if (type === "resumed" && paused !== null) {
      out.pauses.push({ from: paused, to: at });
      paused = null;
    } else if (type === "noted") out.notes.push(event);
    if (WORK.has(type)) last = at;
    const now = overall(shares, stage, done, total);
    percent = now === null ? percent : Math.max(percent ?? 0, now);
    if (type === "completed") percent = 100;
    if (["completed", "failed", "cancelled", "interrupted"].includes(type)) {
      const open = out.stages.at(-1);
      if (open && open.to === null) open.to = at;
    }
    out.points.push({ at, done, total, work, percent, version: event.version });
  }
  return out;
}

/**
 * Units per second in equal stretches of the course: `[{at, rate}]`. Work is spread evenly between two points, and
 * a stretch holds about three of them, so that sparse ticks do not look like bursts.
 */
export function rates(points, most = 60) {
  if (points.length < 3) return [];
  const [first, last] = [points[0].at, points.at(-1).at];
  const buckets = Math.max(2, Math.min(most, Math.floor(points.length / 3)));
  const width = Math.max(500, (last - first) / buckets);
  const out = [];
  let [at, before] = [1, points[0].work];
  for (let edge = first + width; edge <= last + 1; edge += width) {
    while (at < points.length - 1 && points[at].at < edge) at += 1;
    const [a, b] = [points[at - 1], points[at]];
    const part = b.at > a.at ? Math.min(1, (edge - a.at) / (b.at - a.at)) : 1;
    const work = a.work + part * (b.work - a.work);
    out.push({ at: edge - width / 2, rate: Math.max(0, (work - before) / (width / 1000)) });
    before = work;
  }
  return out;
}

/** How far earlier runs were after each share of the longest: `[{seconds, low, mid, high}]` in percent. */
export function band(courses, steps = 40) {
  const usable = courses.filter((one) => one.points.length > 1 && one.points.at(-1).percent !== null);
  if (usable.length < 2) return [];
  const seconds = (one) => (one.points.at(-1).at - one.start) / 1000;
  const longest = Math.max(...usable.map(seconds));
  return Array.from({ length: steps + 1 }, (_, step) => {
    const at = (longest * step) / steps;
    const values = usable.map((one) => percentAt(one, at)).sort((a, b) => a - b);
    return { seconds: at, low: values[0], mid: values[values.length >> 1], high: values.at(-1) };
  });
}

function percentAt({ start, points }, seconds) {
  const when = start + seconds * 1000;
  const after = points.findIndex((point) => point.at > when);
  if (after < 0) return 100;
  if (after === 0) return 0;
  const [a, b] = [points[after - 1], points[after]];
  const part = b.at > a.at ? (when - a.at) / (b.at - a.at) : 0;
  return (a.percent ?? 0) + part * ((b.percent ?? 0) - (a.percent ?? 0));
}

/** The course of a finished run of which only the snapshot is at hand: straight lines between its stages' ends. */
export function outline(run) {
  const start = stamp(run.started_at);
  const shares = weights(run.stages ?? []);
  const points = [{ at: start, percent: 0 }];
  for (const stage of run.stages ?? []) {
    if (stage.finished_at) points.push({ at: stamp(stage.finished_at), percent: overall(shares, stage.name, 1, 1) });
  }
  points.push({ at: stamp(run.finished_at), percent: 100 });
  return { start, points: points.filter((point) => point.at !== null).sort((a, b) => a.at - b.at) };
}

/** The usual length of each stage in seconds: medians over finished runs, by name. */
export function usualStages(runs) {
  const lengths = new Map();
  for (const stage of runs.flatMap((run) => run.stages ?? [])) {
    const [from, to] = [stamp(stage.started_at), stamp(stage.finished_at)];
    if (from === null || to === null) continue;
    if (!lengths.has(stage.name)) lengths.set(stage.name, []);
    lengths.get(stage.name).push((to - from) / 1000);
  }
  return new Map([...lengths].map(([name, all]) => [name, all.sort((a, b) => a - b)[all.length >> 1]]));
}
