/** Progress lines about work that takes minutes. */

/** Prints a line; on a terminal, `draw` redraws one line below all others. */
export interface OnProgress {
  (line: string): void;
  draw?: (line: string) => void;
}

const LINE_EVERY_MS = 15_000;
const DRAW_EVERY_MS = 1_000;

/**
 * Runs `work`; meanwhile prints a line every 15 s, or on a terminal redraws one line each second.
 *
 * @param usual how long the work usually takes, such as `3 to 6 minutes on two cores`
 */
export async function withProgressLines<T>(
  what: string,
  usual: string,
  onProgress: OnProgress,
  work: () => Promise<T>,
): Promise<T> {
  const { draw } = onProgress;
  const began = Date.now();
  const line = (): string => `still ${what}: ${elapsed(Date.now() - began)}, usually ${usual}`;
  const timer = setInterval(
    () => {
      if (draw === undefined) onProgress(line());
      else draw(line());
    },
    draw === undefined ? LINE_EVERY_MS : DRAW_EVERY_MS,
  );
  try {
    return await work();
  } finally {
    clearInterval(timer);
    draw?.('');
  }
}

function elapsed(ms: number): string {
  const seconds = Math.round(ms / 1_000);
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}
