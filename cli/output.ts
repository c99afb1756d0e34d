/** Output of the command line: progress with its time on standard error, results on standard output. */
import { clearLine, cursorTo } from 'node:readline';
import type { OnProgress } from '../infra/local/sign-of-life.ts';

const USUAL_COLUMNS = 80;

export interface Teller {
  /** Prints a line with the time since the start. */
  tell: (line: string) => void;
  /** Draws a line below all others in place of the line drawn before; an empty line only removes that. */
  draw: (line: string) => void;
  /** True on a terminal; elsewhere `draw` does nothing. */
  canDraw: boolean;
}

export function createTeller(stream: NodeJS.WriteStream): Teller {
  const began = Date.now();
  const canDraw = stream.isTTY;
  let drawn = '';
  const draw = (line: string): void => {
    // A line that wraps could not be removed again. Some terminals do not report their width.
    const fitting = line.slice(0, (stream.columns || USUAL_COLUMNS) - 1);
    if (!canDraw || fitting === drawn) return;
    if (drawn !== '') {
      cursorTo(stream, 0);
      clearLine(stream, 0);
    }
    drawn = fitting;
    stream.write(drawn);
  };
  return {
    canDraw,
    draw,
    tell: (line) => {
      const below = drawn;
      draw('');
      const seconds = ((Date.now() - began) / 1_000).toFixed(1).padStart(6);
      stream.write(`${seconds} s  ${line}\n`);
      draw(below);
    },
  };
}

export const teller = createTeller(process.stderr);

/** Prints a line of progress; on a terminal it can also draw one below all others. */
export const tell: OnProgress = Object.assign(
  (line: string) => {
    teller.tell(line);
  },
  teller.canDraw ? { draw: teller.draw } : {},
);

export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
