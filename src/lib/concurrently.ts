/**
 * Calls `act` for each item, at most `limit` at once, and returns the results in the order of the
 * items. After a failure, or once `signal` aborts, no more items are begun.
 */
export async function mapConcurrently<Item, Result>(
  items: readonly Item[],
  limit: number,
  act: (item: Item) => Promise<Result>,
  signal?: AbortSignal,
): Promise<Result[]> {
  const results = Array.from<Result>({ length: items.length });
  let next = 0;
  const work = async () => {
    while (next < items.length) {
      signal?.throwIfAborted();
      const index = next++;
      results[index] = await act(items[index] as Item);
    }
  };
  const workers = Array.from({ length: Math.min(limit, items.length) }, work);
  try {
    await Promise.all(workers);
  } finally {
    next = items.length;
    await Promise.allSettled(workers);
  }
  return results;
}
