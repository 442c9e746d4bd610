/** The longest delay `setTimeout` takes; a longer one would fire at once. */
const LONGEST_MS = 2 ** 31 - 1;

/** Calls `act` once after `ms` milliseconds, however many they are. Disposing it forgets `act`. */
export function startTimer(ms: number, act: () => void): Disposable {
  let timer: NodeJS.Timeout;
  const arm = (left: number) => {
    timer = setTimeout(
      () => (left > LONGEST_MS ? arm(left - LONGEST_MS) : act()),
      Math.min(left, LONGEST_MS),
    );
  };
  arm(ms);
  return { [Symbol.dispose]: () => clearTimeout(timer) };
}
