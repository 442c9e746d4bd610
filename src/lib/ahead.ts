/**
 * The results of `act` for each item of `source`, in their order, while `act` runs for the next
 * ones, at most `most` at once. Whoever leaves early waits for those that run.
 */
export async function* ahead<Item, Result>(
  source: AsyncIterable<Item>,
  most: number,
  act: (item: Item) => Promise<Result>,
): AsyncIterable<Result> {
  const items = source[Symbol.asyncIterator]();
  const running: Promise<Result>[] = [];
  let isDone = false;
  const fill = async () => {
    while (!isDone && running.length < most) {
      const { value, done } = await items.next();
      isDone = done === true;
      if (!isDone) running.push(begin(act(value as Item)));
    }
  };
  try {
    for (;;) {
      await fill();
      const [first] = running;
      if (first === undefined) return;
      const result = await first;
      void running.shift();
      yield result;
    }
  } finally {
    await Promise.allSettled(running);
    await items.return?.();
  }
}

/** Awaited in its turn: until then a failure is nobody's. */
function begin<Result>(running: Promise<Result>): Promise<Result> {
  running.catch(() => {});
  return running;
}
