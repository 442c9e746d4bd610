import type { Output } from "./output.ts";
import { Subscription, type SubscriptionOptions } from "./subscription.ts";
import type { EndEvent, Viewer } from "./viewer.ts";

/** So many viewers take a while to be told: one piece of output in each turn of the event loop. */
const CROWD = 64;

/**
 * Hands a process's output to its viewers and never waits for any of them: the process runs at
 * the pace of the fastest viewer, or freely when nobody watches.
 */
export class FanOut {
  readonly #viewers = new Set<Viewer>();
  readonly #resume: () => void;
  #isWaiting = false;
  #isResting = false;

  /** `resume` is called when reading shall go on after `publish` returned `false`. */
  constructor(resume: () => void) {
    this.#resume = resume;
  }

  /** A new viewer, who sees what comes from now on. */
  subscribe(options: SubscriptionOptions = {}): Subscription {
    const viewer = new Subscription(this, options);
    this.add(viewer);
    return viewer;
  }

  /** Tells `viewer` what happens from now on. */
  add(viewer: Viewer): void {
    this.#viewers.add(viewer);
    // It has nothing waiting, so it is not held up by those who have.
    if (!viewer.isFull) this.#goOn();
  }

  /** Whether the process has to wait for its viewers. */
  get isWaiting(): boolean {
    return this.#isWaiting;
  }

  /** Gives `output` to every viewer and says whether to read on. */
  publish(output: Output): boolean {
    const event = { kind: "output", output } as const;
    for (const viewer of this.#viewers) viewer.push(event);
    this.#isWaiting = !this.#isMoreWanted();
    if (this.#viewers.size >= CROWD) this.#rest();
    return !this.#isWaiting;
  }

  /** Whether some viewer is told the end when the program has exited. */
  get endsAtExit(): boolean {
    return [...this.#viewers].some((viewer) => viewer.endsAtExit);
  }

  /** Whether some viewer learns more of the end. */
  get wantsFacts(): boolean {
    return [...this.#viewers].some((viewer) => viewer.wantsFacts);
  }

  /** Tells the end to those who do not wait for others. */
  exit(event: EndEvent): void {
    for (const viewer of this.#viewers) if (viewer.endsAtExit) viewer.push(event);
  }

  /** Tells every viewer the end, and forgets them. */
  end(event: EndEvent): void {
    for (const viewer of this.#viewers) viewer.push(event);
    this.#viewers.clear();
  }

  /** Told by a viewer that it has read something. */
  onTaken(viewer: Viewer): void {
    if (this.#isWaiting && viewer.wantsMore) this.#goOn();
  }

  /** How many follow the process. */
  get size(): number {
    return this.#viewers.size;
  }

  /** Told by a viewer that it has left. */
  delete(viewer: Viewer): void {
    if (this.#viewers.delete(viewer)) this.reconsider();
  }

  /** Told that a viewer no longer counts. */
  reconsider(): void {
    if (this.#isMoreWanted()) this.#goOn();
  }

  /** Node reads a busy pipe many times in one turn; what comes from elsewhere is not to wait for it. */
  #rest(): void {
    this.#isWaiting = true;
    this.#isResting = true;
    setImmediate(() => {
      this.#isResting = false;
      if (this.#isMoreWanted()) this.#goOn();
    });
  }

  #goOn(): void {
    if (!this.#isWaiting || this.#isResting) return;
    this.#isWaiting = false;
    this.#resume();
  }

  /** Whether a viewer wants more. Some do not count; with no other viewer left, all is read. */
  #isMoreWanted(): boolean {
    let counted = 0;
    for (const viewer of this.#viewers) {
      if (!viewer.isWaitedFor) continue;
      if (!viewer.isFull) return true;
      counted += 1;
    }
    return counted === 0;
  }
}
