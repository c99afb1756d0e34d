/** Output of the command line: progress with its time on standard error, results on standard output. */
import { clearLine, cursorTo } from 'node:readline';
import type { OnProgress } from '../infra/local/progress-lines.ts';

const USUAL_COLUMNS = 80;

/** Printer of progress lines. */
export interface ProgressPrinter {
  /** Prints a line with the time since the start. */
  printLine: (line: string) => void;
  /** Replaces the line that is drawn below all others; an empty line removes it. */
  draw: (line: string) => void;
  /** Whether the output is a terminal; elsewhere `draw` does nothing. */
  canDraw: boolean;
}

export function createProgressPrinter(stream: NodeJS.WriteStream): ProgressPrinter {
  const began = Date.now();
  const canDraw = stream.isTTY;
  let drawn = '';
  const draw = (line: string): void => {
    // A wrapped line could not be removed again. Some terminals do not report their width.
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
    printLine: (line) => {
      const below = drawn;
      draw('');
      const seconds = ((Date.now() - began) / 1_000).toFixed(1).padStart(6);
      stream.write(`${seconds} s  ${line}\n`);
      draw(below);
    },
  };
}

export const progressPrinter = createProgressPrinter(process.stderr);

/** Prints a line of progress; on a terminal it can also draw a line below all others. */
export const printProgress: OnProgress = Object.assign(
  (line: string) => {
    progressPrinter.printLine(line);
  },
  progressPrinter.canDraw ? { draw: progressPrinter.draw } : {},
);

export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
