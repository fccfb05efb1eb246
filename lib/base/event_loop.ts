/** Waits for a number of milliseconds. */
export function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** Milliseconds after which long work yields to the event loop. */
const YIELD_AFTER = 50;

/**
 * Creates a function for long work to call between its steps. From time to time it returns a promise to
 * await, otherwise undefined. SQLite never yields, so without this neither Ctrl-C nor any other event
 * would be handled until the work ends.
 */
export function createYielder(): () => Promise<void> | undefined {
  let last = performance.now();
  let pause: Promise<void> | undefined; // shared by all waiters, so that they continue in order
  return () => {
    if (pause === undefined && performance.now() - last > YIELD_AFTER) {
      pause = sleep(0).then(() => {
        last = performance.now();
        pause = undefined;
      });
    }
    return pause;
  };
}
