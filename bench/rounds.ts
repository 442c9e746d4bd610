/** One thing that is measured: a run gives one number or several by name. */
export type Contender<Figure> = () => Promise<Figure>;

/**
 * Runs every contender once for warming up and then once in each of `rounds` rounds, the order
 * turning from round to round, so that a machine that gets slower hits all alike. The results of
 * one round stand at the same index.
 */
export async function runRounds<Name extends string, Figure>(
  rounds: number,
  contenders: Record<Name, Contender<Figure>>,
): Promise<Record<Name, Figure[]>> {
  const names = Object.keys(contenders) as Name[];
  const figures = Object.fromEntries(names.map((name) => [name, []])) as unknown as Record<
    Name,
    Figure[]
  >;
  for (const name of names) await contenders[name]();
  for (let round = 0; round < rounds; round += 1) {
    const order = [...names.slice(round % names.length), ...names.slice(0, round % names.length)];
    for (const name of order) figures[name].push(await contenders[name]());
  }
  return figures;
}

/** How long `act` takes, in seconds. */
export async function secondsOf(act: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await act();
  return (performance.now() - start) / 1000;
}
