/** Active time: gaps of more than five seconds without pointer or key do not count. */

const IDLE_MS = 5000;

/** @returns {{take: () => number, restart: () => void}} milliseconds since the last `take` or `restart` */
export function createActivity() {
  let active = 0;
  let last = performance.now();

  function seen() {
    const now = performance.now();
    if (now - last <= IDLE_MS) active += now - last;
    last = now;
  }

  for (const kind of ["pointerdown", "pointermove", "pointerup", "keydown", "wheel"]) {
    window.addEventListener(kind, seen, { passive: true, capture: true });
  }
  return {
    take() {
      seen();
      const taken = Math.round(active);
      active = 0;
      return taken;
    },
    restart() {
      active = 0;
      last = performance.now();
    },
  };
}
