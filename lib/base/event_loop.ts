/** Waits for so many milliseconds. */
export function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** Milliseconds after which long work lets the host's event loop go on. */
const YIELD_AFTER = 50;

/**
 * Makes a function for long work to call between its steps. Now and then it returns what to wait for,
 * else undefined: SQLite never waits, so neither Ctrl-C nor anything else would be heard until the end.
 */
export function createYielder(): () => Promise<void> | undefined {
  let last = performance.now();
  let pause: Promise<void> | undefined; // one for all who wait, so that they go on in their order
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
