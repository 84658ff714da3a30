// client.js in Node, against servers that misbehave in every way a stream can. Run by test_javascript.py.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { test } from "node:test";
import { BACKOFF_MS, Fold, SseParser, backoff, follow, matches, plan } from "./client.js";

const AT_ONCE = () => -1.499; // makes every wait a few milliseconds

/** A server whose answers are `(request, response, number of the request)`; resolves `url` and `close`. */
async function serving(answer) {
  const requests = [];
  const server = createServer((request, response) => answer(request, response, requests.push(request)));
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const close = () => (server.closeAllConnections(), new Promise((resolve) => server.close(resolve)));
  return { url: `http://127.0.0.1:${server.address().port}/`, requests, close };
}

const head = (response) => response.writeHead(200, { "Content-Type": "text/event-stream; charset=utf-8" });
const frame = (event, data, id) => `event: ${event}\ndata: ${JSON.stringify(data)}\n${id ? `id: ${id}\n` : ""}\n`;
const hello = (status = "new", epoch = "aa") => `retry: 5\n${frame("hello", { status, reason: null, epoch, head: 9 })}`;
const run = (version, more = {}) => ({ run_id: "qa-7", kind: "qa", status: "running", version, position: version, done: version, ...more });
const tick = (version, more) =>
  frame("ticked", { event: { run_id: "qa-7", version, position: version, type: "ticked", data: {} }, run: { done: version, ...more } }, `aa-${version}`);
const over = (version) => frame("completed", { event: { run_id: "qa-7", version, position: version, type: "completed", data: {} }, run: { status: "completed" }, final: true }, `aa-${version}`);

/** Follows until the end; what was seen. */
function followed(url, what = "qa-7", options = {}) {
  const seen = { versions: [], states: [], finals: [], resets: 0 };
  const ended = new Promise((resolve) => {
    seen.handle = follow(what, {
      url, share: false, random: AT_ONCE, ...options,
      onSnapshot: (one) => seen.versions.push(one.version),
      onFinal: (one) => seen.finals.push(one),
      onReset: () => (seen.resets += 1),
      onState: (state) => {
        seen.states.push(state.phase);
        if (state.phase === "ended" || state.phase === "stopped" || options.until?.(state, seen)) resolve(Object.assign(seen, { last: state }));
      },
    });
  });
  return Object.assign(ended, { seen });
}

test("frames are cut by LF, CR and CRLF, in pieces of any size; comments and unfinished frames say nothing", () => {
  const text = ": hi\nid: a-1\nevent: x\ndata: one\ndata: two\n\n:\r\ndata:3\r\rid\ndata: {\"a\"\r\n\r\n: end\nevent: cut\ndata: never";
  for (let size = 1; size < text.length; size += 1) {
    const parser = new SseParser();
    const frames = [];
    for (let at = 0; at < text.length; at += size) frames.push(...parser.push(text.slice(at, at + size)));
    assert.deepEqual(frames, [
      { event: "x", data: "one\ntwo", id: "a-1" }, { event: "message", data: "3", id: undefined }, { event: "message", data: '{"a"', id: "" },
    ]);
  }
});

test("waits grow 1, 2, 5, 10, 10 seconds, spread by a quarter", () => {
  assert.deepEqual(BACKOFF_MS, [1000, 2000, 5000, 10000]);
  assert.deepEqual([0, 1, 2, 3, 9].map((n) => backoff(n, () => 0.5)), [1000, 2000, 5000, 10000, 10000]);
  assert.deepEqual([backoff(0, () => 0), backoff(0, () => 1)], [750, 1250]);
});

test("filters match as the server's do", () => {
  const one = { run_id: "a", kind: "qa", scope: "s", labels: { team: "x:y" }, parent: null, slot: null };
  assert.ok(matches(one, {}) && matches(one, { kind: ["qa", "b"], label: "team:x:y" }));
  assert.ok(!matches(one, { kind: "b" }) && !matches(one, { label: ["team:x:y", "env:z"] }) && !matches(one, { parent: "p" }));
});

test("one stream serves all wishes", () => {
  assert.equal(plan([]), null);
  assert.deepEqual(plan([{ filters: { kind: "a" }, every: "1s" }]), { filters: { kind: "a" }, every: "1s" });
  assert.deepEqual(plan([{ filters: { run: "b" }, every: "1s" }, { filters: { run: "a" }, every: "500ms" }]), { filters: { run: ["a", "b"] }, every: "500ms" });
  assert.deepEqual(plan([{ filters: { kind: "a" }, every: "1s" }, { filters: { run: "a" } }]), { filters: {}, every: undefined });
});

test("older states and repeats change nothing; another epoch starts anew", () => {
  const fold = new Fold();
  const put = (event, data, id) => fold.apply({ event, data, id });
  put("hello", { status: "new", epoch: "aa" });
  put("snapshot", { run: run(5) });
  assert.equal(put("snapshot", { run: run(4) }), null);
  assert.equal(put("ticked", { event: { run_id: "qa-7", version: 5 }, run: { done: 1 } }), null);
  assert.equal(put("ticked", { event: { run_id: "qa-7", version: 6 }, run: { done: 6 } }).run.done, 6);
  put("hello", { status: "reset", epoch: "bb" });
  assert.equal(put("snapshot", { run: run(1) }).run.version, 1);
});

test("a set that is live replaces what was held", () => {
  const fold = new Fold();
  for (const name of ["a", "b"]) fold.apply({ event: "snapshot", data: { run: { ...run(1), run_id: name } } });
  fold.apply({ event: "hello", data: { status: "reset", epoch: "aa" } });
  fold.apply({ event: "snapshot", data: { run: { ...run(2), run_id: "b" } } });
  assert.deepEqual(fold.apply({ event: "live", data: {}, id: "aa-9" }).gone, ["a"]);
  assert.deepEqual([[...fold.runs.keys()], fold.lastId], [["b"], "aa-9"]);
});

test("a connection cut in the middle of a frame is taken up where it was, without a gap or a repeat", async () => {
  const site = await serving((request, response, number) => {
    head(response);
    if (number === 1) {
      response.write(hello() + frame("snapshot", { run: run(1) }, "aa-1") + tick(2) + tick(3) + tick(4).slice(0, -9));
      setTimeout(() => response.destroy(), 30);
    } else {
      assert.equal(request.headers["last-event-id"], "aa-3");
      response.end(hello("resumed") + tick(4) + tick(5) + over(6));
    }
  });
  const seen = await followed(site.url);
  assert.deepEqual(seen.versions, [1, 2, 3, 4, 5, 6]);
  assert.equal(seen.finals[0].status, "completed");
  assert.equal(site.requests.length, 2);
  await site.close();
});

test("204 ends it, 401, 403, 404 and 410 stop it and say why", async () => {
  for (const [status, phase, reason] of [[204, "ended", "nothing more will come"], [401, "stopped", "unauthorized"], [403, "stopped", "forbidden"],
    [404, "stopped", "not_found"], [410, "stopped", "pruned"], [400, "stopped", "status 400"]]) {
    const site = await serving((_request, response) => response.writeHead(status).end());
    const { last } = await followed(site.url);
    assert.deepEqual([last.phase, last.reason], [phase, reason]);
    assert.equal(site.requests.length, 1);
    await site.close();
  }
});

test("500, 503, 429, busy, drain and a clean end are all tried again", async () => {
  const site = await serving((request, response, number) => {
    if (!request.url.includes("stream")) return response.writeHead(503).end();
    if (number === 1) return response.writeHead(500).end();
    if (number === 2) return head(response) && response.end("retry: 5\nevent: busy\ndata: {}\n\n");
    head(response);
    if (number === 3) return response.end(hello() + frame("snapshot", { run: run(1) }, "aa-1"));
    if (number === 4) return response.end(hello("resumed") + tick(2) + "retry: 5\nevent: drain\ndata: {}\n\n");
    assert.equal(request.headers["last-event-id"], "aa-2");
    response.end(hello("resumed") + over(3));
  });
  const seen = await followed(site.url);
  assert.deepEqual(seen.versions, [1, 2, 3]);
  assert.equal(site.requests.length, 5);
  await site.close();
});

test("where the stream does not get through it asks instead, and a failed question never fails the run", async () => {
  let asked = 0;
  const site = await serving((request, response) => {
    if (request.url.includes("stream")) return response.writeHead(200, { "Content-Type": "text/html" }).end("<p>proxy");
    asked += 1;
    if (asked === 1) return response.writeHead(503).end();
    response.writeHead(200, { "Content-Type": "application/json" });
    response.end(JSON.stringify(asked < 3 ? run(asked) : run(9, { status: "completed" })));
  });
  const seen = await followed(site.url);
  assert.deepEqual(seen.versions, [2, 9]);
  assert.deepEqual(seen.finals.map((one) => one.status), ["completed"]);
  assert.ok(seen.states.includes("polling") && !seen.states.includes("stopped"));
  await site.close();
});

test("a token is asked for at each try and never stands in the address", async () => {
  let number = 0;
  const site = await serving((request, response, count) => {
    assert.equal(request.headers.authorization, `Bearer secret-${count}`);
    assert.ok(!request.url.includes("secret"));
    head(response);
    response.end(count === 1 ? hello() : hello() + frame("snapshot", { run: run(1) }) + over(2));
  });
  await followed(site.url, "qa-7", { token: async () => `secret-${(number += 1)}` });
  assert.equal(site.requests.length, 2);
  await site.close();
});

test("retry() ends the wait, close() ends everything", async () => {
  const site = await serving((_request, response, number) => {
    if (number === 1) return response.writeHead(500).end();
    head(response).write(hello() + frame("snapshot", { run: run(1) }));
  });
  const waiting = followed(site.url, "qa-7", { random: () => 1000, until: (state, seen) => state.phase === "waiting" && seen.handle });
  const seen = await waiting;
  const live = new Promise((resolve) => setTimeout(function look() {
    if (seen.versions.length) resolve();
    else setTimeout(look, 5);
  }, 5));
  seen.handle.retry();
  await live;
  seen.handle.close();
  await site.close();
});

test("many runs: the set, then what changes, each run's end, and the stream goes on", async () => {
  const other = { ...run(1), run_id: "qa-8" };
  const site = await serving((request, response) => {
    assert.equal(request.url, "/v1/stream?kind=qa&label=a%3Ab&label=c%3Ad");
    head(response).write(hello() + frame("snapshot", { run: run(1) }) + frame("snapshot", { run: other }) + frame("live", { runs: 2 }, "aa-1") + tick(2) + over(3));
    response.write(frame("started", { event: { run_id: "qa-9", version: 1, position: 4, type: "started", data: {} }, run: { ...run(1), run_id: "qa-9" } }, "aa-4"));
  });
  const seen = followed(site.url, { kind: "qa", label: ["a:b", "c:d"] }, { until: (_, one) => one.finals.length });
  while (seen.seen.handle?.runs.size !== 3) await new Promise((resolve) => setTimeout(resolve, 5));
  const { handle, finals, resets } = seen.seen;
  assert.deepEqual([[...handle.runs.keys()], finals.map((one) => one.run_id), resets], [["qa-7", "qa-8", "qa-9"], ["qa-7"], 1]);
  handle.close();
  await site.close();
});

test("a real server: every event once, the end, and nothing after it", { skip: !process.env.SITE }, async () => {
  const url = process.env.SITE;
  const post = (path, body) => fetch(url + path, { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" } });
  await post("/v1/runs", { run_id: "node-1", kind: "job", total: 50 });
  const versions = [];
  const waiting = followed(url, "node-1", { onEvent: (event) => versions.push(event.version) });
  for (let done = 1; done <= 50; done += 1) await post("/v1/runs/node-1/events", { events: [{ type: "ticked", data: { done } }] });
  await post("/v1/runs/node-1/events", { events: [{ type: "completed", data: {} }] });
  const seen = await waiting;
  assert.deepEqual(versions, Array.from({ length: 52 - versions[0] + 1 }, (_, at) => versions[0] + at));
  assert.deepEqual([seen.finals.length, seen.handle.run.percent, seen.last.reason], [1, 100, "final"]);
  const again = await followed(url, "node-1", { lastEventId: seen.handle.lastEventId });
  assert.deepEqual([again.last.reason, again.versions], ["nothing more will come", []]);
});
