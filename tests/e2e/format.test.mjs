// How figures are written, and what a course of events says. Run by test_javascript.py.

import assert from "node:assert/strict";
import { test } from "node:test";
import * as format from "./format.js";
import { band, course, overall, rates } from "./history.js";

const each = (write, pairs) => assert.deepEqual(pairs.map(([value]) => write(value)), pairs.map(([, words]) => words));

test("times left", () => {
  each(format.eta, [[null, "—"], [undefined, "—"], [0, "done"], [-3, "done"], [0.2, "1s"], [42, "42s"], [59.6, "1m 0s"], [323, "5m 23s"], [8040, "2h 14m"], [277200, "3d 5h"]]);
});

test("bands", () => {
  assert.deepEqual([[240, 420], [33, 60.1], [41, 41.2], [50, 100], [4000, 9000], [null, 3], [5400, 5401]].map(([low, high]) => format.span(low, high)),
    ["4–7 min", "33–60s", "41s", "50s – 2 min", "1h 6m – 2h 30m", "—", "1h 30m"]);
});

test("rates", () => {
  each(format.rate, [[null, "—"], [0, "0/s"], [0.42, "0.42/s"], [4.2, "4.2/s"], [42, "42/s"], [0.997, "1.0/s"], [9.96, "10/s"], [1234.4, "1,234/s"], [0.005, "0.3/min"], [0.0001, "0.4/h"]]);
  assert.equal(format.rate(3_100_000, "bytes"), "3.1 MB/s");
});

test("amounts", () => {
  each(format.amount, [[null, "?"], [0, "0"], [1234567, "1,234,567"]]);
  each((value) => format.amount(value, "bytes"), [[0, "0 B"], [999, "999 B"], [1000, "1.0 kB"], [999_600, "1.0 MB"], [64_000_000_000, "64.0 GB"], [123_456_789, "123 MB"]]);
});

test("done of total", () => {
  each(format.progress, [[{ done: 150, total: 291, unit: "sheets" }, "150 / 291 sheets"], [{ done: 150, total: null, unit: null }, "150 / ?"],
    [{ done: 120, total: 100, unit: "items", over_total: true }, "120 items (100 expected)"], [{ done: 0, total: 0, unit: "rows" }, "0 / 0 rows"]]);
});

test("a page never shows 100 before the run has completed, and a failed one keeps its percent", () => {
  each(format.percent, [[{ status: "running", percent: 100 }, 99], [{ status: "running", percent: 63.9 }, 63], [{ status: "failed", percent: 37.2 }, 37],
    [{ status: "completed", percent: null }, 100], [{ status: "running", percent: null }, null]]);
});

test("ages", () => {
  const now = Date.parse("2026-11-21T12:00:00Z");
  each((time) => format.ago(time, now), [["2026-11-21T11:59:59.500Z", "now"], ["2026-11-21T11:59:48Z", "12s ago"], ["2026-11-21T11:50:00Z", "10m ago"], ["2026-11-21T09:00:00Z", "3h 0m ago"], [null, "—"], ["2026-11-21T12:00:09Z", "now"]]);
});

test("stalled is what a person sees, and only of a running run", () => {
  assert.equal(format.shown({ status: "running", stalled: true }), "stalled");
  assert.equal(format.shown({ status: "failed", stalled: true }), "failed");
});

const at = (second) => new Date(1e12 + second * 1000).toISOString();
const events = (...list) => list.map(([second, type, data], index) => ({ version: index + 1, time: at(second), type, data: data ?? {} }));

test("a course counts work over stages, keeps the percent rising, and finds the silences", () => {
  const stages = [{ name: "a", weight: 1 }, { name: "b", weight: 3 }];
  const out = course(events([0, "started", { stall_seconds: 10 }], [1, "stage_changed", { stage: "a", total: 2 }], [2, "ticked", { done: 2 }],
    [3, "stage_changed", { stage: "b", total: 4 }], [4, "ticked", { advance: 1 }], [30, "ticked", { advance: 1 }], [31, "noted", { message: "hm" }], [32, "completed"]), stages);
  assert.deepEqual(out.points.map((point) => point.percent), [0, 0, 25, 25, 43.75, 62.5, 62.5, 100]);
  assert.equal(out.points.at(-1).work, 4);
  assert.deepEqual(out.stalls.map(({ from, to }) => [from, to].map((ms) => (ms - 1e12) / 1000)), [[14, 30]]);
  assert.deepEqual(out.stages.map((stage) => [stage.name, (stage.to - stage.from) / 1000]), [["a", 2], ["b", 29]]);
  assert.equal(out.notes.length, 1);
});

test("a lower absolute count changes nothing, only a rewind goes down", () => {
  const out = course(events([0, "started", { total: 10 }], [1, "ticked", { done: 5 }], [2, "ticked", { done: 3 }], [3, "rewound", { done: 2 }], [4, "ticked", { done: 4 }]));
  assert.deepEqual(out.points.map((point) => point.done), [0, 5, 5, 2, 4]);
  assert.deepEqual(out.points.map((point) => point.percent), [0, 50, 50, 20, 40]);
});

test("work is spread evenly between sparse ticks", () => {
  const points = Array.from({ length: 13 }, (_, step) => ({ at: step * 10_000, work: step * 5 }));
  assert.ok(rates(points).every((one) => Math.abs(one.rate - 0.5) < 1e-9));
});

test("earlier runs make a band only when there are two", () => {
  const one = { start: 0, points: [{ at: 0, percent: 0 }, { at: 10_000, percent: 100 }] };
  const two = { start: 0, points: [{ at: 0, percent: 0 }, { at: 20_000, percent: 100 }] };
  assert.deepEqual(band([one]), []);
  assert.deepEqual(band([one, two], 4)[1], { seconds: 5, low: 25, mid: 50, high: 50 });
});

test("without a total the percent is unknown", () => {
  assert.equal(overall([], null, 5, null), null);
  assert.equal(overall([], null, 5, 10), 50);
});
