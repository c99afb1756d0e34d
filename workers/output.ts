/** What a person reads goes to standard error with its time; what a program reads, to standard output. */

const began = Date.now();

export function tell(line: string): void {
  const seconds = ((Date.now() - began) / 1_000).toFixed(1).padStart(6);
  process.stderr.write(`${seconds} s  ${line}\n`);
}

export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
