/** What a person reads goes to standard error with its time; what a program reads, to standard output. */
import { clearLine, cursorTo } from 'node:readline';

const USUAL_COLUMNS = 80;

export interface Teller {
  /** Adds a line with the time since the start. */
  tell: (line: string) => void;
  /** Draws a line below all others, in place of the last such one; an empty one only takes that away. */
  draw: (line: string) => void;
  /** Whether `draw` has a terminal; where it has none it does nothing. */
  canDraw: boolean;
}

export function createTeller(stream: NodeJS.WriteStream): Teller {
  const began = Date.now();
  const canDraw = stream.isTTY;
  let drawn = '';
  const draw = (line: string): void => {
    // A line that wraps could not be taken away again. Some terminals do not say how wide they are.
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

export const { tell } = teller;

export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
