/** Types of client.js, the dependency-free client of a progress ledger. */

export type Status = "queued" | "running" | "paused" | "completed" | "failed" | "cancelled" | "interrupted";

export interface Stage {
  name: string;
  status: "pending" | "active" | "done";
  done?: number;
  total?: number | null;
  percent?: number | null;
  weight?: number | null;
  unit?: string;
  started_at?: string | null;
  finished_at?: string | null;
}

/** A run as it stands. `null` is unknown, `0` is nothing left, absent does not apply. */
export interface Run {
  run_id: string;
  kind: string;
  scope: string | null;
  title: string | null;
  status: Status;
  labels: Record<string, string>;
  slot: string | null;
  owner: string | null;
  parent: string | null;
  retry_of: string | null;
  unit: string | null;
  stage: string | null;
  stages: Stage[];
  done: number;
  total: number | null;
  percent: number | null;
  over_total: boolean;
  counts: Record<string, number>;
  message: string | null;
  error: string | null;
  result: unknown;
  /** Units per second. */
  rate: number | null;
  eta_seconds: number | null;
  eta_low: number | null;
  eta_high: number | null;
  eta_basis: string | null;
  finish_at: string | null;
  elapsed_seconds: number | null;
  active_seconds: number | null;
  queued_at: string | null;
  started_at: string | null;
  updated_at: string | null;
  last_progress_at: string | null;
  finished_at: string | null;
  stalled: boolean;
  stalled_seconds: number;
  /** Which limit it passed; null while it is not stalled. */
  stalled_because: string | null;
  cancel_requested: boolean;
  cancel_requested_at: string | null;
  attempt: number;
  version: number;
  position: number;
}

export interface LedgerEvent {
  position: number;
  run_id: string;
  version: number;
  time: string;
  type: string;
  data: Record<string, unknown>;
  event_id?: string;
}

export interface Filters {
  kind?: string | string[];
  scope?: string | string[];
  /** `"key:value"`; several must all match. */
  label?: string | string[];
  parent?: string | string[];
  slot?: string | string[];
  run?: string | string[];
}

export interface State {
  /**
   * `connecting`; `live`; `waiting` (for `retryAt`); `polling` (the stream does not get through, plain requests do);
   * `ended` (nothing more will come); `stopped` (a final refusal: `reason` is `unauthorized`, `forbidden`, `not_found`, …).
   */
  phase: "connecting" | "live" | "waiting" | "polling" | "ended" | "stopped";
  reason: string | null;
  /** Failed tries in a row. */
  attempt: number;
  /** When the next try is due, milliseconds since 1970. */
  retryAt: number | null;
  /** When the server was last heard, milliseconds since 1970. */
  heardAt: number | null;
  /** Whether this tab holds the connection all tabs share. */
  leads?: boolean;
}

export interface Options {
  /** Where the ledger is mounted; where client.js came from when not given. */
  url?: string;
  /** Sent as `Authorization: Bearer`, never in a URL. */
  token?: string | (() => string | Promise<string>);
  /** At most one snapshot per run and interval, such as `"500ms"`; without it every event is delivered. */
  every?: string;
  /** One connection for all tabs of the origin; true in browsers that can, else false. */
  share?: boolean;
  /** Where to take up a stream that is not shared. */
  lastEventId?: string;
  fetch?: typeof fetch;
  random?: () => number;
  /** A newer state of a run. */
  onSnapshot?(run: Run): void;
  /** One event, before the snapshot it led to. */
  onEvent?(event: LedgerEvent, run: Run): void;
  /** A run is over; following a single run ends with it. */
  onFinal?(run: Run): void;
  /** The whole set was replaced: at the first connection, or after a break too long to be made up. */
  onReset?(runs: Map<string, Run>, gone: Run[]): void;
  onState?(state: State): void;
}

export interface Following {
  readonly runs: Map<string, Run>;
  /** The run followed, when it is a single one. */
  readonly run: Run | null;
  readonly state: State | null;
  readonly lastEventId?: string | null;
  /** Tries again now, whatever wait is under way. */
  retry(): void;
  close(): void;
}

export function follow(what: string | Filters, options?: Options): Following;
export function matches(run: Partial<Run>, filters?: Filters): boolean;
export function backoff(failures: number, random?: () => number): number;
export const TERMINAL: Set<Status>;
export const BACKOFF_MS: number[];
